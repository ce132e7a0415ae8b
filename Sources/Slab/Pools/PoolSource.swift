import MemoryPrimitives
import PageFrames

/// What a memory pool's elements are, and how one is told from everything else.
///
/// An element that waits in a reserve is marked so where the allocator keeps its state: freeing it to the pool again, or to
/// anybody else, is noticed as a double free.
enum PoolSource<P: Platform> {
    /// Objects of a cache: one that somebody made, or that of a size of kmalloc's.
    case objects(CacheReference<P>)
    /// kmalloc's blocks above its objects: 2 to the power of `order` frames.
    case blocks(order: Int)
    /// The page frames' own blocks.
    case pages(order: Int)

    /// "mP": the tag of a block that waits in a reserve.
    static var reservedTag: UInt16 { 0x6d50 }

    /// The bytes of an element that `.zero` clears.
    var clearedByteCount: UInt {
        switch self {
        case .objects(let reference): reference.cache.value.clearedByteCount
        case .blocks(let order), .pages(let order): PageSize.byteCount << UInt(order)
        }
    }

    /// A new element; nil where there is no memory within the meaning of the flags.
    func allocate(_ flags: AllocationFlags, from kmalloc: Permanent<Kmalloc<P>>) -> UInt? {
        switch self {
        // From a slab: a guarded object has no state byte to tell that it is in the reserve (see `allocateGuarded`).
        case .objects(let reference):
            return unsafe reference.allocate(flags: flags | .thisNode).map { UInt(bitPattern: $0) }
        case .blocks(let order):
            let byteCount = PageSize.byteCount << UInt(order)
            return unsafe kmalloc.value.allocate(byteCount, flags: flags).map { UInt(bitPattern: $0) }
        case .pages(let order):
            guard let frame = kmalloc.value.frames.value.allocate(order: order, flags: flags) else { return nil }
            return kmalloc.value.directMap.virtualAddress(of: frame.address).rawValue
        }
    }

    /// Gives an element, which is in no reserve, back to where it came from. What is wrong with it is reported there.
    func free(_ element: UInt, to kmalloc: Permanent<Kmalloc<P>>) {
        switch self {
        // Each looks at the address before it follows it.
        case .objects(let reference): unsafe reference.free(UnsafeMutableRawPointer(bitPattern: element))
        case .blocks: unsafe kmalloc.value.free(UnsafeMutableRawPointer(bitPattern: element))
        case .pages(let order): kmalloc.value.frames.value.free(kmalloc.value.frame(of: element), order: order)
        }
    }

    /// Marks an element that is its user's as one that waits in a reserve, or the other way round. Of two CPUs that try
    /// at once, one can. - Returns: false, with nothing changed, for what is no such element.
    func mark(_ element: UInt, asReserved: Bool, in kmalloc: Permanent<Kmalloc<P>>) -> Bool {
        let user = isTaggedByUser ? LargeBlocks<P>.tag : 0
        switch self {
        case .objects(let reference):
            guard let slab = reference.ownSlab(of: element), let index = slab.index(of: element) else { return false }
            return reference.cache.value.exchangeReserved(slab, index, asReserved: asReserved)
        case .blocks(let order), .pages(let order):
            guard element & (PageSize.byteCount &- 1) == 0 else { return false }
            let frame = kmalloc.value.frame(of: element)
            guard LargeBlocks.order(of: frame, tag: asReserved ? user : Self.reservedTag, kmalloc.value.frames) == order
            else { return false }
            return kmalloc.value.frames.value.exchangeTag(
                of: frame, from: asReserved ? user : Self.reservedTag, to: asReserved ? Self.reservedTag : user) != nil
        }
    }

    private var isTaggedByUser: Bool { if case .blocks = self { true } else { false } }

    /// What is wrong with an element that cannot be marked as reserved.
    func diagnose(_ element: UInt, in kmalloc: Permanent<Kmalloc<P>>) -> MemoryViolation {
        let call: StaticString = "mempool_free"
        if case .objects(let reference) = self { return reference.cache.value.diagnose(element, in: call) }
        let frames = kmalloc.value.frames
        let frame = kmalloc.value.frame(of: element)
        if element & (PageSize.byteCount &- 1) == 0, frames.value.tag(of: frame) == Self.reservedTag {
            return MemoryViolation(.doubleFree, in: call, at: element, "the block is in a pool's reserve")
        }
        switch frames.value.state(of: frame) {
        case .free, .interior:
            return MemoryViolation(.doubleFree, in: call, at: element, "the address lies in free memory")
        default: return MemoryViolation(.wildFree, in: call, at: element, "that is no element of the pool's")
        }
    }
}
