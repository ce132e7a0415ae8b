import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

@Suite struct MisuseTests {
    /// Frees `address` and expects that exactly this is reported and nothing changes.
    private func expect(
        _ kind: MemoryViolation.Kind, _ value: UInt, freeing address: UInt, on test: TestMachine,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let before = test.counters()
        test.kmalloc.kfree(UnsafeMutableRawPointer(bitPattern: address))
        let violations = test.violations()
        #expect(violations.map(\.kind) == [kind], sourceLocation: location)
        #expect(violations.first?.call.description == "kfree", sourceLocation: location)
        #expect(violations.first?.address == address, sourceLocation: location)
        #expect(violations.first?.value == value, sourceLocation: location)
        #expect(test.counters() == before, sourceLocation: location)
        try test.kmalloc.checkInvariants()
    }

    @Test(arguments: classSizes)
    func doubleFreeOfAnObject(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            let other = try #require(test.kmalloc.allocate(size))
            let pointer = try #require(test.kmalloc.allocate(size))
            test.kmalloc.free(pointer)
            // In the magazine, then in its slab.
            try expect(.doubleFree, size, freeing: pointer.address, on: test)
            test.kmalloc.shrink()
            try expect(.doubleFree, size, freeing: pointer.address, on: test)
            // With its slab back in the buddy.
            test.kmalloc.free(other)
            test.kmalloc.shrink()
            try expect(.doubleFree, 0, freeing: pointer.address, on: test)
        }
    }

    @Test(arguments: classSizes)
    func addressesWithinAnObject(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.allocate(size))
            for offset in [1, size / 2, size - 1] {
                try expect(.misalignedFree, size, freeing: pointer.address + offset, on: test)
            }
            test.kmalloc.free(pointer)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func addressesBehindTheObjectsOfASlab() throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.allocate(80))
            let base = pointer.address & ~4095
            for offset in [51 * 80, 51 * 80 + 8, 4095] as [UInt] {
                try expect(.wildFree, 80, freeing: base + offset, on: test)
            }
        }
    }

    @Test func headersOfOtherSlabs() throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.allocate(4096))
            let header = try #require(test.kmalloc.slab(of: pointer.address)).headerAddress
            try expect(.wildFree, 0, freeing: header, on: test)
        }
    }

    @Test func addressesThatAreNotKmallocs() throws {
        let test = TestMachine()
        try test.run {
            let map = test.directMap
            let frame = try #require(test.frames.allocate(order: 1))
            let table = try #require(test.frames.allocate(order: 0))
            test.frames.claim(table, order: 0, as: .table, owner: 5)
            let ownFrames = UInt(bitPattern: map.pointer(to: frame))
            try expect(.wildFree, 0, freeing: ownFrames, on: test)
            try expect(.wildFree, 0, freeing: ownFrames + 4096, on: test)
            try expect(.wildFree, 0, freeing: ownFrames + 8, on: test)
            try expect(.wildFree, 0, freeing: UInt(bitPattern: map.pointer(to: table)), on: test)
            for outside in [8, 4096, map.base - 8, map.base + 64 << 20, map.base + 1 << 46, .max, 0x7fff_1234_5678] {
                try expect(.wildFree, 0, freeing: outside, on: test)
            }
            // Below 1 MiB there is no memory on this machine.
            try expect(.wildFree, 0, freeing: map.base + 0x9000, on: test)
        }
    }

    @Test func largeBlocks() throws {
        let test = TestMachine()
        try test.run {
            let keeper = try #require(test.kmalloc.allocate(40000))
            let pointer = try #require(test.kmalloc.allocate(40000))
            for offset in [1, 8, 4096, 5000, 65535] as [UInt] {
                try expect(.misalignedFree, 65536, freeing: pointer.address + offset, on: test)
            }
            test.kmalloc.free(pointer)
            try expect(.doubleFree, 0, freeing: pointer.address, on: test)
            try expect(.doubleFree, 0, freeing: pointer.address + 4096, on: test)
            test.kmalloc.free(keeper)
            #expect(test.violations().isEmpty)
            try test.frames.checkInvariants()
        }
    }

    /// A write behind or before an object cannot make the allocator hand out nonsense: free objects hold nothing.
    @Test func writesIntoFreeObjectsHarmNothing() throws {
        let test = TestMachine()
        try test.run {
            let held = try (0..<300).map { _ in try #require(test.kmalloc.allocate(32)) }
            for pointer in held { test.kmalloc.free(pointer) }
            for pointer in held { pointer.fill(32, seed: 0xbad) }
            try test.kmalloc.checkInvariants()
            let again = try (0..<300).map { _ in try #require(test.kmalloc.allocate(32)) }
            #expect(Set(again).count == 300)
            #expect(test.violations().isEmpty)
        }
    }
}
