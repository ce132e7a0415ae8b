import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing
import VirtualMemory

@testable import KernelMemory

/// Every request for page frames fails in turn: of a whole bring-up, and of every call that takes several.
@Suite struct InjectedFailureTests {
    /// The first request fails, the second, and so on until a bring-up makes fewer. Each is refused for a reason.
    @Test(arguments: [FrameChecks.none, .poison | .owners | .guardPages])
    func eachRequestOfBringUpFails(checks: FrameChecks) throws {
        var refused = 0
        for nth in 1...100 as ClosedRange<UInt> {
            var configuration = Configuration()
            configuration.frames.failedRequest = nth
            configuration.frames.checks = checks
            do {
                let machine = try KernelMachine(.pc(bytes: 16 << 20), configuration)
                #expect(machine.run { machine.memory.value.frames.value.requestsUntilFailure } > 0, "it went unnoticed")
                machine.run { machine.memory.value.frames.value.failAllocation(nth: 0) }
                try machine.check()
                #expect(refused > 2, "a bring-up makes several requests")
                return
            } catch BringUpError.outOfBootMemory {
                refused += 1
            }
        }
        Issue.record("no bring-up came to its end")
    }

    private func machine() throws -> KernelMachine { try KernelMachine(.pc(bytes: 16 << 20)) }

    @Test(
        arguments: [8, 96, 512, 1024, 2048, 4096, 8192, 8193, 100_000, 1 << 20] as [UInt],
        [AllocationFlags.kernel, .dma])
    func objects(size: UInt, flags: AllocationFlags) throws {
        let machine = try machine()
        let made = try machine.failEach(.frames) {
            machine.kmalloc(size, flags).map { pointer in { machine.kfree(pointer) } }
        }
        // What vmalloc allocates for good holds slabs of its classes, which have objects left.
        #expect(made >= ((size == 1024 || size == 2048) && flags == .kernel ? 0 : 1))
    }

    /// Pages that are there at once: each page, the tables, and the note of the area. On demand: one promise for all.
    @Test(arguments: [1, 3, 20] as [UInt], [false, true])
    func areas(pages: UInt, populate: Bool) throws {
        let machine = try machine()
        let made = try machine.failEach(.frames) {
            machine.vmalloc(pages * 4096, populate: populate).map { address in { machine.vfree(address) } }
        }
        #expect(made >= (populate ? pages.nonzeroBitCount : 0) + 3)
    }

    /// Across the boundary of two tables, so that the second can be the one that is missing.
    @Test(arguments: [false, true])
    func areasAcrossTables(populate: Bool) throws {
        let machine = try machine()
        let filler = try #require(machine.run { machine.vmalloc(500 * 4096) })
        let made = try machine.failEach(.frames) {
            machine.vmalloc(30 * 4096, populate: populate).map { address in { machine.vfree(address) } }
        }
        #expect(made >= (populate ? 4 : 1) + 1)
        machine.run { machine.vfree(filler) }
        try machine.check()
    }

    @Test(arguments: [1, 4, 8] as [UInt])
    func stacks(pages: UInt) throws {
        let machine = try machine()
        let made = try machine.failEach(.frames) {
            machine.makeStack(pages: pages).map { stack in { stack.free() } }
        }
        #expect(made >= pages.nonzeroBitCount + 3)
    }

    /// All checks at once find nothing wrong with what the other allocators do.
    @Test func theOtherAllocatorsPassEveryCheck() throws {
        var configuration = Configuration()
        configuration.frames.checks = .poison | .zeroOnAllocation | .owners | .guardPages
        let machine = try KernelMachine(.pc(bytes: 32 << 20), configuration)
        for round in 0..<3 {
            let objects = machine.run { (0..<300).map { machine.kmalloc(UInt($0 * 37 + round) + 1) } }
            let area = machine.run { machine.vmalloc(50 * 4096, populate: round == 1) }
            for page in 0..<50 as Range<UInt> { try machine.store(7, try #require(area) + page * 4096) }
            machine.run {
                machine.vfree(area)
                for object in objects { machine.kfree(object) }
                machine.drain()
            }
            try machine.check()
        }
    }
}
