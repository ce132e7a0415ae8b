import MemoryPrimitives

/// The magazines of all CPUs: for each CPU one area, on cache lines of its own, with one magazine for each cache.
@safe
struct MagazineRack<P: Platform> {
    static var cacheCount: Int { 2 * SizeClass.count }

    /// DMA memory is scarce and seldom asked for: its magazines are small.
    static func depth(ofCache index: Int) -> Int {
        index < SizeClass.count ? SizeClass(index: index).magazineDepth : 16
    }

    private let base: UnsafeMutableRawPointer
    /// Bytes from one CPU's area to the next.
    private let stride: Int
    /// Where each cache's magazine lies in the area.
    private let offsets: InlineArray<26, UInt16>

    /// Bytes of memory that `init` needs, aligned to 64.
    static var byteCount: Int { stride * P.cpuCount }

    private static var stride: Int {
        var sum = 0
        for index in 0..<cacheCount { sum += Magazine.byteCount(depth: depth(ofCache: index)) }
        return (sum + 63) & ~63
    }

    /// Empty magazines in `memory`: `byteCount` bytes, aligned to 64, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) {
        unsafe base = memory
        stride = Self.stride
        var offsets = InlineArray<26, UInt16>(repeating: 0)
        var offset = 0
        for index in 0..<Self.cacheCount {
            offsets[index] = UInt16(offset)
            offset += Magazine.byteCount(depth: Self.depth(ofCache: index))
        }
        self.offsets = offsets
        for cpu in 0..<P.cpuCount {
            for index in 0..<Self.cacheCount {
                magazine(ofCache: index, cpu: cpu).initialize(depth: Self.depth(ofCache: index))
            }
        }
    }

    /// The magazine of a cache on a CPU. For that CPU with interrupts disabled, or on a machine at rest.
    @inline(__always)
    func magazine(ofCache index: Int, cpu: Int) -> Magazine {
        // Callers pass an index below cacheCount, from a size class or a slab's header; the area holds all magazines.
        unsafe Magazine(in: base + cpu &* stride + Int(truncatingIfNeeded: offsets[unchecked: index]))
    }
}
