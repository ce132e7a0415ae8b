import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

/// What a scan has done and found.
public struct ScanFigures: Sendable {
    /// Allocations that are reported from this scan on.
    public internal(set) var newLeaks: UInt = 0
    /// Allocations that were reported before, and that still nothing refers to, and the new ones.
    public internal(set) var leaks: UInt = 0
    /// Allocations that nothing refers to, but whose contents have changed since the scan before, or that are new.
    public internal(set) var waiting: UInt = 0
    /// Allocations that were looked through.
    public internal(set) var scannedAllocations: UInt = 0
    /// 64-bit words that were looked at.
    public internal(set) var words: UInt = 0
    /// Ticks of the cycle counter that it took.
    public internal(set) var ticks: UInt64 = 0

    init() {}
}

// The scan. Each step holds the lock, with interrupts disabled, for 128 records or a page of memory; between steps
// allocations come and go. A record that a scan works on is marked as held, and is not reused before it is let go.
extension LeakDetector {
    /// Looks for allocations that nothing refers to. What is so in two scans, with the same contents, counts as lost.
    ///
    /// - Parameter stack: what is in use of the stack that the caller runs on, its registers included: they must have
    ///   been stored there. Stacks of others are to be roots (`addRoot`) meanwhile.
    /// - Returns: nil where the detector is off, or a scan is under way.
    /// - Complexity: O(words of all memory in use * log allocations). Where interrupts were enabled they are, between
    ///   steps.
    public func scan(stack: VirtualRange) -> ScanFigures? {
        let start = P.cycleCounter
        if !begin() { return nil }
        forEachRecord { state, reference in
            reference.record.count = 0
            if reference.record.minimumCount == 0 { state.enqueue(reference) }
        }
        scanRoots()
        scan(AddressSpan(stack.start.rawValue, byteCount: stack.byteCount))
        scanOwnerWords()
        scanQueue()
        // What has changed is in use, perhaps by way of a register that nobody saw: it counts as referred to.
        compareChecksums()
        scanQueue()
        forEachRecord { state, reference in
            if !reference.record.isWhite { return }
            if reference.has(.isReported) {
                state.scanned.leaks += 1
            } else if reference.has(.hasChecksum) {
                reference.set(.isReported)
                state.scanned.leaks += 1
                state.scanned.newLeaks += 1
            }
        }
        return end(start)
    }

    /// Makes a scan where the interval that was set has passed since the last one.
    /// - Returns: nil where none was due.
    public func poll(stack: VirtualRange) -> ScanFigures? {
        let ticks = interval.load(ordering: .relaxed)
        if ticks == 0 || P.cycleCounter &- lastScan.load(ordering: .relaxed) < ticks { return nil }
        return scan(stack: stack)
    }

    /// Has `poll` make a scan every `ticks` ticks of the cycle counter; 0 for none.
    public func setInterval(ticks: UInt64) {
        interval.store(ticks, ordering: .relaxed)
        lastScan.store(P.cycleCounter, ordering: .relaxed)
    }

    /// What the last scan found.
    public var figures: ScanFigures {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        return unsafe state.pointee.scanned
    }

    private func begin() -> Bool {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // Here and below: the detector's own memory, under its lock.
        guard unsafe state.pointee.isOn, unsafe !state.pointee.isScanning else { return false }
        unsafe state.pointee.isScanning = true
        unsafe state.pointee.scanned = ScanFigures()
        return true
    }

    private func end(_ start: UInt64) -> ScanFigures? {
        let interrupts = lock.acquire()
        unsafe state.pointee.isScanning = false
        unsafe state.pointee.scans &+= 1
        unsafe state.pointee.scanned.ticks = P.cycleCounter &- start
        let isOn = unsafe state.pointee.isOn
        let figures = unsafe state.pointee.scanned
        lock.release(interrupts)
        lastScan.store(P.cycleCounter, ordering: .relaxed)
        if !isOn { giveRecordsBack() }
        return isOn ? figures : nil
    }

    /// Calls `body`, which captures nothing, with each record, in steps.
    func forEachRecord(_ body: (inout LeakState, LeakReference) -> Void) {
        var cursor: UInt? = 0
        while let from = cursor { cursor = step(from: from, body) }
    }

