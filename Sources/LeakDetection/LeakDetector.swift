import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

/// Finds memory that was allocated and that nothing refers to any more: Linux's kmemleak.
///
///     allocated, freed --> records, by address        scan: roots -> grey allocations -> what they hold -> ...
///                                                     what stays white, twice, and has not changed: lost
///
/// It is told of each allocation (`AllocationWatcher`) and notes it down, with who asked, in frames of its own. A scan
/// reads every word of the memory that is always in use, and of each allocation that some such word refers to: an
/// address anywhere within an allocation is a reference to it. What no word refers to in two scans in a row, with the
/// same contents, is reported.
///
/// It is placed once and never moves. All calls may come from any context and any CPU, unless they say otherwise. Its
/// lock is innermost: nothing else is taken while it is held, and it is held for a page of memory at a time at most.
@safe
public struct LeakDetector<P: Platform>: ~Copyable, @unchecked Sendable {
    let frames: Permanent<PageFrameAllocator<P>>
    let pageTables: Permanent<PageTables<P>>
    let forms: AddressForms
    let lock = SpinLock<P>()
    let state: UnsafeMutablePointer<LeakState>
    /// Told that there was no memory for a record, and that the detector is off for good.
    private let turnedOff: () -> Void
    /// Ticks of the cycle counter from one scan to the next that `poll` makes; 0 for none.
    let interval = Atomic<UInt64>(0)
    let lastScan = Atomic<UInt64>(0)

    /// Sets up a detector that is told of each allocation from now on.
    ///
    /// A sixteenth of memory, 64 MiB at most, is taken for records: enough for each frame to be a block of its own. More
    /// is fetched where that does not do.
    ///
    /// - Parameters:
    ///   - frames: whose allocations are told of.
    ///   - pageTables: where the pages of areas are looked up.
    ///   - alias: where the direct map is shown a second time; nil for nowhere.
    ///   - turnedOff: called, once, where there is no memory for a record. From the allocation that it was for.
    /// - Returns: nil, with nothing changed, where there is too little memory.
    /// - Complexity: O(blocks taken). For one CPU, before others use the allocators.
    public static func start(
        frames: Permanent<PageFrameAllocator<P>>, pageTables: Permanent<PageTables<P>>, alias: VirtualRange? = nil,
        turnedOff: @escaping () -> Void
    ) -> Permanent<LeakDetector<P>>? {
        precondition(
            stateOffset + MemoryLayout<LeakState>.size <= Int(PageSize.byteCount), "the detector is larger than a page")
        guard let frame = frames.value.allocate(order: 0, flags: .kernel | .noLeakTrace) else { return nil }
        // A frame just allocated, the detector's for good, with room for the three.
        let memory = unsafe frames.value.directMap.pointer(to: frame)
        let state = unsafe (memory + stateOffset).bindMemory(to: LeakState.self, capacity: 1)
        unsafe state.initialize(to: LeakState())
        let forms = AddressForms(
            directMapBase: frames.value.directMap.base,
            alias: AddressSpan(alias?.start.rawValue ?? 0, byteCount: alias?.byteCount ?? 0))
        let detector = unsafe Permanent(
            placing: LeakDetector(
                frames: frames, pageTables: pageTables, forms: forms, state: state, turnedOff: turnedOff),
            at: memory.bindMemory(to: LeakDetector<P>.self, capacity: 1))
        detector.value.fillPool()
        if unsafe state.pointee.pool.available == 0 {
            frames.value.free(frame, order: 0)
            return nil
        }
        unsafe frames.value.setWatcher(detector, in: memory + watcherOffset)
        return detector
    }

    private init(
        frames: Permanent<PageFrameAllocator<P>>, pageTables: Permanent<PageTables<P>>, forms: AddressForms,
        state: UnsafeMutablePointer<LeakState>, turnedOff: @escaping () -> Void
    ) {
        self.frames = frames
        self.pageTables = pageTables
        self.forms = forms
        unsafe self.state = state
        self.turnedOff = turnedOff
    }

    private static var watcherOffset: Int { (MemoryLayout<LeakDetector<P>>.size + 63) & ~63 }
    private static var stateOffset: Int { watcherOffset + (PageFrameAllocator<P>.watcherByteCount + 63) & ~63 }

