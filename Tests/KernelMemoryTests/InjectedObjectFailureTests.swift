import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

@testable import KernelMemory

/// Every allocation of an object fails in turn (`failslab=`): of a whole bring-up, and of every call that needs several.
@Suite struct InjectedObjectFailureTests {
    private static func configuration(_ plan: StaticString) -> Configuration {
        var configuration = Configuration()
        configuration.slab.debugging = all
        let text = UnsafeRawBufferPointer(start: plan.utf8Start, count: plan.utf8CodeUnitCount)
        configuration.slab.failures = FailurePlan(text)
        configuration.slab.quarantineByteCount = 1 << 16
        return configuration
    }

    /// `slub_debug`.
    private static var all: DebugSelection { DebugSelection(nil) { _ in } }

    @Test(arguments: 1...4)
    func eachObjectOfBringUpFails(nth: Int) throws {
        let plans: [StaticString] = ["nth:1", "nth:2", "nth:3", "nth:4"]
        do {
            let machine = try KernelMachine(.pc(bytes: 16 << 20), Self.configuration(plans[nth - 1]))
            #expect(nth != 1, "it went unnoticed")
            try machine.check()
        } catch BringUpError.outOfBootMemory {
        }
    }

    private func machine() throws -> KernelMachine {
        try KernelMachine(.pc(bytes: 32 << 20), Self.configuration("nth:0"))
    }

    @Test(arguments: [8, 96, 8192] as [UInt], [AllocationFlags.kernel, .dma, .zero])
    func objects(size: UInt, flags: AllocationFlags) throws {
        let machine = try machine()
        let made = try machine.failEach(.objects) {
            machine.kmalloc(size, flags).map { pointer in { machine.kfree(pointer) } }
        }
        #expect(made == 1)
    }

    @Test(arguments: [1, 3, 20] as [UInt], [false, true])
    func areas(pages: UInt, populate: Bool) throws {
        let machine = try machine()
        let made = try machine.failEach(.objects) {
            machine.vmalloc(pages * 4096, populate: populate).map { address in { machine.vfree(address) } }
        }
        #expect(made >= 1)
    }

    @Test func stacks() throws {
        let machine = try machine()
        let made = try machine.failEach(.objects) { machine.makeStack(pages: 4).map { stack in { stack.free() } } }
        #expect(made >= 1)
    }

    /// All checks of objects find nothing wrong with what the other allocators do.
    @Test func theOtherAllocatorsPassEveryCheck() throws {
        let machine = try machine()
        for round in 0..<3 {
            let objects = machine.run { (0..<300).map { machine.kmalloc(UInt($0 * 37 + round) + 1) } }
            let area = machine.run { machine.vmalloc(50 * 4096, populate: round == 1) }
            for page in 0..<50 as Range<UInt> { try machine.store(7, try #require(area) + page * 4096) }
            machine.run {
                machine.vfree(area)
                for object in objects { machine.kfree(object) }
                #expect(machine.memory.value.kmalloc.value.validate() == 0)
                machine.drain()
            }
            try machine.check()
        }
    }
}
