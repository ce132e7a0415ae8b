import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

/// How stacks grow.
///
///     fault: walk without a lock --due?--> frame from the reserve --compare-and-swap--> run the instruction again
///     later, with no lock held: refillReserve takes the page's promised frame, paints it, and puts it in the empty place
extension KernelStacks {
    /// What came of a fault.
    public enum Growth: Equatable, Sendable {
        /// The page is there now, painted: run the instruction again.
        case grown
        /// The page was there and allows the access: run the instruction again.
        case spurious
        /// No page of a stack is due there: the fault is somebody else's.
        case notDue
        /// The page is due, and no CPU's reserve has a frame. Somebody grew many stacks without `refillReserve`.
        case reserveIsEmpty
    }

    /// Deals with a page fault where a page of a stack is due. To be asked before any other handler.
    ///
    /// It takes no lock, waits for nobody, allocates nothing, and so works whatever the interrupted code holds or is in the
    /// midst of: this allocator's locks and all below it included.
    /// - Parameters:
    ///   - address: what the access addressed, any byte, in a stack or not.
    ///   - access: what it wanted.
    /// - Complexity: O(1): a read for each level of the tables, a frame from the reserve. Any context.
    /// - Returns: whether the access can be tried again, and why not.
    @inline(__always)
    public func grow(at address: VirtualAddress, access: FaultAccess) -> Growth {
        // One by one: a set of them all is made of an array where nothing is optimised, and here is no memory for one.
        if access.contains(.protection) || access.contains(.user) || access.contains(.execute)
            || access.contains(.reservedBit)
        {
            return .notDue
        }
        if !vmalloc.value.ranges.space.contains(address) { return .notDue }
        // Until the entry is written: so no table goes that the walk comes by.
        let interrupts = P.disableInterrupts()
        defer { P.restoreInterrupts(interrupts) }
        switch vmalloc.value.pageTables.value.stackPage(at: address) {
        case .due: return growDue(at: address)
        case .present(let permissions): return access.isAllowed(by: permissions) ? .spurious : .notDue
        case .none: return .notDue
        }
    }

    @inline(never)
    private func growDue(at address: VirtualAddress) -> Growth {
        guard let frame = reserve.take() else { return .reserveIsEmpty }
        if vmalloc.value.pageTables.value.growStack(at: address, frame: frame.address) {
            vmalloc.value.grownStackPages.add(1, ordering: .relaxed)
            growths.add(1, ordering: .relaxed)
            return .grown
        }
        // Another CPU was quicker. A place of this CPU's is empty: the one that the frame came from, or else all of them.
        _ = reserve.put(frame)
        if case .present = vmalloc.value.pageTables.value.stackPage(at: address) { return .spurious }
        return .notDue
    }

    /// True where a page of a stack is due at `address`. For reports: takes no lock.
    public func isDue(at address: VirtualAddress) -> Bool {
        let interrupts = P.disableInterrupts()
        defer { P.restoreInterrupts(interrupts) }
        return vmalloc.value.ranges.space.contains(address)
            && vmalloc.value.pageTables.value.stackPage(at: address) == .due
    }

    /// Fills this CPU's reserve: to be called before this CPU begins to run on another stack, or goes back to one.
    ///
    /// It cannot fail: the frames have been promised. Making and freeing a stack do it too.
    /// - Complexity: O(frames that are missing). Not with a lock of memory management held.
    @inline(__always)
    public func refillReserve() { if reserve.isShort { fillReserve() } }

    @inline(never)
    private func fillReserve() {
        let directMap = vmalloc.value.frames.value.directMap
        while true {
            let interrupts = P.disableInterrupts()
            defer { P.restoreInterrupts(interrupts) }
            // Nobody but this CPU fills its places, and nothing else runs on it: one that is empty stays so.
            guard reserve.isShort else { return }
            guard let frame = vmalloc.value.frames.value.allocatePromised(flags: .kernel | .noLeakTrace) else { return }
            StackPaint.fill(frame, directMap)
            if !reserve.put(frame) { return vmalloc.value.frames.value.free(frame, order: 0) }
        }
    }
}
