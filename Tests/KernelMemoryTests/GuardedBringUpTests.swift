import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

@testable import KernelMemory

/// A pool of guarded objects as a part of the whole machine. Its objects are touched by the simulated CPU only, so that
/// vmalloc, whose notes kmalloc has, is not used here.
@Suite struct GuardedBringUpTests {
    private func configuration(objects: UInt = 40) -> Configuration {
        var configuration = Configuration()
        configuration.slab.sampleInterval = 2
        configuration.slab.guardedObjectCount = objects
        return configuration
    }

    private func isGuarded(_ pointer: UnsafeMutableRawPointer, _ machine: KernelMachine) -> Bool {
        machine.memory.value.guardedPool?.value.range.contains(VirtualAddress(pointer)) ?? false
    }

    private func guardedObjectCount(_ machine: KernelMachine) -> Int? {
        machine.memory.value.guardedPool?.value.objectCount
    }

    @Test func sampledObjectsAreGuarded() throws {
        let machine = try KernelMachine(.pc(bytes: 16 << 20), configuration())
        let objects = try machine.run { try (0..<10).map { _ in try #require(machine.kmalloc(64)) } }
        #expect(objects.map { isGuarded($0, machine) } == (1...10).map { $0 % 2 == 0 })
        for object in objects where isGuarded(object, machine) {
            try machine.store(5, VirtualAddress(object))
            #expect(try machine.load(VirtualAddress(object)) == 5)
        }
        try machine.check()
        machine.run { for object in objects { machine.kfree(object) } }
        #expect(throws: SimulatedFault.self) { try machine.load(VirtualAddress(objects[1])) }
        #expect(throws: SimulatedFault.self) { try machine.store(1, VirtualAddress(objects[1]) + 4096) }
        try machine.check()
    }

    /// Without memory for it there is no pool, and the machine comes up all the same: every request of a bring-up fails
    /// in turn.
    @Test func eachRequestOfBringUpFails() throws {
        var withoutPool = 0
        for nth in 1...200 as ClosedRange<UInt> {
            var configuration = configuration()
            configuration.frames.failedRequest = nth
            guard let machine = try? KernelMachine(.pc(bytes: 16 << 20), configuration) else { continue }
            let isSpent = machine.run { machine.memory.value.frames.value.requestsUntilFailure } == 0
            machine.run { machine.memory.value.frames.value.failAllocation(nth: 0) }
            let hasPool = guardedObjectCount(machine) != nil
            if !hasPool { withoutPool += 1 }
            #expect(hasPool != isSpent)
            let object = try #require(machine.run { machine.kmalloc(64) })
            machine.run { machine.kfree(object) }
            try machine.check()
            if !isSpent {
                // The notes, a frame for each object, and a table or more.
                #expect(withoutPool > 41)
                return
            }
        }
        Issue.record("no bring-up came to its end")
    }

    /// More objects than can be noted down are as many as can.
    @Test func countsAreLimited() throws {
        let machine = try KernelMachine(.pc(bytes: 256 << 20), configuration(objects: .max))
        let count = guardedObjectCount(machine) ?? 0
        #expect(UInt(count) == GuardedPool<SimulatedPlatform>.largestObjectCount && count > 16_000)
        let one = try KernelMachine(.pc(bytes: 16 << 20), configuration(objects: 0))
        #expect(guardedObjectCount(one) == 1)
        try one.check()
    }
}
