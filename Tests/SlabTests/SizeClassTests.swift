import MemoryPrimitives
import Testing

@testable import Slab

let classSizes: [UInt] = [
    8, 16, 24, 32, 64, 80, 96, 112, 128, 160, 192, 224, 256,
    288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 832, 896, 960, 1024,
    1152, 1280, 1408, 1536, 1664, 1792, 1920, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 8192,
]

@Suite struct SizeClassTests {
    @Test func everySizeGetsTheSmallestClassThatFits() {
        for size in UInt(0)...8192 {
            #expect(SizeClass(fitting: size)?.byteCount == classSizes.first { $0 >= size }, "size \(size)")
        }
        for size in [8193, 1 << 20, 1 << 63, UInt.max] as [UInt] { #expect(SizeClass(fitting: size) == nil) }
        #expect((0..<SizeClass.count).map { SizeClass(index: $0).byteCount } == classSizes)
    }

    /// A header lies elsewhere, no object is cut off, and what is left over is less than an object or little.
    @Test func slabsAreFull() {
        for size in classSizes {
            let layout = SlabLayout(objectSize: size, slotSize: size)
            let byteCount = PageSize.byteCount << UInt(layout.order)
            let objects = UInt(layout.objectCount) * size
            #expect(objects <= byteCount && byteCount - objects < size, "size \(size)")
            #expect((byteCount - objects) * 100 <= byteCount * 7, "size \(size)")
            #expect(layout.headerByteCount <= 640, "size \(size)")
            if size.nonzeroBitCount == 1 { #expect(objects == byteCount) }
        }
        let smallest = SlabLayout(objectSize: 8, slotSize: 8)
        #expect(smallest.objectCount == 512 && smallest.order == 0)
    }

    /// What `alignedAllocate` stands on.
    @Test func multiplesOfAnAlignmentGetAClassThatIsAligned() {
        for size in UInt(1)...8192 {
            let alignment = UInt(1) << UInt(size.trailingZeroBitCount)
            #expect(SizeClass(fitting: size)!.byteCount % min(alignment, 4096) == 0, "size \(size)")
        }
    }

    /// Every offset of the largest slab, for every class, and every offset that 32 bits hold near the wrap.
    @Test(arguments: classSizes + [40, 56, 72, 144, 1000, 3000])
    func indexByMultiplicationIsExact(size: UInt) {
        let indexing = ObjectIndexing(objectSize: UInt32(size))
        let limit = UInt32.max / UInt32(size)
        var wrong = 0
        for offset in UInt32(0)...(64 << 10) {
            let index = indexing.index(atOffset: offset)
            let isStart = offset % UInt32(size) == 0
            if isStart ? index != offset / UInt32(size) : index <= limit { wrong += 1 }
        }
        for offset in (UInt32.max - 64 << 10)...UInt32.max {
            let index = indexing.index(atOffset: offset)
            let isStart = offset % UInt32(size) == 0
            if isStart ? index != offset / UInt32(size) : index <= limit { wrong += 1 }
        }
        #expect(wrong == 0)
    }
}
