import MemoryPrimitives
import Synchronization

/// Memory beside the frame table for what checks note down of each frame: whether it is filled with the pattern of
/// freed memory, and who had it.
///
/// A section takes its part when the first of its frames is handed out or freed, and only then is that part touched. So
/// the frames of a section without a part have never been freed, hold no pattern and have no history: what is there at
/// boot need not be filled, and 64 GiB come up as fast as without checks.
@safe
struct CheckTable<P: Platform>: ~Copyable {
    private let layout: CheckTableLayout
    private let base: UnsafeMutableRawPointer

    /// The parts that have been given to sections. Under the lock.
    private let used = Atomic<UInt32>(0)

    /// Innermost: taken with no other lock of the page frames held, and none is taken while it is.
    private let lock = SpinLock<P>()

    /// - Parameter memory: as of `CheckTableLayout.place`, its slots 0.
    @unsafe
    init(_ layout: CheckTableLayout, in memory: UnsafeMutableRawPointer) {
        self.layout = layout
        unsafe base = memory
    }

    /// What the table was made for.
    var checks: FrameChecks { layout.checks }

    // MARK: Poison

    /// Whether a frame was filled with the pattern when it was freed. - Complexity: O(1).
    func isPoisoned(_ frame: UInt32) -> Bool {
        guard let part = unsafe part(of: frame, isToBeMade: false) else { return false }
        let bit = frame & UInt32(Section.frameCount - 1)
        // There is a bit for each frame of the section.
        return unsafe Self.word(part, bit).pointee.load(ordering: .relaxed) & 1 << UInt64(bit & 63) != 0
    }

    /// Notes down whether a block's frames are filled with the pattern. The block is the caller's.
    /// - Complexity: O(frames / 64).
    func setPoisoned(_ isPoisoned: Bool, _ frame: UInt32, order: Int) {
        guard let part = unsafe part(of: frame, isToBeMade: true) else { return }
        var bit = frame & UInt32(Section.frameCount - 1)
        let end = bit + 1 << UInt32(order)
        while bit < end {
            // The bits of a block of less than 64 frames lie in one word, those of a larger one fill words.
            let mask = end - bit >= 64 ? UInt64.max : (1 << UInt64(end - bit) - 1) << UInt64(bit & 63)
            // As above. Other blocks' bits in the word change meanwhile.
            if isPoisoned {
                unsafe Self.word(part, bit).pointee.bitwiseOr(mask, ordering: .relaxed)
            } else {
                unsafe Self.word(part, bit).pointee.bitwiseAnd(~mask, ordering: .relaxed)
            }
            bit += 64
        }
    }

    @inline(__always)
    private static func word(_ part: UnsafeMutableRawPointer, _ bit: UInt32) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // A part begins with the bits; an `Atomic` has its value's layout.
        unsafe (part + Int(bit >> 6) * 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    // MARK: History

    /// A copy of what is noted down of a frame; nil where nothing is. A snapshot, unless the caller has the frame.
    func history(of frame: UInt32) -> FrameHistory? {
        guard checks.contains(.owners), let entry = unsafe entry(of: frame, isToBeMade: false) else { return nil }
        return unsafe entry.pointee.isKnown ? entry.pointee : nil
    }

    /// The entries of a block that the caller has; nil where none are kept.
    func entries(of frame: UInt32) -> UnsafeMutablePointer<FrameHistory>? {
        checks.contains(.owners) ? unsafe entry(of: frame, isToBeMade: true) : nil
    }

    private func entry(of frame: UInt32, isToBeMade: Bool) -> UnsafeMutablePointer<FrameHistory>? {
        guard let part = unsafe part(of: frame, isToBeMade: isToBeMade) else { return nil }
        // With histories kept, a part has one for each frame behind its bits.
        let entries = unsafe (part + CheckTableLayout.poisonByteCount).assumingMemoryBound(to: FrameHistory.self)
        return unsafe entries + Int(frame & UInt32(Section.frameCount - 1))
    }

    // MARK: Parts

    /// The part of a frame's section; nil where it has none and is to get none, or nothing is noted down at all.
    private func part(of frame: UInt32, isToBeMade: Bool) -> UnsafeMutableRawPointer? {
        let section = UInt(frame) >> Section.shift
        guard layout.sectionByteCount > 0, section < layout.sectionCount else { return nil }
        // There is a slot for each section.
        let slot = unsafe (base + Int(section) * 4).assumingMemoryBound(to: Atomic<UInt32>.self)
        var number = unsafe slot.pointee.load(ordering: .acquiring)
        if number == 0, isToBeMade { number = unsafe makePart(slot) }
        return number == 0 ? nil : unsafe address(ofPart: number)
    }

    private func address(ofPart number: UInt32) -> UnsafeMutableRawPointer {
        // Parts are numbered from 1, up to the capacity.
        unsafe base + layout.poolOffset + Int(number - 1) * layout.sectionByteCount
    }

    /// Gives a section its part, all zeroes. - Returns: its number; 0 where there is none left.
    /// - Complexity: O(bytes of a part).
    @inline(never)
    private func makePart(_ slot: UnsafeMutablePointer<Atomic<UInt32>>) -> UInt32 {
        lock.withLock {
            // The caller's slot, within the table.
            let found = unsafe slot.pointee.load(ordering: .relaxed)
            if found != 0 { return found }
            let number = used.load(ordering: .relaxed) + 1
            guard UInt(number) <= layout.capacity else { return 0 }
            used.store(number, ordering: .relaxed)
            // Nobody else has the part before its number is in the slot.
            unsafe address(ofPart: number).initializeMemory(
                as: UInt64.self, repeating: 0, count: layout.sectionByteCount / 8)
            unsafe slot.pointee.store(number, ordering: .releasing)
            return number
        }
    }
}
