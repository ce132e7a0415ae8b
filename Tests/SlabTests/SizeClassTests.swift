import MemoryPrimitives
import Testing

@testable import Slab

let classSizes: [UInt] = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192]

@Suite struct SizeClassTests {
    @Test func everySizeGetsTheSmallestClassThatFits() {
        for size in UInt(0)...8192 {
            #expect(SizeClass(fitting: size)?.byteCount == classSizes.first { $0 >= size }, "size \(size)")
        }
        for size in [8193, 1 << 20, 1 << 63, UInt.max] as [UInt] { #expect(SizeClass(fitting: size) == nil) }
        #expect((0..<SizeClass.count).map { SizeClass(index: $0).byteCount } == classSizes)
    }

    /// The table in the documentation.
    @Test func slabsAreCutAsDocumented() {
        let layouts = (0..<SizeClass.count).map { index in
            SlabLayout(objectSize: classSizes[index], order: SizeClass(index: index).order)
        }
        #expect(layouts.map(\.objectCount) == [443, 236, 122, 62, 41, 31, 42, 31, 16, 16, 16, 8, 4])
        #expect(layouts.map(\.order) == [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3])
        for layout in layouts {
            let objectsEnd = UInt(layout.objectCount) * layout.objectSize
            if let header = layout.headerOffset {
                #expect(objectsEnd <= header && header % 8 == 0)
                #expect(
                    header + SlabHeader.byteCount(objectCount: layout.objectCount)
                        == PageSize.byteCount << UInt(layout.order))
            } else {
                #expect(objectsEnd == PageSize.byteCount << UInt(layout.order))
            }
        }
    }

    /// Every offset of the largest slab, for every class, and every offset that 32 bits hold near the wrap.
    @Test(arguments: classSizes + [24, 40, 48, 56, 72, 80, 112, 144, 320, 1000, 3000])
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
