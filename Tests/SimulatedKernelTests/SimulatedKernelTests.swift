import Quarry
import SimulatedKernel
import SimulatedMachine
import Testing

/// What a package that depends on Quarry finds on the host: the same allocators, by public names alone.
@Suite struct SimulatedKernelTests {
    @Test func comesUpAndWorks() throws {
        let kernel = try SimulatedKernel(memory: 32 << 20, seed: 1)
        try kernel.run {
            let given = kernel.vmalloc.value.vmalloc(64 << 10)
            let area = try #require(given)
            try kernel.machine.store(7 as UInt64, to: area + 4096)
            #expect(try kernel.machine.load(area + 4096) == 7)
            #expect(kernel.resolvedFaultCount == 1)
            kernel.vmalloc.value.vfree(area)
            // Nothing answers now.
            kernel.vmalloc.value.vm_unmap_aliases()
            #expect(throws: SimulatedFault.self) { try kernel.machine.load(area + 4096) }
        }
        try kernel.checkInvariants()
        #expect(kernel.machine.takeStaleTranslations() == [])
    }

    @Test func refusesWhatCannotBe() {
        func reason(_ memory: UInt = 32 << 20, _ layout: AddressSpaceLayout = .x86FourLevel) -> String? {
            do {
                _ = try SimulatedKernel(memory: memory, layout: layout)
                return nil
            } catch {
                return "\(error.reason)"
            }
        }
        #expect(reason() == nil)
        #expect(reason(8 << 20) == nil)
        #expect(reason(4 << 20) == "too little memory")
        var layout = AddressSpaceLayout.x86FourLevel
        layout.frameTable = layout.areas
        #expect(reason(32 << 20, layout) == "two regions of the layout overlap")
    }

    /// The same seed gives the same machine, to the last free block.
    @Test func seedRepeats() throws {
        func report(_ seed: UInt64) throws -> String {
            let kernel = try SimulatedKernel(memory: 32 << 20, seed: seed)
            var text = ReportText()
            kernel.run {
                for size in 1...200 as ClosedRange<UInt> { _ = kernel.kmalloc.value.kmalloc(size * 7, .kernel) }
                BuddyInfoReport.write(kernel.frames.value, to: &text)
            }
            return text.text
        }
        #expect(try report(5) == report(5))
        #expect(try report(5).contains("Node 0, zone    DMA32"))
    }

    @Test func lostFlushesAreSeen() throws {
        for losesFlushes in [false, true] {
            let kernel = try SimulatedKernel(memory: 32 << 20)
            try kernel.run {
                let given = kernel.vmalloc.value.allocate(4096, populate: true)
                let area = try #require(given)
                try kernel.machine.store(7 as UInt64, to: area)
                kernel.machine.losesFlushes = losesFlushes
                kernel.vmalloc.value.vfree(area)
                kernel.vmalloc.value.vm_unmap_aliases()
                kernel.machine.losesFlushes = false
                if losesFlushes {
                    #expect(try kernel.machine.load(area) == 7)
                } else {
                    #expect(throws: SimulatedFault.self) { try kernel.machine.load(area) }
                }
            }
            let stale = kernel.machine.takeStaleTranslations().map(\.kind)
            #expect(stale.contains(.unmapped) == losesFlushes)
        }
    }

    /// What Swift's runtime gets lies in the lower half, shows the memory that kmalloc gave, and goes back to it.
    @Test func swiftObjects() throws {
        let kernel = try SimulatedKernel(memory: 32 << 20)
        try kernel.run {
            let free = kernel.frames.value.freeFrames
            for (byteCount, alignment) in [(1, 16), (48, 16), (100, 64), (5000, 16), (40_000, 4096)] as [(UInt, UInt)] {
                let given = kernel.memory.value.allocateSwiftObject(byteCount: byteCount, alignment: alignment)
                let object = try #require(given)
                #expect(kernel.layout.objectAlias.contains(VirtualAddress(object)) && object % alignment == 0)
                try kernel.machine.store(0x5a as UInt8, to: VirtualAddress(object + byteCount - 1))
                let direct = kernel.machine.arena.directMap.pointer(
                    to: PhysicalAddress(object - kernel.layout.objectAlias.start.rawValue))
                #expect(direct.load(fromByteOffset: Int(byteCount) - 1, as: UInt8.self) == 0x5a)
                kernel.memory.value.freeSwiftObject(object)
                #expect(kernel.machine.takeViolations().isEmpty)
                kernel.memory.value.freeSwiftObject(object)
                #expect(kernel.machine.takeViolations().map(\.kind) == [.doubleFree])
            }
            kernel.memory.value.freeSwiftObject(0)
            let tooLarge = kernel.memory.value.allocateSwiftObject(byteCount: 1 << 40, alignment: 16)
            #expect(tooLarge == nil)
            #expect(kernel.machine.takeViolations().isEmpty)
            kernel.kmalloc.value.shrink()
            let left = kernel.frames.value.freeFrames
            #expect(left == free)
        }
        try kernel.checkInvariants()
    }
}
