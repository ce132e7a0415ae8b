import MemoryPrimitives

/// The pages whose translations a change has made stale, to be flushed together once the change is done.
///
/// Up to `capacity` pages are flushed one by one; beyond that everything is, which is cheaper than many single flushes.
/// A page whose entry was not present is never added: the CPU does not cache such entries.
struct FlushBatch<P: Platform> {
    static var capacity: Int { 32 }

    private var pages = InlineArray<32, VirtualAddress>(repeating: VirtualAddress(0))
    private var count = 0

    init() {}

    /// Whether everything will be flushed.
    @inline(__always)
    var isOverfull: Bool { count > Self.capacity }

    /// Adds the page at `address`, unless it is the one that was added last; any address within a large page stands for
    /// all of it.
    ///
    /// Flushing a page also drops the entries of the levels above it (Intel SDM vol. 3, 4.10.4.1). So the address of a
    /// page is what to add for a table that is no longer reached there, too.
    @inline(__always)
    mutating func add(_ address: UInt) {
        if count > 0 && count <= Self.capacity && pages[count &- 1].rawValue == address { return }
        if count < Self.capacity { pages[count] = VirtualAddress(address) }
        count &+= 1
    }

    /// Flushes what was added, at the aliases of those addresses too, and forgets it.
    mutating func flush(_ alias: TopLevelAlias?) {
        if count > Self.capacity {
            P.flushAllPages()
        } else {
            flushPages(count)
            flushPages(replaceByAliases(alias))
        }
        count = 0
    }

    /// Puts what the pages have for aliases in their place. - Returns: how many there are.
    private mutating func replaceByAliases(_ alias: TopLevelAlias?) -> Int {
        guard let alias else { return 0 }
        var found = 0
        for index in 0..<count {
            guard let other = alias.alias(of: pages[index].rawValue) else { continue }
            pages[found] = VirtualAddress(other)
            found &+= 1
        }
        return found
    }

    /// Flushes the first `count` pages.
    private mutating func flushPages(_ count: Int) {
        if count == 0 { return }
        // The array's own elements, of which there are more than count.
        unsafe withUnsafePointer(to: &pages) { pages in
            let first = unsafe UnsafeRawPointer(pages).assumingMemoryBound(to: VirtualAddress.self)
            unsafe P.flushPages(UnsafeBufferPointer(start: first, count: count))
        }
    }
}

/// Two 512 GiB slots of the top-level table that share everything below them.
///
/// The tables are changed through `original` only; each flush there is done at `alias` as well.
public struct TopLevelAlias: Sendable {
    /// The start of the slot that owns the tables, a multiple of 512 GiB.
    public let original: VirtualAddress
    /// The start of the slot that shares them.
    public let alias: VirtualAddress

    /// Two slots that are to share one subtree.
    /// - Precondition: both are multiples of 512 GiB, canonical, and not the same.
    public init(original: VirtualAddress, alias: VirtualAddress) {
        precondition(original.isAligned(to: 1 << 39) && alias.isAligned(to: 1 << 39) && original != alias)
        precondition(original.isCanonical && alias.isCanonical)
        self.original = original
        self.alias = alias
    }

    /// The other address of what is mapped at `address`; nil outside the original slot.
    @inline(__always)
    func alias(of address: UInt) -> UInt? {
        let offset = address &- original.rawValue
        return offset >> 39 == 0 ? alias.rawValue &+ offset : nil
    }
}
