import MemoryPrimitives
import Synchronization

// `debug_guardpage`: a block of order n is the lower half of one of order n+1, whose upper half is its guard. Nobody
// gets the guard while the block lives. Its first and last page hold a pattern, which must still be there when the block
// is freed.
//
//     | block | guard | block | guard |     a write beyond a block's end, or before its start, hits a guard
//
// The guard stays mapped. The direct map is made of large pages, and to take a page out of it would need memory for
// tables and the lock of the page tables, in the middle of an allocation that may have been made for a table under just
// that lock. So an overrun is found when the block is freed, and not when it happens.
//
// The cost: half of memory, two pages written and read again for each block, one where it is a single frame. Blocks of
// the highest order have no guard, nor have frames that were promised, which are counted one by one; and where memory
// is too short for a guard, the block is handed out without.
extension PageFrameAllocator {
    /// A block twice as large as asked for, where that is to be had without effort.
    func takeGuarded(order: Int, _ flags: AllocationFlags) -> UInt32? {
        guard order < BlockOrder.highest else { return nil }
        return takeFromZones(ZoneRequest(order: order + 1, flags: flags, above: .low))
    }

    /// Makes the upper half of a block that was taken with `takeGuarded` a guard.
    func setGuard(behind frame: UInt32, order: Int) {
        let first = frame + 1 << UInt32(order)
        // The block has been taken out of its zone: nobody else uses its descriptors and its memory.
        unsafe table.knownDescriptor(of: first).use.pointee.store(
            FrameDescriptor.use(.guardPage, order: order), ordering: .releasing)
        unsafe FillPattern.guardPage.fill(page(first), byteCount: Int(PageSize.byteCount))
        if order > 0 {
            unsafe FillPattern.guardPage.fill(page(first + 1 << UInt32(order) - 1), byteCount: Int(PageSize.byteCount))
        }
    }

    /// Ends the guard of a block that is being freed, and reports what was written to it.
    /// - Returns: false where the block has none.
    func takeGuard(behind frame: UInt32, order: Int) -> Bool {
        // A guard is always an upper half: for other blocks this is somebody else's frame.
        guard order < BlockOrder.highest, frame & 1 << UInt32(order) == 0 else { return false }
        let first = frame + 1 << UInt32(order)
        guard let descriptor = unsafe table.descriptor(of: PageFrameNumber(UInt(first))),
            // The table's own descriptor. The guard of the caller's block is changed by the caller alone.
            unsafe descriptor.use.pointee.load(ordering: .acquiring) == FrameDescriptor.use(.guardPage, order: order)
        else { return false }
        verifyGuard(first, of: frame)
        if order > 0 { verifyGuard(first + 1 << UInt32(order) - 1, of: frame) }
        unsafe descriptor.use.pointee.store(FrameDescriptor.unused, ordering: .relaxed)
        return true
    }

    /// Gives up the guard of a block that its owner goes on using in smaller parts: its frames become free.
    ///
    /// To be called before a block's order changes. Where the block has no guard, nothing happens.
    /// - Complexity: O(orders), and O(frames) where freed frames are filled.
    func dropGuard(of frame: PageFrameNumber, order: Int) {
        let number = UInt32(truncatingIfNeeded: frame.rawValue)
        guard checks.active.contains(.guardPages), takeGuard(behind: number, order: order) else { return }
        putChecked(number + 1 << UInt32(order), order: order)
    }

    @inline(never)
    private func verifyGuard(_ number: UInt32, of block: UInt32) {
        // A frame of the guard, as above.
        guard let damage = unsafe FillPattern.guardPage.damage(to: page(number), byteCount: Int(PageSize.byteCount))
        else { return }
        P.report(
            MemoryViolation(
                .overrun, in: "__free_pages", at: PageFrameNumber(UInt(number)).address.rawValue + damage.offset,
                from: PageFrameNumber(UInt(block)).address.rawValue,
                "the guard page behind the block has been written", byte: damage.byte, byteCount: damage.byteCount))
    }

    @unsafe
    private func page(_ number: UInt32) -> UnsafeMutableRawPointer {
        unsafe directMap.pointer(to: PageFrameNumber(UInt(number)))
    }
}
