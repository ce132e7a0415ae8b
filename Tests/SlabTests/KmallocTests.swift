import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct KmallocTests {
    @Test func everySizeIsAlignedAndLargeEnough() throws {
        let test = TestMachine()
        try test.run {
            var held: [UnsafeMutableRawPointer] = []
            for size in UInt(1)...8192 {
                let pointer = try #require(test.kmalloc.allocate(size))
                let real = test.kmalloc.size(of: pointer)
                #expect(real >= size)
                // Powers of two are aligned to themselves, the others to what divides them.
                let alignment = UInt(1) << min(UInt(real.trailingZeroBitCount), 12)
                #expect(pointer.address % alignment == 0, "size \(size)")
                held.append(pointer)
                if held.count == 512 {
                    #expect(Set(held).count == held.count)
                    for pointer in held { test.kmalloc.free(pointer) }
                    held = []
                }
            }
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    @Test func alignedAllocationHonoursEveryAlignment() throws {
        let test = TestMachine()
        try test.run {
            for shift in 0...16 {
                let alignment = UInt(1) << UInt(shift)
                for size in [0, 1, 8, 20, 65, 72, 96, 100, 130, 180, 192, 200, 1000, 8192, 8193, 50000] as [UInt] {
                    let pointer = try #require(test.kmalloc.alignedAllocate(size, alignment: alignment))
                    #expect(pointer.address % alignment == 0, "\(size) bytes at \(alignment)")
                    #expect(test.kmalloc.size(of: pointer) >= max(size, 1))
                    test.kmalloc.free(pointer)
                }
            }
            for bad in [0, 3, 24, UInt.max] as [UInt] {
                #expect(test.kmalloc.alignedAllocate(8, alignment: bad) == nil)
            }
            #expect(test.kmalloc.alignedAllocate(.max, alignment: 64) == nil)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func noBytesIsAnAddressThatCanBeFreed() {
        let test = TestMachine()
        test.run {
            let before = test.counters()
            let pointer = test.kmalloc.kmalloc(0, .kernel)
            #expect(pointer?.address == 16)
            #expect(test.kmalloc.ksize(pointer) == 0)
            #expect(test.kmalloc.ksize(nil) == 0)
            test.kmalloc.kfree(pointer)
            test.kmalloc.kfree(pointer)
            test.kmalloc.kfree(nil)
            #expect(test.counters() == before)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func largeSizesComeFromTheBuddy() throws {
        let test = TestMachine()
        try test.run {
            let before = test.counters()
            for (size, pages) in [(8193, 4), (16384, 4), (16385, 8), (1 << 20, 256), (4 << 20, 1024)] as [(UInt, UInt)]
            {
                let pointer = try #require(test.kmalloc.kzalloc(size, .kernel))
                #expect(test.kmalloc.ksize(pointer) == pages << 12)
                #expect(pointer.address % (pages << 12) == 0)
                #expect(test.kmalloc.largeBlockCount == 1)
                #expect(test.kmalloc.largeBlockFrames == Int(pages))
                #expect(pointer.isZero(min(pages << 12, 65536)))
                pointer.fill(size, seed: 7)
                test.kmalloc.kfree(pointer)
            }
            for size in [4 << 20 + 1, 1 << 40, UInt.max] as [UInt] {
                #expect(test.kmalloc.kmalloc(size, .kernel) == nil)
            }
            #expect(test.counters() == before)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func productsThatOverflowAreRefused() {
        let test = TestMachine()
        test.run {
            let before = test.counters()
            for (n, size) in [(UInt.max, 2), (1 << 32, 1 << 32), (2, 1 << 63), ((1 << 61) + 1, 8)] as [(UInt, UInt)] {
                #expect(test.kmalloc.kmalloc_array(n, size, .kernel) == nil)
                #expect(test.kmalloc.kcalloc(n, size, .kernel) == nil)
            }
            #expect(test.counters() == before)
            let pointer = test.kmalloc.kcalloc(10, 10, .kernel)
            #expect(test.kmalloc.ksize(pointer) == 112)
            #expect(pointer?.isZero(128) == true)
            #expect(test.kmalloc.kmalloc_array(0, 8, .kernel)?.address == 16)
        }
    }

    @Test(arguments: classSizes)
    func zeroClearsWhatWasDirty(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            let dirty = try (0..<100).map { _ in try #require(test.kmalloc.allocate(size)) }
            for pointer in dirty {
                pointer.fill(size, seed: 99)
                test.kmalloc.free(pointer)
            }
            let clean = try (0..<100).map { _ in try #require(test.kmalloc.kzalloc(size - 1, .kernel)) }
            #expect(!Set(clean).isDisjoint(with: dirty))
            for pointer in clean { #expect(pointer.isZero(test.kmalloc.ksize(pointer))) }
        }
    }

    @Test func dmaMemoryLiesInTheZone() throws {
        let test = TestMachine(memory: 64 << 20)
        try test.run {
            for flags in [AllocationFlags.dma, .dma32, [.dma, .zero]] {
                for size in classSizes + [10000] {
                    let pointer = try #require(test.kmalloc.allocate(size, flags: flags))
                    let address = pointer.address - test.directMap.base
                    #expect(address < (flags == .dma32 && size > 8192 ? 4 << 30 : 16 << 20))
                    if flags.contains(.zero) { #expect(pointer.isZero(size)) }
                    test.kmalloc.free(pointer)
                }
            }
            let ordinary = try #require(test.kmalloc.allocate(64))
            #expect(ordinary.address - test.directMap.base >= 16 << 20)
            let moved = try #require(test.kmalloc.reallocate(ordinary, 64, flags: [.kernel, .dma]))
            #expect(moved.address - test.directMap.base < 16 << 20)
            test.kmalloc.free(moved)
            try test.kmalloc.checkInvariants()
            #expect(test.kmalloc.statistics(of: "dma-kmalloc-64").totalObjects == 64)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func shrinkReturnsEveryFrame() throws {
        let test = TestMachine()
        try test.run {
            let before = test.freeFrames
            for flags in [AllocationFlags.kernel, .dma] {
                var held: [UnsafeMutableRawPointer] = []
                for size in classSizes + [9000, 100_000] {
                    for _ in 0..<40 { held.append(try #require(test.kmalloc.allocate(size, flags: flags))) }
                }
                #expect(test.freeFrames < before)
                for pointer in held { test.kmalloc.free(pointer) }
            }
            #expect(test.freeFrames < before)
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try test.kmalloc.checkInvariants()
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    @Test func whatIsFreedWaitsInTheDepot() throws {
        let test = TestMachine()
        try test.run {
            let held = try (0..<1000).map { _ in try #require(test.kmalloc.allocate(64)) }
            let statistics = test.kmalloc.statistics(of: "kmalloc-64")
            #expect(statistics.objectSize == 64 && statistics.slabs == 16)
            #expect(statistics.activeObjects == 1000 && statistics.totalObjects == 16 * 64)
            #expect(statistics.activeObjects + statistics.cachedObjects <= statistics.totalObjects)
            for pointer in held { test.kmalloc.free(pointer) }
            let after = test.kmalloc.statistics(of: "kmalloc-64")
            #expect(after.activeObjects == 0 && after.slabs == 16 && after.cachedObjects >= 1000)
            test.kmalloc.shrink()
            let last = test.kmalloc.statistics(of: "kmalloc-64")
            #expect(last.slabs == 0 && last.cachedObjects == 0 && last.slabsFetched == last.slabsReturned)
        }
    }
}
