import MemoryPrimitives
import PageFrames

/// Tables from the page frames. Any context: it takes a zone's lock and nothing else.
public struct BuddyTableSource<P: Platform>: TableFrameSource {
    private let frames: Permanent<PageFrameAllocator<P>>

    /// A source over these page frames.
    public init(frames: Permanent<PageFrameAllocator<P>>) { self.frames = frames }

    /// A cleared frame, marked as a table so that nobody can free it by mistake. - Complexity: O(orders).
    public mutating func allocateTableFrame() -> PhysicalAddress? {
        guard let frame = frames.value.allocate(order: 0, flags: .atomic | .zero | .noLeakTrace) else { return nil }
        frames.value.claim(frame, order: 0, as: .table, owner: 0)
        return frame.address
    }

    /// Frees a table. One from before the page frames were there stays reserved, as it always was. - Complexity: O(orders).
    public mutating func freeTableFrame(_ frame: PhysicalAddress) {
        let number = PageFrameNumber(containing: frame)
        if frames.value.state(of: number) != .table { return }
        frames.value.release(number, order: 0, from: .table)
        frames.value.free(number, order: 0)
    }
}
