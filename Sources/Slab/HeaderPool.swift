import MemoryPrimitives
import PageFrames

/// The memory of slab headers, and of depots' buckets: slots of 96, 128, ... 768 bytes, cut from single pages that hold nothing
/// else.
///
///     | page note, 64 bytes | slot 0 | slot 1 | ... |
///
/// The pages of a size that have a free slot are in a list, threaded through their notes. A page whose slots are all free
/// goes back to the buddy. A header is asked for once for a slab, and a bucket when a depot grows, so that one lock serves all.
@safe
struct HeaderPool<P: Platform>: ~Copyable {
    private static var step: Int { 32 }
    private static var sizeCount: Int { 24 }
    private static var noteByteCount: UInt { 64 }

    /// What a page knows of its slots.
    @safe
    private struct Note {
        var next: UnsafeMutablePointer<Note>?
        var previous: UnsafeMutablePointer<Note>?
        /// A set bit for each free slot.
        var free: UInt64
        let all: UInt64
        let slotSize: UInt
    }

    /// What changes, under the lock.
    @safe
    private struct State {
        var pageCount: UInt = 0
        var slotsInUse: UInt = 0
    }

    private let lock = SpinLock<P>()
    private let state: UnsafeMutablePointer<State>
    /// The first page of each size that has a free slot.
    private let pages: UnsafeMutablePointer<UnsafeMutablePointer<Note>?>
    private let frames: Permanent<PageFrameAllocator<P>>

    /// Bytes of memory that `init` needs, aligned to 8.
    static var byteCount: Int { MemoryLayout<State>.stride + sizeCount * MemoryLayout<UInt>.stride }

    /// - Parameter memory: `byteCount` bytes, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, frames: Permanent<PageFrameAllocator<P>>) {
        unsafe state = memory.bindMemory(to: State.self, capacity: 1)
        unsafe state.initialize(to: State())
        unsafe pages = UnsafeMutableRawPointer(state + 1)
            .bindMemory(to: UnsafeMutablePointer<Note>?.self, capacity: Self.sizeCount)
        unsafe pages.initialize(repeating: nil, count: Self.sizeCount)
        self.frames = frames
    }

    /// The pages that hold headers and buckets, and how many of these there are. A snapshot.
    var figures: (pages: UInt, slots: UInt) {
        lock.withLock { unsafe (state.pointee.pageCount, state.pointee.slotsInUse) }
    }

    /// Memory for a header or a bucket of `byteCount` bytes, up to 768, aligned to 32. Its contents are left from earlier.
    /// - Returns: its address; nil where there is no memory within the meaning of `flags`. - Complexity: O(1).
    func allocate(_ byteCount: Int, _ flags: AllocationFlags) -> UInt? {
        slot(byteCount) { frames.value.allocate(order: 0, flags: flags | .noLeakTrace) }
    }

    /// As `allocate`, for what is not worth asking anybody to give memory back.
    func allocateReadily(_ byteCount: Int) -> UInt? {
        slot(byteCount) { frames.value.allocateReadily(flags: .none) }
    }

    @inline(__always)
    private func slot(_ byteCount: Int, newPage: () -> PageFrameNumber?) -> UInt? {
        let size = (byteCount - 1) / Self.step
        while true {
            if let address = lock.withLock({ takeSlot(size) }) { return address }
            guard let frame = newPage() else { return nil }
            lock.withLock { addPage(frame, size) }
        }
    }

    /// Gives back what `allocate` returned for `byteCount` bytes. - Returns: the frames that went back with it: 0 or 1.
    /// - Complexity: O(1).
    @discardableResult
    func free(_ address: UInt, _ byteCount: Int) -> UInt {
        let size = (byteCount - 1) / Self.step
        guard let page = lock.withLock({ putSlot(address, size) }) else { return 0 }
        let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(page))
        frames.value.free(PageFrameNumber(containing: physical), order: 0)
        return 1
    }

    private func takeSlot(_ size: Int) -> UInt? {
        // The state and the pages' notes are under the lock, which the caller holds.
        guard let page = unsafe pages[size] else { return nil }
        let slot = unsafe page.pointee.free.trailingZeroBitCount
        unsafe page.pointee.free &= page.pointee.free &- 1
        if unsafe page.pointee.free == 0 { unsafe unlink(page, size) }
        unsafe state.pointee.slotsInUse += 1
        return unsafe UInt(bitPattern: page) + Self.noteByteCount + UInt(slot) * page.pointee.slotSize
    }

    private func addPage(_ frame: PageFrameNumber, _ size: Int) {
        let slotSize = UInt(size + 1) * UInt(Self.step)
        let count = (PageSize.byteCount - Self.noteByteCount) / slotSize
        let all: UInt64 = count >= 64 ? .max : 1 << UInt64(count) - 1
        // A page just allocated; as above.
        let page = unsafe frames.value.directMap.pointer(to: frame).bindMemory(to: Note.self, capacity: 1)
        unsafe page.initialize(to: Note(next: nil, previous: nil, free: all, all: all, slotSize: slotSize))
        unsafe link(page, size)
        unsafe state.pointee.pageCount += 1
    }

    /// - Returns: the page that has no slot in use any more, to be given back.
    private func putSlot(_ address: UInt, _ size: Int) -> UInt? {
        let page = address & ~(PageSize.byteCount - 1)
        // Slots come from such pages only; as above.
        let note = unsafe UnsafeMutablePointer<Note>(bitPattern: page).unsafelyUnwrapped
        let slot = unsafe (address - page - Self.noteByteCount) / note.pointee.slotSize
        if unsafe note.pointee.free == 0 { unsafe link(note, size) }
        unsafe note.pointee.free |= 1 << UInt64(slot)
        unsafe state.pointee.slotsInUse -= 1
        guard unsafe note.pointee.free == note.pointee.all else { return nil }
        unsafe unlink(note, size)
        unsafe state.pointee.pageCount -= 1
        return page
    }

    @unsafe
    private func link(_ page: UnsafeMutablePointer<Note>, _ size: Int) {
        // As above.
        let first = unsafe pages[size]
        unsafe page.pointee.next = first
        unsafe page.pointee.previous = nil
        if let first = unsafe first { unsafe first.pointee.previous = page }
        unsafe pages[size] = page
    }

    @unsafe
    private func unlink(_ page: UnsafeMutablePointer<Note>, _ size: Int) {
        // As above.
        let next = unsafe page.pointee.next
        let previous = unsafe page.pointee.previous
        if let previous = unsafe previous {
            unsafe previous.pointee.next = next
        } else {
            unsafe pages[size] = next
        }
        if let next = unsafe next { unsafe next.pointee.previous = previous }
    }
}
