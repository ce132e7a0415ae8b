import MemoryPrimitives

@testable import PageFrames

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
            forEachBlock(in: section, 10) { _, order in counts[order] += 1 }
        }
        return counts
    }

    /// The largest free blocks within an aligned block, ascending.
    func freeBlocks(within frame: Int, order: Int) -> [(frame: Int, order: Int)] {
        var blocks: [(frame: Int, order: Int)] = []
        forEachBlock(in: frame, order) { blocks.append(($0, $1)) }
        return blocks
    }

    /// Calls `body` with the largest free blocks within a block, in ascending order.
    private func forEachBlock(in frame: Int, _ order: Int, _ body: (Int, Int) -> Void) {
        if isFree(frame, order: order) {
            body(frame, order)
        } else if order >= 6 || order > 0 && words[frame / 64] & mask(frame, order) != 0 {
            forEachBlock(in: frame, order - 1, body)
            forEachBlock(in: frame + 1 << (order - 1), order - 1, body)
        }
    }
}
