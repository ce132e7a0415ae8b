import MemoryPrimitives

/// What the CPU's paging offers beyond what every x86-64 CPU has.
public struct PagingFeatures: Equatable, Sendable {
    /// EFER.NXE is set: bit 63 of an entry forbids execution. Where it is not, that bit must be clear.
    public var noExecute: Bool
    /// Leaves of 1 GiB.
    public var gigabytePages: Bool
    /// CR4.PGE is set.
    public var globalPages: Bool
    /// The number of physical address bits, at most 52; those above must be clear in entries.
    public var physicalAddressBits: UInt
    /// CR4.LA57 is set: tables have five levels, and addresses 57 bits that mean something.
    public var fiveLevels: Bool

    /// Features, each as its property says.
    public init(
        noExecute: Bool, gigabytePages: Bool, globalPages: Bool, physicalAddressBits: UInt = 52,
        fiveLevels: Bool = false
    ) {
        self.noExecute = noExecute
        self.gigabytePages = gigabytePages
        self.globalPages = globalPages
        self.physicalAddressBits = physicalAddressBits
        self.fiveLevels = fiveLevels
    }

    /// Everything that Quarry can use.
    public static var all: PagingFeatures {
        PagingFeatures(noExecute: true, gigabytePages: true, globalPages: true)
    }

    /// The level of the root's entries: 3 or 4, where 0 is that of 4 KiB pages.
    @inline(__always)
    var topLevel: Int { fiveLevels ? 4 : 3 }

    /// The bits of an address that are translated: 48 or 57. Those above repeat the highest of them.
    @inline(__always)
    var addressBits: UInt { fiveLevels ? 57 : 48 }

    /// Whether the CPU takes `address` for one at all (Intel SDM vol. 1, 3.3.7.1).
    @inline(__always)
    public func isCanonical(_ address: UInt) -> Bool {
        let upper = Int(bitPattern: address) >> Int(bitPattern: addressBits &- 1)
        return upper == 0 || upper == -1
    }

    /// The first address of what entry `index` stands for in a table at `level` that begins at `base`.
    @inline(__always)
    func address(_ base: UInt, _ index: Int, atLevel level: Int) -> UInt {
        let address = base | (UInt(bitPattern: index) << PageTable.shift(ofLevel: level))
        return level == topLevel && index >= 256 ? address | UInt.max << addressBits : address
    }

    /// The largest page that `map` may make.
    public var largestPage: PageSize { gigabytePages ? .size1GiB : .size2MiB }
}