    /// Whether allocations are noted down: true until `turnOff`, or until there was no memory for a record.
    public var isOn: Bool {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        return unsafe state.pointee.isOn
    }

    // MARK: Memory for records

    /// Takes blocks, the largest first, until there are records enough.
    private func fillPool() {
        let wanted = min(frames.value.managedFrames / 16, (64 << 20) / PageSize.byteCount)
        var order = 10
        while order >= 0 {
            let missing = wanted &- (unsafe state.pointee.pool.frameCount)
            if Int(bitPattern: missing) <= 0 { return }
            if missing < 1 << UInt(order) || !grow(order: order, .kernel) { order -= 1 }
        }
    }

    /// - Returns: false where there is no such block.
    private func grow(order: Int, _ flags: AllocationFlags) -> Bool {
        let allocation = flags | .noWarn | .noRetry | .noMemoryReserves | .noLeakTrace
        guard let frame = frames.value.allocate(order: order, flags: allocation) else { return false }
        let interrupts = lock.acquire()
        let isOn = unsafe state.pointee.isOn
        // The detector's own memory, under its lock; and a block just allocated.
        if isOn { unsafe state.pointee.pool.add(frames.value.directMap.pointer(to: frame), order: order) }
        lock.release(interrupts)
        if !isOn { frames.value.free(frame, order: order) }
        return true
    }

    /// Notes nothing down any more, for good, and gives the memory of the records back.
    /// - Returns: false where the detector was off already. - Complexity: O(blocks of records).
    @discardableResult
    public func turnOff() -> Bool {
        let interrupts = lock.acquire()
        let wasOn = unsafe state.pointee.isOn
        unsafe state.pointee.isOn = false
        lock.release(interrupts)
        if !wasOn { return false }
        frames.value.removeWatcher()
        giveRecordsBack()
        return true
    }

    /// Gives the memory of the records back where the detector is off and nobody is looking at them.
    func giveRecordsBack() {
        let interrupts = lock.acquire()
        var blocks: UInt = 0
        // The detector's own memory, under its lock.
        if unsafe !state.pointee.isOn, unsafe !state.pointee.isScanning {
            unsafe state.pointee.tree = LeakTree()
            unsafe state.pointee.queue = nil
            blocks = unsafe state.pointee.pool.removeAll()
        }
        lock.release(interrupts)
        RecordPool.giveBack(blocks, to: frames)
    }

    // MARK: Tracking

    /// Adds a record. - Parameter new: what to note down.
    @inline(never)
    func note(_ new: borrowing LeakRecord) {
        if new.byteCount == 0 { return }
        while !insert(new) {
            if !grow(order: 2, .noWait), !grow(order: 0, .noWait) {
                if turnOff() { turnedOff() }
                return
            }
        }
    }

    /// - Returns: false, with nothing changed, where there is no memory for a record.
    private func insert(_ new: borrowing LeakRecord) -> Bool {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The detector's own memory, under its lock. One record more than needed: what is replaced may be cut in two.
        if unsafe !state.pointee.isOn { return true }
        if unsafe state.pointee.pool.available < 2 { return false }
        if new.kind == .block {
            let frame = (new.start &- forms.directMapBase) >> PageSize.shift
            unsafe state.pointee.frameLimit = max(state.pointee.frameLimit, frame)
        }
        unsafe state.pointee.insert(copy new)
        return true
    }
}

extension LeakDetector: AllocationWatcher {
    /// Notes an allocation down. - Complexity: O(log records).
    public borrowing func allocated(
        _ start: UInt, byteCount: UInt, _ kind: WatchedKind, _ trace: borrowing StackTrace
    ) {
        var new = LeakRecord(
            start, byteCount: byteCount, kind, cpu: P.currentCPU, time: P.cycleCounter, minimumCount: 1, trace: trace)
        // A stack in use is a root; one that is not holds what is left from earlier.
        if kind == .stack { new.marks = .noScan }
        note(new)
    }

    /// Forgets an allocation, or the part of it that was freed. - Complexity: O(log records).
    public borrowing func freed(_ start: UInt, byteCount: UInt) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The detector's own memory, under its lock.
        if unsafe state.pointee.isOn { _ = unsafe state.pointee.remove(start, byteCount: byteCount) }
    }
}
