import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

@Suite struct ReallocateTests {
    /// From every size to every size: contents kept, in place where it fits.
    @Test func contentsAreKept() throws {
        let test = TestMachine()
        let sizes: [UInt] = [1, 8, 9, 64, 65, 96, 100, 192, 500, 4096, 5000, 8192, 8193, 20000, 100_000]
        try test.run {
            for old in sizes {
                for new in sizes {
                    let pointer = try #require(test.kmalloc.allocate(old))
                    let real = test.kmalloc.size(of: pointer)
                    pointer.fill(old, seed: UInt64(old))
                    let result = try #require(test.kmalloc.krealloc(pointer, new, .kernel))
                    #expect(result.isFilled(old, seed: UInt64(old), checked: min(old, new)), "\(old) to \(new)")
                    #expect((result == pointer) == (new <= real), "\(old) to \(new)")
                    #expect(test.kmalloc.ksize(result) >= new)
                    test.kmalloc.kfree(result)
                }
            }
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    @Test func nilAllocatesAndNoBytesFrees() throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.krealloc(nil, 40, .kernel))
            #expect(test.kmalloc.ksize(pointer) == 64)
            #expect(test.kmalloc.krealloc(pointer, 0, .kernel)?.address == 16)
            #expect(test.kmalloc.statistics(of: "kmalloc-64").activeObjects == 0)
            let fromZero = UnsafeMutableRawPointer(bitPattern: 16 as UInt)
            let again = try #require(test.kmalloc.krealloc(fromZero, 8, .kernel))
            #expect(test.kmalloc.ksize(again) == 8)
            #expect(test.kmalloc.krealloc(nil, 0, .kernel)?.address == 16)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func whatIsGainedIsZero() throws {
        let test = TestMachine()
        try test.run {
            let dirty = try classSizes.flatMap { size in
                try (0..<64).map { _ in
                    let pointer = try #require(test.kmalloc.allocate(size))
                    pointer.fill(size, seed: 3)
                    return pointer
                }
            }
            for pointer in dirty { test.kmalloc.free(pointer) }
            let flags: AllocationFlags = [.kernel, .zero]
            var pointer = try #require(test.kmalloc.krealloc(nil, 20, flags))
            var size: UInt = 20
            for new in [30, 10, 32, 33, 60, 5, 64, 1000, 100, 1024, 7000, 9000, 30000, 20000, 32768] as [UInt] {
                pointer.fill(size, seed: 5)
                pointer = try #require(test.kmalloc.krealloc(pointer, new, flags))
                #expect(pointer.isFilled(size, seed: 5, checked: min(size, new)))
                if new > size { #expect(pointer.isZero(from: size, new), "\(size) to \(new)") }
                size = new
            }
        }
    }

    @Test func failureLeavesTheOldBlock() throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.allocate(100))
            pointer.fill(100, seed: 1)
            let taken = test.exhaust()
            let before = test.counters()
            for size in [200, 5000, 20000, 5 << 20, UInt.max] as [UInt] {
                #expect(test.kmalloc.krealloc(pointer, size, [.kernel, .zero]) == nil)
                #expect(test.counters() == before)
                #expect(pointer.isFilled(100, seed: 1, checked: 100))
            }
            test.giveBack(taken)
            test.kmalloc.free(pointer)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func misuseIsReported() throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.allocate(100))
            #expect(test.kmalloc.krealloc(pointer + 8, 50, .kernel) == nil)
            #expect(test.kmalloc.size(of: pointer + 8) == 0)
            test.kmalloc.free(pointer)
            #expect(test.kmalloc.krealloc(pointer, 50, .kernel) == nil)
            let violations = test.violations()
            #expect(violations.map(\.kind) == [.misalignedFree, .misalignedFree, .doubleFree])
            #expect(violations.map(\.call.description) == ["krealloc", "ksize", "krealloc"])
        }
    }
}
