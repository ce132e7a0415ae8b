import MemoryPrimitives
import Synchronization

/// The events of all CPUs: a ring for each, and counters.
///
/// written = read + overwritten + in the rings; dropped were never written. All calls may come from any context, with any lock
/// held, in the midst of another call as well, and wait for nothing.
@safe
public struct TraceBuffer<P: Platform>: ~Copyable, @unchecked Sendable {
    private struct Counters: ~Copyable {
        let written = Atomic<UInt64>(0)
        let dropped = Atomic<UInt64>(0)
        let overwritten = Atomic<UInt64>(0)
    }

    private let memory: UnsafeMutableRawPointer
    /// The events that each CPU's ring has room for.
    public let capacity: Int

    /// What has been counted since the buffer was made.
    public struct Counts: Sendable, Equatable {
        /// Events that went into a ring.
        public var written: UInt64 = 0
        /// Events for which there was no room.
        public var dropped: UInt64 = 0
        /// Events that made way for newer ones.
        public var overwritten: UInt64 = 0
        /// Events in the rings.
        public var waiting: UInt64 = 0

        /// Nothing has been counted.
        public init() {}

        /// Events that are not, and will not be, read.
        public var lost: UInt64 { dropped &+ overwritten }
    }

    private static var countersByteCount: Int { 64 }

    private static func stride(_ capacity: Int) -> Int {
        (countersByteCount + TraceRing.byteCount(capacity: capacity) + 63) & ~63
    }

    /// Bytes of memory that `init` needs for `capacity` events of each CPU, aligned to 64.
    public static func byteCount(capacity: Int) -> Int { stride(capacity) * P.cpuCount }

    /// The events of each CPU that `byteCount` bytes have room for, at least 1 of which there must be.
    public static func capacity(inBytes byteCount: Int) -> Int {
        max(1, (byteCount / P.cpuCount - countersByteCount - 128) / (TraceRing.slotWords * 8))
    }

    /// Empty rings. - Parameter memory: `byteCount(capacity:)` bytes, aligned to 64, for as long as the buffer is used.
    @unsafe
    public init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        unsafe self.memory = memory
        self.capacity = capacity
        for cpu in 0..<P.cpuCount {
            let start = unsafe memory + cpu * Self.stride(capacity)
            unsafe start.bindMemory(to: Counters.self, capacity: 1).initialize(to: Counters())
            _ = unsafe TraceRing(in: start + Self.countersByteCount, capacity: capacity)
        }
    }

    @inline(__always)
    private func counters(_ cpu: Int) -> UnsafeMutablePointer<Counters> {
        // The buffer's own memory, bound by `init`.
        unsafe (memory + cpu * Self.stride(capacity)).assumingMemoryBound(to: Counters.self)
    }

    @inline(__always)
    func ring(_ cpu: Int) -> TraceRing {
        // As above.
        unsafe TraceRing(existingIn: memory + cpu * Self.stride(capacity) + Self.countersByteCount)
    }

    /// Adds an event to the ring of the CPU that it names. - Returns: false, with nothing counted, where that is full.
    public func tryWrite(_ event: borrowing TraceEvent) -> Bool {
        let cpu = Int(event.cpu)
        guard ring(cpu).write(event) else { return false }
        unsafe counters(cpu).pointee.written.add(1, ordering: .relaxed)
        return true
    }

    /// As `tryWrite`; the oldest events make way where the ring is full. An event is dropped only where the oldest cannot go
    /// at the moment, since whoever writes or reads it has been interrupted.
    public func writeOver(_ event: borrowing TraceEvent) {
        let cpu = Int(event.cpu)
        while !tryWrite(event) {
            // With an event being read, to take others makes no room.
            guard ring(cpu).isFullOfEvents, ring(cpu).read() != nil else { return drop(onCPU: cpu) }
            unsafe counters(cpu).pointee.overwritten.add(1, ordering: .relaxed)
        }
    }

    /// Counts an event that could not be written.
    public func drop(onCPU cpu: Int) { unsafe counters(cpu).pointee.dropped.add(1, ordering: .relaxed) }

    /// Takes the oldest event of all CPUs.
    /// - Returns: the event; nil where there is none, or it is still being written. - Complexity: O(CPUs).
    public func read() -> TraceEvent? {
        var oldest: UInt64 = .max
        var found: Int?
        for cpu in 0..<P.cpuCount {
            guard let time = ring(cpu).oldestTime, found == nil || time < oldest else { continue }
            (oldest, found) = (time, cpu)
        }
        return found.flatMap { ring($0).read() }
    }

    /// Calls `body` with each event that waits, the oldest of all CPUs first; they stay. Those that go meanwhile are left out.
    /// - Complexity: O(events * CPUs).
    public func forEach(_ body: (borrowing TraceEvent) -> Void) {
        // As many as a person would wait for: with one CPU there is nothing to merge.
        if P.cpuCount == 1 {
            let ring = ring(0)
            for position in 0..<ring.count { if let event = ring.peek(position) { body(event) } }
            return
        }
        unsafe withUnsafeTemporaryAllocation(of: Int.self, capacity: P.cpuCount) { positions in
            for cpu in 0..<P.cpuCount { unsafe positions.initializeElement(at: cpu, to: 0) }
            while true {
                var oldest: TraceEvent?
                for cpu in 0..<P.cpuCount {
                    let ring = ring(cpu)
                    while unsafe positions[cpu] < ring.count {
                        // One for each CPU.
                        if let event = unsafe ring.peek(positions[cpu]) {
                            if event.time < oldest?.time ?? .max { oldest = event }
                            break
                        }
                        unsafe positions[cpu] += 1
                    }
                }
                guard let oldest else { return }
                unsafe positions[Int(oldest.cpu)] += 1
                body(oldest)
            }
        }
    }

    /// What one CPU has counted. A snapshot.
    public func counts(ofCPU cpu: Int) -> Counts {
        var counts = Counts()
        counts.waiting = UInt64(ring(cpu).count)
        counts.written = unsafe counters(cpu).pointee.written.load(ordering: .relaxed)
        counts.dropped = unsafe counters(cpu).pointee.dropped.load(ordering: .relaxed)
        counts.overwritten = unsafe counters(cpu).pointee.overwritten.load(ordering: .relaxed)
        return counts
    }

    /// What all CPUs have counted. A snapshot.
    public var counts: Counts {
        var sum = Counts()
        for cpu in 0..<P.cpuCount {
            let counts = counts(ofCPU: cpu)
            sum.written &+= counts.written
            sum.dropped &+= counts.dropped
            sum.overwritten &+= counts.overwritten
            sum.waiting &+= counts.waiting
        }
        return sum
    }
}
