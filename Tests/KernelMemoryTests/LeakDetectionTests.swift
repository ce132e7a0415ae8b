import LeakDetection
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import KernelMemory

/// The leak detector as bring-up starts it.
@Suite struct LeakDetectionTests {
    private func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.findsLeaks = true
        return configuration
    }

    /// What counts as lost after two scans without a stack.
    private func leaks(_ machine: KernelMachine) throws -> UInt {
        let started = machine.memory.value.leaks
        let detector = try #require(started)
        let empty = VirtualRange(VirtualAddress(8), VirtualAddress(8))
        return try machine.run {
            _ = detector.value.scan(stack: empty)
            let figures = detector.value.scan(stack: empty)
            try detector.value.checkInvariants()
            return try #require(figures).leaks
        }
    }

    @Test func itIsThereWhereItIsAskedFor() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20))
        let isThere = machine.memory.value.leaks != nil
        #expect(!isThere)
        let watched = try KernelMachine(.pc(bytes: 64 << 20), configuration())
        #expect(try leaks(watched) == 0)
        try watched.check()
    }

    @Test func dataRefersToAllocations() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration())
        let object = try #require(machine.run { machine.kmalloc(64, [.kernel, .zero]) })
        #expect(try leaks(machine) == 1)
        let data = machine.configuration.image.data.physical
        machine.directMap.pointer(to: data.end).storeBytes(
            of: UInt(bitPattern: object), toByteOffset: -8, as: UInt.self)
        #expect(try leaks(machine) == 0)
        // What stands elsewhere in the image is constant, and refers to nothing.
        machine.directMap.pointer(to: data.end).storeBytes(of: 0, toByteOffset: -8, as: UInt.self)
        machine.directMap.pointer(to: data.start).storeBytes(
            of: UInt(bitPattern: object), toByteOffset: -8, as: UInt.self)
        #expect(try leaks(machine) == 1)
    }

    @Test func addressInTheAliasIsAReference() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration())
        let object = try #require(machine.run { machine.kmalloc(64, [.kernel, .zero]) })
        let physical = machine.directMap.physicalAddress(of: VirtualAddress(object)).rawValue
        let data = machine.configuration.image.data.physical
        let word = machine.directMap.pointer(to: data.start)
        word.storeBytes(of: machine.alias(physical).rawValue + 63, as: UInt.self)
        #expect(try leaks(machine) == 0)
        word.storeBytes(of: machine.alias(physical).rawValue + 64, as: UInt.self)
        #expect(try leaks(machine) == 1)
    }

    /// Everything at once, up to where memory runs out; nothing is lost when all has been given back.
    @Test func nothingIsLostByAWorkload() throws {
        let random = SeededGenerator.fromEnvironment(default: 77)
        let machine = try KernelMachine(.pc(bytes: 16 << 20), configuration())
        var workload = Workload(machine: machine, random: random)
        var live: [Workload.Holding] = []
        for step in 0..<1500 {
            machine.run {
                let share = step / 500 % 2 == 0 ? 75 : 40
                if Int.random(in: 0..<100, using: &workload.random) < share || live.isEmpty {
                    if let holding = workload.allocate() { live.append(holding) }
                } else {
                    workload.free(live.remove(at: Int.random(in: live.indices, using: &workload.random)))
                }
            }
            if step % 250 == 0 { _ = try leaks(machine) }
        }
        machine.run { for holding in live { workload.free(holding) } }
        #expect(workload.errors == 0)
        #expect(try leaks(machine) == 0)
        try machine.check()
    }

    @Test func eachRequestOfBringUpFails() throws {
        var refused = 0
        for nth in 1...100 as ClosedRange<UInt> {
            var configuration = configuration()
            configuration.frames.failedRequest = nth
            do {
                let machine = try KernelMachine(.pc(bytes: 16 << 20), configuration)
                let isUnnoticed = machine.run { machine.memory.value.frames.value.requestsUntilFailure } > 0
                machine.run { machine.memory.value.frames.value.failAllocation(nth: 0) }
                // A smaller block for records does as well.
                #expect(try leaks(machine) == 0)
                try machine.check()
                if isUnnoticed {
                    #expect(refused > 3)
                    return
                }
            } catch BringUpError.outOfBootMemory {
                refused += 1
            }
        }
        Issue.record("no bring-up came to its end")
    }
}
