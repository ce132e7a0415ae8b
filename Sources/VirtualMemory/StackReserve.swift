import MemoryPrimitives
import Synchronization

/// Painted frames for stacks that grow: so many for each CPU as the usual stack has pages.
///
/// A CPU fills its own places before it runs on another stack (`KernelStacks.refillReserve`), and between two such times one
/// stack at most grows on it, by fewer pages than there are places. So no region in which locks are held, however it
/// grows the stack that it runs on, finds the reserve dry. Frames are taken by an atomic exchange, without a lock, and from
/// another CPU's places where this one's are empty: somebody may have grown stacks that it does not run on.
///
/// Each empty place has a promised frame, that of the page which the frame went to.
@safe
struct StackReserve<P: Platform>: ~Copyable {
    /// Places of one CPU.
    let capacity: Int
    private let places: UnsafeMutablePointer<Atomic<UInt>>

    private static func stride(_ capacity: Int) -> Int { (capacity &+ 7) & ~7 }

    /// Words of memory that `init` needs.
    static func wordCount(capacity: Int) -> Int { stride(capacity) &* P.cpuCount }

    /// - Parameter memory: `wordCount` words, all 0, never given back. At best aligned to 64.
    @unsafe
    init(capacity: Int, in memory: UnsafeMutablePointer<Atomic<UInt>>) {
        self.capacity = capacity
        unsafe places = memory
    }

    /// The places of a CPU.
    @inline(__always)
    private func places(of cpu: Int) -> UnsafeMutablePointer<Atomic<UInt>> {
        unsafe places + cpu &* Self.stride(capacity)
    }

    /// Takes a frame, this CPU's first. Interrupts are disabled. Takes no lock. - Complexity: O(capacity); O(CPUs) at worst.
    @inline(__always)
    func take() -> PageFrameNumber? { take(from: P.currentCPU) ?? takeFromOthers() }

    @inline(__always)
    private func take(from cpu: Int) -> PageFrameNumber? {
        let own = unsafe places(of: cpu)
        for index in 0..<capacity {
            // A place of this CPU's by the bound. Frame 0 is never allocated.
            if unsafe own[index].load(ordering: .relaxed) == 0 { continue }
            let frame = unsafe own[index].exchange(0, ordering: .acquiringAndReleasing)
            if frame != 0 { return PageFrameNumber(frame) }
        }
        return nil
    }

    @inline(never)
    private func takeFromOthers() -> PageFrameNumber? {
        for cpu in 0..<P.cpuCount {
            if let frame = take(from: cpu) { return frame }
        }
        return nil
    }

    /// Puts a painted frame into an empty place of this CPU's, which alone fills them. Interrupts are disabled.
    /// - Returns: false where none is empty.
    func put(_ frame: PageFrameNumber) -> Bool {
        let own = unsafe places(of: P.currentCPU)
        for index in 0..<capacity {
            // As in take.
            if unsafe own[index].load(ordering: .relaxed) != 0 { continue }
            unsafe own[index].store(frame.rawValue, ordering: .releasing)
            return true
        }
        return false
    }

    /// Whether a place of this CPU's is empty. - Complexity: O(capacity).
    @inline(__always)
    var isShort: Bool {
        let own = unsafe places(of: P.currentCPU)
        // As in take.
        for index in 0..<capacity where unsafe own[index].load(ordering: .relaxed) == 0 { return true }
        return false
    }

    /// What is in a place of a CPU's: a frame's number, or 0. A snapshot.
    func frame(_ cpu: Int, _ index: Int) -> UInt {
        precondition(0 <= index && index < capacity && 0 <= cpu && cpu < P.cpuCount, "no such place")
        // Within the places by the check above.
        return unsafe places(of: cpu)[index].load(ordering: .relaxed)
    }

    /// Where the places of CPU 0 are, for a debugger, and the words from one CPU's to the next one's.
    var debuggerPlaces: (address: UInt, stride: Int) {
        unsafe (UInt(bitPattern: places), Self.stride(capacity))
    }

    /// Places of all CPUs, and how many of them are empty; a snapshot.
    var figures: (places: Int, empty: Int) {
        var empty = 0
        for cpu in 0..<P.cpuCount {
            let those = unsafe places(of: cpu)
            // As in take.
            for index in 0..<capacity where unsafe those[index].load(ordering: .relaxed) == 0 { empty += 1 }
        }
        return (capacity &* P.cpuCount, empty)
    }
}
