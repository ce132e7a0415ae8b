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

    public init(noExecute: Bool, gigabytePages: Bool, globalPages: Bool, physicalAddressBits: UInt = 52) {
        self.noExecute = noExecute
        self.gigabytePages = gigabytePages
        self.globalPages = globalPages
        self.physicalAddressBits = physicalAddressBits
    }

    /// Everything that Quarry can use.
    public static var all: PagingFeatures {
        PagingFeatures(noExecute: true, gigabytePages: true, globalPages: true)
    }

    /// The largest page that `map` may make.
    public var largestPage: PageSize { gigabytePages ? .size1GiB : .size2MiB }
}
