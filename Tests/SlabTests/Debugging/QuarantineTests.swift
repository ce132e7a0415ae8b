import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

@Suite struct QuarantineTests {
    @Test func freedObjectsWaitInOrder() throws {
        let test = TestMachine(slab: SlabOptions(slubDebug: nil) { $0.quarantineByteCount = 64 * 10 })
        try test.run {
            let objects = try (0..<30).map { _ in try #require(test.kmalloc.allocate(64)) }
            for (count, object) in objects.enumerated() {
                test.kmalloc.free(object)
                #expect(test.kmalloc.quarantineFigures == (min(10, count + 1), UInt(min(10, count + 1)) * 64))
                try test.kmalloc.checkInvariants()
            }
            // The last ten are not to be had; the slab's other objects are.
            let again = try (0..<54).map { _ in try #require(test.kmalloc.allocate(64)) }
            #expect(Set(again).isDisjoint(with: objects.suffix(10)))
            #expect(Set(again).isSuperset(of: objects.prefix(20)))
            // What waits is free to its user.
            test.kmalloc.free(objects[29])
            #expect(test.violations().map(\.kind) == [.doubleFree])
            for object in again { test.kmalloc.free(object) }
            test.kmalloc.shrink()
            #expect(test.kmalloc.quarantineFigures == (0, 0))
            #expect(test.kmalloc.statistics.allSatisfy { $0.slabs == 0 })
        }
    }

    @Test func aWriteToWhatWaitsIsFoundWhenItLeaves() throws {
        let test = TestMachine(slab: SlabOptions(slubDebug: "P") { $0.quarantineByteCount = 1 << 20 })
        try test.run {
            let object = try #require(test.kmalloc.allocate(64))
            test.kmalloc.free(object)
            object[9] = 0x42
            #expect(test.violations().isEmpty)
            test.kmalloc.shrink()
            let found = test.violations()
            #expect(found.map(\.kind) == [.writeAfterFree])
            #expect(found.first?.address == object.address + 9 && found.first?.call.description == "slab_quarantine")
        }
    }

    /// One object larger than all of it, more objects than it has room for, and no memory for it.
    @Test func smallAndFull() throws {
        let test = TestMachine(slab: SlabOptions(slubDebug: nil) { $0.quarantineByteCount = 100 })
        test.run {
            test.kmalloc.free(test.kmalloc.allocate(4096))
            #expect(test.kmalloc.quarantineFigures == (0, 0))
        }
        let many = TestMachine(slab: SlabOptions(slubDebug: nil) { $0.quarantineByteCount = 64 << 10 })
        try many.run {
            let objects = try (0..<3000).map { _ in try #require(many.kmalloc.allocate(8)) }
            for object in objects { many.kmalloc.free(object) }
            let waiting = many.kmalloc.quarantineFigures.objects
            #expect(waiting >= 500 && waiting < 3000)
            try many.kmalloc.checkInvariants()
            many.kmalloc.shrink()
            #expect(many.violations().isEmpty && many.kmalloc.statistics.allSatisfy { $0.slabs == 0 })
        }
    }

    @Test(arguments: [false, true])
    func objectsAreZeroedWhereThatIsChosen(onFree: Bool) throws {
        let test = TestMachine(
            slab: SlabOptions(slubDebug: nil) {
                $0.zeroOnAllocation = !onFree
                $0.zeroOnFree = onFree
            })
        try test.run {
            for size in [8, 100, 8192] as [UInt] {
                let object = try #require(test.kmalloc.allocate(size))
                object.fill(size, seed: 5)
                test.kmalloc.free(object)
                #expect(object.isZero(size) == onFree)
                let all = try (0..<600).map { _ in try #require(test.kmalloc.allocate(size)) }
                #expect(all.allSatisfy { $0.isZero(test.kmalloc.size(of: $0)) || onFree })
                for object in all { test.kmalloc.free(object) }
            }
        }
    }
}
