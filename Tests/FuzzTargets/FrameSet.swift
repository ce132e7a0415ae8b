/// What the buddies must amount to: a set of free frames.
///
/// Buddies that always merge have one representation only for each such set: the largest aligned blocks.
public struct FrameSet: Equatable {
    /// 64 frames a word, a set bit for each that is free.
    private var words: [UInt64]
    public private(set) var count: UInt = 0

    public init(_ ranges: [Range<UInt>]) {
        let end = ranges.map(\.upperBound).max() ?? 0
        words = Array(repeating: 0, count: Int(end + 1023) / 1024 * 16)
        for range in ranges { for frame in range { insert(frame, order: 0) } }
    }

    /// No frame of the set lies here or beyond.
    public var end: UInt { UInt(words.count) * 64 }

    /// True when all frames of the aligned block are in the set.
    public func contains(_ frame: UInt, order: Int) -> Bool {
        if order >= 6 { return wordRange(frame, order).allSatisfy { words[$0] == .max } }
        let mask = mask(frame, order)
        return words[Int(frame / 64)] & mask == mask
    }

    /// True when no frame of the aligned block is in the set.
    public func isDisjoint(_ frame: UInt, order: Int) -> Bool {
        if order >= 6 { return wordRange(frame, order).allSatisfy { words[$0] == 0 } }
        return words[Int(frame / 64)] & mask(frame, order) == 0
    }

    /// Adds a block, none of whose frames is in the set.
    public mutating func insert(_ frame: UInt, order: Int) {
        if order >= 6 {
            for index in wordRange(frame, order) { words[index] = .max }
        } else {
            words[Int(frame / 64)] |= mask(frame, order)
        }
        count += 1 << UInt(order)
    }

    /// Removes a block, all of whose frames are in the set.
    public mutating func remove(_ frame: UInt, order: Int) {
        if order >= 6 {
            for index in wordRange(frame, order) { words[index] = 0 }
        } else {
            words[Int(frame / 64)] &= ~mask(frame, order)
        }
        count -= 1 << UInt(order)
    }

    /// The number of free blocks of each order, 0 to 10, among `range`, whose ends are multiples of 1024.
    public func freeBlocks(in range: Range<UInt> = 0..<UInt.max) -> [UInt] {
        var counts = Array(repeating: UInt(0), count: 11)
        let end = min(range.upperBound, UInt(words.count) * 64)
        for section in stride(from: min(range.lowerBound, end), to: end, by: 1024) { count(section, 10, &counts) }
        return counts
    }

    /// Counts the largest blocks within a block.
    private func count(_ frame: UInt, _ order: Int, _ counts: inout [UInt]) {
        if isDisjoint(frame, order: order) { return }
        if contains(frame, order: order) {
            counts[order] += 1
        } else {
            count(frame, order - 1, &counts)
            count(frame + 1 << UInt(order - 1), order - 1, &counts)
        }
    }

    private func wordRange(_ frame: UInt, _ order: Int) -> Range<Int> {
        Int(frame / 64)..<Int(frame / 64) + 1 << (order - 6)
    }

    private func mask(_ frame: UInt, _ order: Int) -> UInt64 { (1 << (1 << UInt64(order)) - 1) << UInt64(frame % 64) }
}
