import MemoryPrimitives
import PageFrames

// What users of memory say about it, because a scan cannot know.
extension LeakDetector {
    /// Has a range of memory looked through in every scan, which is always there: data, or what refers to others' memory
    /// without being allocated. 16 ranges at most.
    /// - Returns: false where there is no room for one more. - Complexity: O(1).
    @discardableResult
    public func addRoot(_ range: VirtualRange) -> Bool {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The detector's own memory, under its lock; below the capacity.
        guard unsafe state.pointee.rootCount < LeakState.rootCapacity else { return false }
        unsafe state.pointee.roots[state.pointee.rootCount] = AddressSpan(
            range.start.rawValue, byteCount: range.byteCount)
        unsafe state.pointee.rootCount += 1
        return true
    }

    /// An allocation is never lost, whether or not something refers to it; it is looked through in every scan.
    /// - Parameter start: its first address.
    /// - Returns: false where no allocation starts there. - Complexity: O(log allocations).
    @discardableResult
    public func notLeak(_ start: UInt) -> Bool { mark(start, minimumCount: 0, .none) }

    /// An allocation is never lost, and holds no references: neither reported nor looked through.
    /// - Parameter start: its first address.
    /// - Returns: false where no allocation starts there. - Complexity: O(log allocations).
    @discardableResult
    public func ignore(_ start: UInt) -> Bool { mark(start, minimumCount: -1, .noScan) }

    /// An allocation holds no references, and is not looked through. It can be lost.
    /// - Parameter start: its first address.
    /// - Returns: false where no allocation starts there. - Complexity: O(log allocations).
    @discardableResult
    public func noScan(_ start: UInt) -> Bool { mark(start, minimumCount: nil, .noScan) }

    private func mark(_ start: UInt, minimumCount: Int32?, _ marks: LeakRecord.Marks) -> Bool {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The detector's own memory, under its lock.
        guard let reference = unsafe state.pointee.tree.find(containing: start), reference.record.start == start else {
            return false
        }
        reference.set(marks)
        if let minimumCount { reference.record.minimumCount = minimumCount }
        return true
    }

    /// The number of allocations that are noted down. A snapshot.
    public var recordCount: Int {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        return unsafe state.pointee.tree.count
    }

    /// The frames that the records take. A snapshot.
    public var recordFrames: UInt {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        return unsafe state.pointee.pool.frameCount
    }
}

// The names under which a kernel author looks for these calls.
extension LeakDetector {
    /// `notLeak(_:)`.
    public func kmemleak_not_leak(_ ptr: UnsafeRawPointer) { notLeak(UInt(bitPattern: ptr)) }

    /// `ignore(_:)`.
    public func kmemleak_ignore(_ ptr: UnsafeRawPointer) { ignore(UInt(bitPattern: ptr)) }

    /// `noScan(_:)`.
    public func kmemleak_no_scan(_ ptr: UnsafeRawPointer) { noScan(UInt(bitPattern: ptr)) }

    /// Notes down memory that no allocator tells of. With a `min_count` of 0 it is never lost, of -1 ignored.
    @inline(never)
    public func kmemleak_alloc(_ ptr: UnsafeRawPointer, _ size: UInt, _ min_count: Int32) {
        var trace = StackTrace()
        P.captureTrace(into: &trace)
        var new = LeakRecord(
            UInt(bitPattern: ptr), byteCount: size, .object, cpu: P.currentCPU, time: P.cycleCounter,
            minimumCount: max(-1, min_count), trace: trace)
        if min_count < 0 { new.marks = .noScan }
        note(new)
    }

    /// Forgets memory that starts at `ptr`: all of what was noted down for it.
    public func kmemleak_free(_ ptr: UnsafeRawPointer) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        let start = UInt(bitPattern: ptr)
        // The detector's own memory, under its lock.
        guard let reference = unsafe state.pointee.tree.find(containing: start), reference.record.start == start else {
            return
        }
        _ = unsafe state.pointee.remove(start, byteCount: reference.record.byteCount)
    }

    /// Forgets a part of what was noted down.
    public func kmemleak_free_part(_ ptr: UnsafeRawPointer, _ size: UInt) {
        freed(UInt(bitPattern: ptr), byteCount: size)
    }
}
