import KernelMemory
import MemoryPrimitives
import PageFrames

/// Room for samples, a batch of blocks and the order in which they are given back: one block of page frames, taken
/// before anything is measured.
@safe
struct BenchmarkStorage {
    static let mostSamples = 2000
    static let mostBlocks = 10_000
    private static var order: Int { 6 }

    private let samples: UnsafeMutablePointer<UInt32>
    private let permutation: UnsafeMutablePointer<UInt32>
    private let blocks: UnsafeMutablePointer<UInt>

    /// - Returns: nil where there is no memory.
    init?(from memory: Permanent<KernelMemory<X86Platform>>) {
        let count = 2 * Self.mostSamples + Self.mostBlocks
        let byteCount = count * MemoryLayout<UInt32>.stride + Self.mostBlocks * MemoryLayout<UInt>.stride
        guard byteCount <= Int(PageSize.byteCount) << Self.order,
            let frame = memory.value.frames.value.allocate(order: Self.order)
        else { return nil }
        // The block is this storage's alone, large enough for all three, and given back, if ever, by whoever took it.
        let start = unsafe memory.value.directMap.pointer(to: frame)
        unsafe blocks = start.bindMemory(to: UInt.self, capacity: Self.mostBlocks)
        let numbers = unsafe UnsafeMutableRawPointer(blocks + Self.mostBlocks)
        unsafe samples = numbers.bindMemory(to: UInt32.self, capacity: count)
        unsafe permutation = samples + 2 * Self.mostSamples
    }

    /// Gives the block back, after which nobody uses this value.
    func giveBack(to memory: Permanent<KernelMemory<X86Platform>>) {
        let physical = memory.value.directMap.physicalAddress(of: VirtualAddress(roomAddress))
        memory.value.frames.value.free(PageFrameNumber(containing: physical), order: Self.order)
    }

    // Indices are those of this directory's loops, which keep to the limits above.

    /// Notes a sample of `allocate` (series 0) or `free` (series 1).
    @inline(__always)
    func setSample(_ ticks: UInt64, _ series: Int, at index: Int) {
        unsafe samples[series * Self.mostSamples + index] = UInt32(truncatingIfNeeded: ticks)
    }

    /// The median of a series of `count` samples, which it sorts. Insertion: nearly all of them are equal.
    func median(ofSeries series: Int, count: Int) -> UInt {
        let series = unsafe samples + series * Self.mostSamples
        for end in 1..<count {
            let sample = unsafe series[end]
            var index = end
            while index > 0, unsafe series[index - 1] > sample {
                unsafe series[index] = series[index - 1]
                index -= 1
            }
            unsafe series[index] = sample
        }
        return UInt(unsafe series[count / 2])
    }

    @inline(__always)
    func setBlock(_ block: UInt, at index: Int) { unsafe blocks[index] = block }

    @inline(__always)
    func block(at index: Int) -> UInt { unsafe blocks[index] }

    @inline(__always)
    func permuted(_ index: Int) -> Int { Int(unsafe permutation[index]) }

    /// Lays down the order in which `count` blocks are given back; the random one is always the same.
    func permute(_ count: Int, _ order: BatchOrder) {
        for index in 0..<count {
            unsafe permutation[index] = UInt32(order == .lastInFirstOut ? count - 1 - index : index)
        }
        guard order == .random else { return }
        // The exchanges of Fisher and Yates.
        var draws = BenchmarkDraws()
        for index in stride(from: count - 1, to: 0, by: -1) {
            let other = draws.below(index + 1)
            let kept = unsafe permutation[index]
            unsafe permutation[index] = permutation[other]
            unsafe permutation[other] = kept
        }
    }

    /// Where the blocks' room begins, which holds `mostBlocks` numbers.
    var roomAddress: UInt { unsafe UInt(bitPattern: blocks) }
}
