import MemoryPrimitives
import Synchronization

/// Stacks that were freed and are ready for the next who asks: two for each CPU, then eight for all.
///
/// A place holds the note of the stack's area, or 0, and changes by atomic exchange: no lock, from any context.
@safe
struct StackCache<P: Platform>: ~Copyable {
    private static var perCPU: Int { 2 }
    private static var shared: Int { 8 }
    /// Places from one CPU's to the next one's: a cache line.
    private static var stride: Int { 8 }

    /// Words of memory that `init` needs.
    static var wordCount: Int { P.cpuCount &* stride &+ shared }

    private let places: UnsafeMutablePointer<Atomic<UInt>>

    /// - Parameter memory: `wordCount` words, all 0, never given back.
    @unsafe
    init(in memory: UnsafeMutablePointer<Atomic<UInt>>) { unsafe places = memory }

    /// Keeps a stack that is the caller's. - Returns: false where all places are taken.
    func put(_ stack: AreaReference) -> Bool {
        let word = unsafe UInt(bitPattern: stack.memory)
        // The CPU may change meanwhile: any place will do.
        let own = P.currentCPU &* Self.stride
        return put(word, own..<own &+ Self.perCPU) || put(word, Self.sharedPlaces)
    }

    /// Takes a stack that is ready, for the caller; nil where there is none.
    func take() -> AreaReference? {
        let own = P.currentCPU &* Self.stride
        return take(own..<own &+ Self.perCPU) ?? take(Self.sharedPlaces)
    }

    /// Takes any stack, other CPUs' too, for somebody who needs the memory.
    func takeAny() -> AreaReference? { take(0..<Self.wordCount) }

    /// Where the places are, for a debugger.
    var debuggerAddress: UInt { unsafe UInt(bitPattern: places) }

    /// How many stacks are ready; a snapshot.
    var count: UInt {
        var count: UInt = 0
        // Within the memory by the bound.
        for index in 0..<Self.wordCount where unsafe places[index].load(ordering: .relaxed) != 0 { count += 1 }
        return count
    }

    /// Calls `body` with each stack that is ready, while nobody else takes any.
    func forEach<Failure: Error>(_ body: (AreaReference) throws(Failure) -> Void) throws(Failure) {
        for index in 0..<Self.wordCount {
            // Within the memory by the bound; what a place holds is a note.
            if let stack = unsafe AreaReference(noteAt: places[index].load(ordering: .acquiring)) { try body(stack) }
        }
    }

    private static var sharedPlaces: Range<Int> { wordCount &- shared..<wordCount }

    @inline(__always)
    private func put(_ word: UInt, _ range: Range<Int>) -> Bool {
        for index in range {
            // Callers keep within the memory.
            if unsafe places[index].compareExchange(
                expected: 0, desired: word, successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed
            ).exchanged {
                return true
            }
        }
        return false
    }

    @inline(__always)
    private func take(_ range: Range<Int>) -> AreaReference? {
        for index in range {
            // Callers keep within the memory; what a place holds is a note, which is the taker's then.
            if unsafe places[index].load(ordering: .relaxed) == 0 { continue }
            let word = unsafe places[index].exchange(0, ordering: .acquiringAndReleasing)
            if let stack = unsafe AreaReference(noteAt: word) { return stack }
        }
        return nil
    }
}
