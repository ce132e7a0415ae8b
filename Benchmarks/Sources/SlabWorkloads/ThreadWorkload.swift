import HostSupport
import MemoryPrimitives
import WorkloadSupport

/// Objects of 64 bytes that one thread allocates and another frees, passed through a ring; and the same with one thread
/// that does both, by turns. The better of many rounds counts: whoever else uses the machine's processors can only make
/// a round slower.
@safe
struct ThreadWorkload {
    private static var pairs: Int { 500_000 }
    private static var byteCount: UInt { 64 }
    private static var fewestRounds: Int { 8 }
    private static var mostRounds: Int { 64 }

    private let ring: Ring
    private let objects: KmallocCalls<ThreadPlatform>

    static func run() {
        let machine = SlabMachine<ThreadPlatform>()
        let workload = ThreadWorkload(ring: Ring(), objects: machine.objects)
        var one = UInt64.max
        var two = UInt64.max
        var rounds = 0
        // Some more where two threads are behind: they need two processors at once, and seldom get them on a busy machine.
        while rounds < fewestRounds || (rounds < mostRounds && two > one) {
            one = min(one, workload.nanoseconds { workload in workload.runAlone() })
            two = min(two, workload.nanoseconds { workload in workload.runAsTwo() })
            rounds += 1
        }
        print("throughput\tone thread\t\(pairs)\t\(one)")
        print("throughput\ttwo threads\t\(pairs)\t\(two)")
        workload.ring.deallocate()
        machine.end()
    }

    private func nanoseconds(_ body: (ThreadWorkload) -> Void) -> UInt64 {
        let start = host_nanoseconds()
        body(self)
        return host_nanoseconds() - start
    }

    /// Fills the ring, empties it, and so on.
    private func runAlone() {
        var done = 0
        while done < Self.pairs {
            let count = min(Ring.capacity, Self.pairs - done)
            produce(from: done, count)
            consume(from: done, count)
            done += count
        }
        ring.reset()
    }

    private func runAsTwo() {
        var workload = self
        // The two functions are over when host_run_two returns, and leave the workload as it is.
        let status = unsafe withUnsafeMutablePointer(to: &workload) { workload in
            unsafe host_run_two(
                { workload in
                    unsafe ThreadWorkload.at(workload).produce(from: 0, ThreadWorkload.pairs)
                },
                { workload in
                    unsafe ThreadWorkload.at(workload).consume(from: 0, ThreadWorkload.pairs)
                }, workload)
        }
        expect(status == 0, "the host has no thread")
        ring.reset()
    }

    @unsafe
    private static func at(_ pointer: UnsafeMutableRawPointer?) -> ThreadWorkload {
        // What runAsTwo passed.
        unsafe pointer.unsafelyUnwrapped.assumingMemoryBound(to: ThreadWorkload.self).pointee
    }

    @inline(never)
    private func produce(from first: Int, _ count: Int) {
        for index in first..<first + count {
            let object = objects.allocate(Self.byteCount)
            expect(object != 0, "a request was refused")
            ring.put(object, index)
        }
        ring.publish(first + count)
    }

    @inline(never)
    private func consume(from first: Int, _ count: Int) {
        for index in first..<first + count { objects.free(ring.take(index)) }
        ring.release(first + count)
    }
}

/// A queue from one thread to another. Both tell the other of what they have done 64 objects at a time, so that the
/// queue itself costs little.
@safe
private struct Ring {
    static var capacity: Int { 1024 }
    private static var step: Int { 64 }
    /// Words from one shared number to the next: two cache lines, which processors fetch together.
    private static var distance: Int { 16 }

    private let slots: UnsafeMutablePointer<UInt>
    // How many objects were put there, and how many taken away. Behind the slots; each is written by one thread.
    private let written: UnsafeMutablePointer<UInt>
    private let taken: UnsafeMutablePointer<UInt>

    init() {
        unsafe slots = UnsafeMutablePointer.allocate(capacity: Self.capacity + 3 * Self.distance)
        unsafe written = slots + Self.capacity + Self.distance
        unsafe taken = written + Self.distance
        reset()
    }

    // Indices are the numbers of objects; slots are reused after `capacity` of them, once they were taken.

    @inline(__always)
    func put(_ object: UInt, _ index: Int) {
        if index % Self.step == 0 {
            publish(index)
            while index + Self.step > Self.capacity + Int(unsafe host_load_acquire(taken)) { host_relax() }
        }
        unsafe slots[index % Self.capacity] = object
    }

    @inline(__always)
    func publish(_ count: Int) { unsafe host_store_release(written, UInt(count)) }

    @inline(__always)
    func take(_ index: Int) -> UInt {
        if index % Self.step == 0 {
            release(index)
            while index >= Int(unsafe host_load_acquire(written)) { host_relax() }
        }
        return unsafe slots[index % Self.capacity]
    }

    @inline(__always)
    func release(_ count: Int) { unsafe host_store_release(taken, UInt(count)) }

    func reset() {
        publish(0)
        release(0)
    }

    func deallocate() { unsafe slots.deallocate() }
}
