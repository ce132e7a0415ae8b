/// What the buddies must amount to: a bit for each frame.
///
/// Buddies that always merge have one representation only for each set of free frames: the largest aligned blocks.
struct ReferenceModel {
    /// 64 frames a word, a set bit for each that is free.
    private var words: [UInt64]
    private(set) var freeFrames = 0

    init(frameCount: Int, free: [Range<UInt>]) {
        words = Array(repeating: 0, count: (frameCount + 1023) / 1024 * 16)
        for range in free { for frame in range { set(frame, order: 0, free: true) } }
    }

    /// True when all frames of the aligned block are free.
    func isFree(_ frame: Int, order: Int) -> Bool {
        if order >= 6 {
            for index in frame / 64..<(frame + 1 << order) / 64 where words[index] != .max { return false }
            return true
        }
        let mask = mask(frame, order)
        return words[frame / 64] & mask == mask
    }

    mutating func set(_ frame: UInt, order: Int, free: Bool) {
        if order >= 6 {
            for index in Int(frame) / 64..<(Int(frame) + 1 << order) / 64 { words[index] = free ? .max : 0 }
        } else if free {
            words[Int(frame) / 64] |= mask(Int(frame), order)
        } else {
            words[Int(frame) / 64] &= ~mask(Int(frame), order)
        }
        freeFrames += free ? 1 << order : -(1 << order)
    }

    private func mask(_ frame: Int, _ order: Int) -> UInt64 { (1 << (1 << UInt64(order)) - 1) << UInt64(frame % 64) }

    /// The number of free blocks of each order in `range`, whose ends are multiples of 1024.
    func freeBlocks(in range: Range<Int>) -> [UInt] {
        var counts = Array(repeating: UInt(0), count: 11)
        for section in stride(from: range.lowerBound, to: min(range.upperBound, words.count * 64), by: 1024) {
            count(section, 10, &counts)
        }
        return counts
    }

    /// Counts the largest free blocks within a block.
    private func count(_ frame: Int, _ order: Int, _ counts: inout [UInt]) {
        if isFree(frame, order: order) {
            counts[order] += 1
        } else if order >= 6 || order > 0 && words[frame / 64] & mask(frame, order) != 0 {
            count(frame, order - 1, &counts)
            count(frame + 1 << (order - 1), order - 1, &counts)
        }
    }
}
