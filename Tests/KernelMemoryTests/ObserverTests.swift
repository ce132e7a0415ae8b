import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import KernelMemory

/// What the observer of bring-up is told, and when.
@Suite struct ObserverTests {
    @Test func stepsComeInOrder() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20), AccountingTests.crowded)
        #expect(machine.observer.steps == [.bootMemory, .activate, .mapped, .pageFrames, .kmalloc, .vmalloc])
        // Nothing has been allocated when the first step is told.
        #expect(machine.observer.ownersAtStart == [.lowMemory, .kernelImage, .multiboot, .module])
        try machine.check()
    }

    @Test func theRootTranslatesWhenItIsActivated() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20))
        #expect(machine.observer.root == machine.run { machine.memory.value.pageTables.value.root })
        let word = machine.directMap.pointer(to: PhysicalAddress(0x10_0000)).load(as: UInt64.self)
        #expect(machine.observer.wordThroughNewTables == word)
        #expect(machine.observer.tablesAtActivation > 3)
    }

    /// The boot part holds the tables that are in force until then.
    @Test func theBootPartIsFreeOnlyAfterActivation() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20))
        let bootPart = machine.configuration.image.bootPart
        #expect(machine.observer.ownerOfBootPartAtStart == .kernelImage)
        #expect(machine.observer.freeAtHandOver.contains { $0.contains(bootPart) })
        let tables = try #require(machine.observer.root)
        #expect(!bootPart.contains(tables))
    }

    @Test func refusalsEndTheSteps() {
        var seen: [RecordingObserver.Step] = []
        #expect(throws: BringUpError.self) {
            _ = try KernelMachine(.pc(bytes: 0x24_0000 + 0x4_0000)) { seen = $0.steps }
        }
        #expect(seen == [.bootMemory])
    }
}