    /// - Returns: where to go on; nil at the end.
    private func step(from cursor: UInt, _ body: (inout LeakState, LeakReference) -> Void) -> UInt? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        if unsafe !state.pointee.isOn { return nil }
        var current = unsafe state.pointee.tree.first(from: cursor)
        var count = 0
        while let reference = current {
            if count == 128 { return reference.record.start }
            unsafe body(&state.pointee, reference)
            current = LeakTree.next(after: reference)
            count += 1
        }
        return nil
    }

    // MARK: Looking through memory

    private func scanRoots() {
        var index = 0
        while let root = root(index) {
            scan(root)
            index += 1
        }
    }

    private func root(_ index: Int) -> AddressSpan? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        return unsafe index < state.pointee.rootCount ? state.pointee.roots[index] : nil
    }

    /// Memory that is always there.
    private func scan(_ span: AddressSpan) {
        var address = (span.start &+ 7) & ~7
        let end = span.start &+ span.byteCount
        while address < end {
            let next = min((address | (PageSize.byteCount &- 1)) &+ 1, end)
            let interrupts = lock.acquire()
            visitWords(address, through: next)
            lock.release(interrupts)
            address = next
        }
    }

    /// What the owners of blocks have noted down in their descriptors.
    private func scanOwnerWords() {
        var cursor: UInt? = 0
        while let from = cursor { cursor = ownerStep(from: from) }
    }

    private func ownerStep(from cursor: UInt) -> UInt? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        if unsafe !state.pointee.isOn { return nil }
        var current = unsafe state.pointee.tree.first(from: cursor)
        var count = 0
        while let reference = current {
            if count == 128 { return reference.record.start }
            if reference.record.kind == .block {
                let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(reference.record.start))
                let word = frames.value.owner(of: PageFrameNumber(containing: physical)) ?? 0
                unsafe state.pointee.visit(word, forms)
            }
            current = LeakTree.next(after: reference)
            count += 1
        }
        return nil
    }

    private func scanQueue() {
        while let reference = dequeue() {
            var offset: UInt = 0
            while let next = scanPage(of: reference, offset) { offset = next }
        }
    }

    private func dequeue() -> LeakReference? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard unsafe state.pointee.isOn, let reference = unsafe state.pointee.dequeue() else { return nil }
        unsafe state.pointee.scanned.scannedAllocations += 1
        return reference
    }

    /// Looks through a page of an allocation that is held, or lets it go at its end.
    /// - Returns: the offset of the next page; nil at the end.
    private func scanPage(of reference: LeakReference, _ offset: UInt) -> UInt? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // Each time anew: the allocation may be freed, or cut, between two steps.
        guard let page = page(of: reference, offset) else {
            unsafe state.pointee.release(reference)
            return nil
        }
        if page.address != 0 { visitWords(page.address, through: page.address &+ page.byteCount) }
        return page.nextOffset
    }

    /// Where a page of an allocation that is held can be read: 0 for one that is not there; nil at the end, and where the
    /// memory is its user's no longer.
    func page(of reference: LeakReference, _ offset: UInt) -> (address: UInt, byteCount: UInt, nextOffset: UInt)? {
        let byteCount = reference.record.byteCount
        if unsafe !state.pointee.isOn || reference.has(.isDead) || offset >= byteCount { return nil }
        let address = reference.record.start &+ offset
        let inPage = address & (PageSize.byteCount &- 1)
        let count = min(PageSize.byteCount &- inPage, byteCount &- offset)
        return (readable(address, reference.record.kind), count, offset &+ count)
    }

    /// Where the direct map shows a page of an area: nobody takes it away, for the area is still tracked.
    private func readable(_ address: UInt, _ kind: WatchedKind) -> UInt {
        guard kind == .area || kind == .stack else { return address }
        guard case .mapped(let page) = pageTables.value.lookupUnlocked(VirtualAddress(address)) else { return 0 }
        return frames.value.directMap.virtualAddress(of: page.physical).rawValue
    }

    /// Looks at each whole word of `address ..< end`, which can be read. The lock is held.
    private func visitWords(_ address: UInt, through end: UInt) {
        var word = (address &+ 7) & ~7
        while word &+ 8 <= end {
            unsafe state.pointee.visit(Self.load(word), forms)
            unsafe state.pointee.scanned.words &+= 1
            word &+= 8
        }
    }

    /// A word that others may be writing.
    @inline(__always)
    static func load(_ address: UInt) -> UInt {
        // Callers have found the memory to be there; an `Atomic` has its value's layout.
        unsafe UnsafePointer<Atomic<UInt>>(bitPattern: address).unsafelyUnwrapped.pointee.load(ordering: .relaxed)
    }
}
