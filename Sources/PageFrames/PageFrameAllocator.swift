import MemoryPrimitives
import Synchronization

/// The owner of all page frames: blocks of 2^order frames from three zones, and promises of single frames.
///
/// It is placed once and never moves (see `Permanent`). All calls may come from any context, interrupt handlers
/// included, and from several CPUs at once, unless they say otherwise; none of them sleeps. What changes stands behind
/// each zone's lock, except the descriptors of frames that are handed out, which belong to whoever has the frame.
@safe
public struct PageFrameAllocator<P: Platform>: ~Copyable, @unchecked Sendable {
    public let directMap: DirectMap

    /// The descriptors of all frames.
    public let table: FrameTable

    /// The bytes that the allocator took for itself at bring-up: frame table, zones, lists.
    public let metadataByteCount: UInt

    let zones: InlineArray<3, Permanent<Zone<P>>>

    /// Promises that have been made and neither withdrawn nor called upon. Never above the sum of the zones' promises.
    let outstandingPromises = Atomic<UInt>(0)

    init(
        directMap: DirectMap, table: FrameTable, zones: InlineArray<3, Permanent<Zone<P>>>, metadataByteCount: UInt
    ) {
        self.directMap = directMap
        self.table = table
        self.zones = zones
        self.metadataByteCount = metadataByteCount
    }

    /// Allocates 2^`order` frames that follow each other, aligned to their size.
    ///
    /// Tries the highest zone that the flags allow and then those below it. Promised frames are not touched. The
    /// contents are what the last owner left, unless `flags` has `.zero`.
    ///
    /// - Parameters:
    ///   - order: log2 of the number of frames, 0 to 10.
    ///   - flags: `.dma`, `.dma32` and `.zero` are obeyed; the others do not concern the search yet.
    /// - Returns: the first frame, in state `allocatedHead` with owner, count and tag 0; nil when no zone has a block
    ///   of that order, or for an order that does not exist.
    /// - Complexity: O(orders), and where a zone's lists cannot serve the order, writing one section's descriptors.
    @inline(__always)
    public func allocate(order: Int, flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        guard let frame = allocateUncleared(order: order, from: flags.highestZone) else { return nil }
        if flags.contains(.zero) { clear(frame, order: order) }
        return frame
    }

    /// Gives back a block that `allocate` returned.
    ///
    /// It is an error to free what is free (`doubleFree`), never was handed out or belongs to a slab or a page table
    /// (`wildFree`), lies within a larger block (`freeOfTail`), was allocated with another order (`wrongOrder`), or is
    /// not aligned to the order (`misalignedFree`): each is reported, and nothing changes.
    ///
    /// - Complexity: O(orders).
    public func free(_ frame: PageFrameNumber, order: Int) {
        let violation = zone(of: frame).value.withState { state in state.free(frame, order: order) }
        if let violation { P.report(violation) }
    }

    @inline(__always)
    func zone(of frame: PageFrameNumber) -> Permanent<Zone<P>> { zones[ZoneKind(of: frame).rawValue] }

    private func allocateUncleared(order: Int, from highest: ZoneKind) -> PageFrameNumber? {
        guard 0 <= order, order <= BlockOrder.highest else { return nil }
        var zone = highest.rawValue
        while zone >= 0 {
            let frame = zones[zone].value.withState { state in state.allocate(order: order) }
            if let frame { return PageFrameNumber(UInt(frame)) }
            zone &-= 1
        }
        return nil
    }

    /// Fills a block that the caller owns with zeroes.
    func clear(_ frame: PageFrameNumber, order: Int) {
        let byteCount = Int(bitPattern: PageSize.byteCount) << order
        // The block is RAM that the caller has just been given, and the direct map covers all RAM.
        unsafe directMap.pointer(to: frame).initializeMemory(as: UInt64.self, repeating: 0, count: byteCount / 8)
    }
}
