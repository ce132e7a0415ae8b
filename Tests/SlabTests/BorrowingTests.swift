import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Size classes that help each other out.
@Suite struct BorrowingTests {
    private typealias Pointer = UnsafeMutableRawPointer

    /// Has a class use up what it has: four slabs at least, and all of its objects.
    private func useUp(_ size: UInt, of test: TestMachine) throws -> [Pointer] {
        var held: [Pointer] = []
        let name = test.kmalloc.target.value.cache(serving: size).value.name.text
        while true {
            let figures = try #require(test.kmalloc.statistics.first { $0.name.text == name })
            if figures.slabs >= 4, figures.activeObjects == figures.totalObjects { return held }
            held.append(try #require(test.kmalloc.allocate(size)))
        }
    }

    /// Leaves free objects of a class behind.
    private func leave(_ count: Int, of size: UInt, _ test: TestMachine) throws {
        let objects = try (0..<count).map { _ in try #require(test.kmalloc.allocate(size)) }
        for object in objects {
            object.fill(size, seed: 1)
            test.kmalloc.free(object)
        }
    }

    @Test func aClassThatIsUsedUpTakesFromALargerOne() throws {
        let test = TestMachine()
        try test.run {
            var held = try useUp(1100, of: test)
            try leave(200, of: 1400, test)
            let before = test.freeFrames
            let lender = test.kmalloc.statistics(of: "kmalloc-1408")
            let object = try #require(test.kmalloc.kzalloc(1100, .kernel))
            #expect(test.kmalloc.size(of: object) == 1408 && object.isZero(1408))
            #expect(test.freeFrames == before)
            #expect(test.kmalloc.statistics(of: "kmalloc-1408").activeObjects == lender.activeObjects + 1)
            try test.kmalloc.checkInvariants()
            // It goes home to its own class, and moves within its own size.
            #expect(test.kmalloc.krealloc(object, 1408, .kernel) == object)
            held.append(object)
            for pointer in held { test.kmalloc.free(pointer) }
            #expect(test.kmalloc.statistics(of: "kmalloc-1408").activeObjects == lender.activeObjects)
            #expect(test.violations().isEmpty)
            try test.kmalloc.checkInvariants()
        }
    }

    /// After four slabs' worth of borrowed objects it makes a slab.
    @Test func borrowingEndsWithASlab() throws {
        let test = TestMachine()
        try test.run {
            var held = try useUp(1100, of: test)
            try leave(400, of: 1280, test)
            let slabs = test.kmalloc.statistics(of: "kmalloc-1152").slabs
            let most = 4 * test.kmalloc.statistics(of: "kmalloc-1152").objectsPerSlab
            for _ in 0..<most { held.append(try #require(test.kmalloc.allocate(1100))) }
            #expect(test.kmalloc.statistics(of: "kmalloc-1152").slabs == slabs)
            held.append(try #require(test.kmalloc.allocate(1100)))
            #expect(test.kmalloc.statistics(of: "kmalloc-1152").slabs == slabs + 1)
            for pointer in held { test.kmalloc.free(pointer) }
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// What is borrowed is aligned as what was asked for: to the largest power of two that divides the size.
    @Test(arguments: [520, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1536, 1792] as [UInt])
    func borrowedObjectsAreAligned(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            var held = try useUp(size, of: test)
            for larger in classSizes where larger > test.kmalloc.kmalloc_size_roundup(size) && larger <= 4096 {
                try leave(100, of: larger, test)
            }
            var borrowed = 0
            for _ in 0..<40 {
                let object = try #require(test.kmalloc.allocate(size))
                #expect(object.address.trailingZeroBitCount >= size.trailingZeroBitCount, "\(object)")
                let found = test.kmalloc.size(of: object)
                #expect((size...2 * test.kmalloc.kmalloc_size_roundup(size)).contains(found))
                if found > test.kmalloc.kmalloc_size_roundup(size) { borrowed += 1 }
                held.append(object)
            }
            #expect(borrowed > 10)
            for pointer in held { test.kmalloc.free(pointer) }
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// A class has an object to spare while it has more than half a slab of them.
    @Test func aClassKeepsHalfASlab() throws {
        let test = TestMachine()
        try test.run {
            var held = try useUp(600, of: test)
            try leave(1, of: 700, test)
            // What is in the magazine does not count: all into the slabs.
            test.kmalloc.free(test.kmalloc.allocate(700))
            let lender = test.kmalloc.cache("kmalloc-704")
            let perSlab = lender.layout.objectCount
            let first = try (0..<perSlab).map { _ in try #require(test.kmalloc.allocate(700)) }
            let magazine = lender.target.value.magazine(0)
            #expect(magazine.tryHold())
            for object in first { test.kmalloc.free(object) }
            let free = lender.target.value.withState { $0.freeObjects + $0.depot.objectCount }
            #expect(free > perSlab / 2)
            for _ in 0..<free - perSlab / 2 {
                held.append(try #require(test.kmalloc.allocate(600)))
                #expect(test.kmalloc.size(of: held.last!) == 704)
            }
            held.append(try #require(test.kmalloc.allocate(600)))
            #expect(test.kmalloc.size(of: held.last!) == 640)
            magazine.letGo()
            for object in held { test.kmalloc.free(object) }
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// A watched class never lends, nor one of more than twice the size.
    @Test func notEachClassLends() throws {
        let test = TestMachine()
        try test.run {
            var held = try useUp(600, of: test)
            try leave(200, of: 2048, test)
            var object = try #require(test.kmalloc.allocate(600))
            #expect(test.kmalloc.size(of: object) == 640)
            for pointer in held + [object] { test.kmalloc.free(pointer) }

            let watched = TestMachine(slabOptions: SlabOptions(slubDebug: "P,kmalloc-704"))
            try watched.run {
                held = try useUp(600, of: watched)
                try leave(200, of: 700, watched)
                object = try #require(watched.kmalloc.allocate(600))
                #expect(watched.kmalloc.size(of: object) == 640)
                for pointer in held + [object] { watched.kmalloc.free(pointer) }
                try watched.kmalloc.checkInvariants()
            }
        }
    }

    /// A class with few slabs makes another.
    @Test func aClassWithFewSlabsDoesNotBorrow() throws {
        let test = TestMachine()
        try test.run {
            try leave(200, of: 1280, test)
            let object = try #require(test.kmalloc.allocate(1100))
            #expect(test.kmalloc.size(of: object) == 1152)
            test.kmalloc.free(object)
            #expect(test.violations().isEmpty)
        }
    }
}
