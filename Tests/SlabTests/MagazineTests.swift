import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct MagazineTests {
    private func magazine(_ test: TestMachine, cpu: Int = 0) -> Magazine<SimulatedPlatform> {
        test.kmalloc.target.value.sizes.magazine(for: 64, cpu: cpu)
    }

    /// What an interrupt handler, or another CPU, meets.
    @Test func aHeldMagazineIsPassedBy() throws {
        let test = TestMachine()
        try test.run {
            let first = try #require(test.kmalloc.allocate(64))
            let magazine = magazine(test)
            #expect(magazine.tryHold() && !magazine.tryHold())
            let waiting = magazine.count
            let second = try #require(test.kmalloc.allocate(64))
            #expect(second != first && magazine.count == waiting)
            test.kmalloc.free(first)
            #expect(magazine.count == waiting)
            test.kmalloc.free(second)
            magazine.letGo()
            let figures = test.kmalloc.statistics(of: "kmalloc-64")
            #expect(figures.activeObjects == 0 && figures.cachedObjects == waiting)
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    @Test func aHeldMagazineIsLeftOutOfShrinking() throws {
        let test = TestMachine()
        try test.run {
            test.kmalloc.free(test.kmalloc.allocate(64))
            let magazine = magazine(test)
            #expect(magazine.tryHold())
            let waiting = magazine.count
            test.kmalloc.shrink()
            #expect(waiting > 0 && magazine.count == waiting)
            magazine.letGo()
            test.kmalloc.shrink()
            #expect(magazine.count == 0)
            try test.kmalloc.checkInvariants()
        }
    }

    @Test func shrinkingEmptiesTheMagazinesOfAllCPUs() throws {
        let test = TestMachine(cpuCount: 3)
        let before = test.run { test.freeFrames }
        for cpu in 0..<3 { test.run(onCPU: cpu) { test.kmalloc.free(test.kmalloc.allocate(64)) } }
        try test.run {
            #expect((0..<3).allSatisfy { magazine(test, cpu: $0).count > 0 })
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try test.kmalloc.checkInvariants()
        }
    }

    /// No more wait in a magazine than it may hold, whatever comes back.
    @Test func aFullMagazineGivesHalfBack() throws {
        let test = TestMachine()
        try test.run {
            let magazine = magazine(test)
            let held = try (0..<500).map { _ in try #require(test.kmalloc.allocate(64)) }
            for pointer in held {
                test.kmalloc.free(pointer)
                #expect(magazine.count <= magazine.limit)
            }
            #expect(magazine.count > 0)
            try test.kmalloc.checkInvariants()
        }
    }
}
