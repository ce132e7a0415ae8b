import MemoryPrimitives
import PageFrames

/// The frames that kmalloc and its caches have at one moment: what `meminfo` says of slabs.
public struct SlabFrameFigures: Equatable, Sendable {
    /// Those of slabs whose objects can be given back under pressure.
    public var reclaimable: UInt = 0
    /// Those of all other slabs.
    public var unreclaimable: UInt = 0
    /// Those of blocks above 8192 bytes.
    public var largeBlocks: UInt = 0
    /// Those that hold headers of slabs, the caches that are there from the start, their magazines, and tables.
    public var bookkeeping: UInt = 0

    /// No frames.
    public init() {}

    /// All of them.
    public var total: UInt { reclaimable + unreclaimable + largeBlocks + bookkeeping }
}

extension Kmalloc {
    /// Every frame that has been taken from the page frames and not been given back, by its use. While others allocate,
    /// what they move just now may be missed.
    /// - Complexity: O(caches). Takes the caches' locks: not for callers that hold one.
    public var frameFigures: SlabFrameFigures {
        var figures = SlabFrameFigures()
        forEachCache { cache in
            let frames = UInt(cache.withState { state in state.lists.slabCount }) << UInt(cache.layout.order)
            if cache.flags.contains(.reclaimable) {
                figures.reclaimable &+= frames
            } else {
                figures.unreclaimable &+= frames
            }
        }
        figures.largeBlocks = UInt(max(0, largeBlockFrames))
        figures.bookkeeping = headerFigures.pages &+ ownFrames
        return figures
    }
}
