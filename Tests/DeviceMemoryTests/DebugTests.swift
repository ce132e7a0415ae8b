import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import TestSupport
import Testing

@testable import DeviceMemory

/// What `dma_debug` tells, of buffers that are copied and of such that are not.
@Suite struct DebugTests {
    private func violations(_ machine: DMAMachine) -> [String] {
        machine.machine.takeViolations().map { violation in
            #expect(violation.kind == .badMapping)
            return "\(violation.call): \(violation.detail)"
        }
    }

    @Test(arguments: [32, 64] as [UInt]) func wrongEndsAreTold(bits: UInt) throws {
        let machine = DMAMachine(DMAOptions(isDebugging: true))
        let device = try machine.device(bits)
        let other = try machine.device(bits, "other")
        let block = try #require(machine.block(3))
        machine.bytes(block, 32768).update(repeating: 5)
        let bus = try machine.map(device, block, 5000, .toDevice)
        #expect((bus.rawValue == machine.physical(block)) == (bits == 64))
        let unmap = "dma_unmap_single: device driver frees DMA memory "
        machine.unmap(device, bus, 4096, .toDevice)
        #expect(violations(machine) == [unmap + "with different size"])
        machine.unmap(device, bus, 5000, .bidirectional)
        #expect(violations(machine) == [unmap + "with different direction"])
        machine.unmap(device, bus + 8, 5000, .toDevice)
        #expect(violations(machine) == [unmap + "it has not allocated"])
        machine.unmap(other, bus, 5000, .toDevice)
        #expect(violations(machine) == [unmap + "it has not allocated"])
        var list = [ScatterEntry(block, byteCount: 5000)]
        list[0].bus = bus
        list.withUnsafeMutableBufferPointer { list in
            machine.run { machine.dma.value.unmapList(device, list, .toDevice) }
        }
        #expect(violations(machine) == ["dma_unmap_sg: device driver frees DMA memory with wrong function"])
        machine.run {
            machine.dma.value.syncForCPU(device, bus + 4990, byteCount: 11, .toDevice)
            machine.dma.value.syncForDevice(device, bus, byteCount: 5, .fromDevice)
            machine.dma.value.syncForCPU(device, bus + 5000, byteCount: 1, .toDevice)
            machine.dma.value.syncForCPU(device, bus + 4990, byteCount: 10, .toDevice)
        }
        #expect(
            violations(machine) == [
                "dma_sync_single_for_cpu: device driver syncs DMA memory outside allocated range",
                "dma_sync_single_for_device: device driver syncs DMA memory with different direction",
                "dma_sync_single_for_cpu: device driver tries to sync DMA memory it has not allocated",
            ])
        // The mapping is as it was, and ends as it should.
        machine.unmap(device, bus, 5000, .toDevice)
        #expect(violations(machine) == [])
        machine.unmap(device, bus, 5000, .toDevice)
        #expect(violations(machine) == [unmap + "it has not allocated"])
        #expect(machine.usedSlots == 0)
        machine.free(block, 3)
        try machine.check()
    }

    @Test func leaksAreTold() throws {
        let machine = DMAMachine(DMAOptions(isDebugging: true))
        let device = try machine.device(64)
        let other = try machine.device(64, "other")
        let block = try #require(machine.block(3))
        let first = try machine.map(device, block + 4096, 100)
        let second = try machine.map(device, block, 100)
        let third = try machine.map(other, block, 100)
        let buffer = try machine.run { try machine.dma.value.allocateCoherent(device, byteCount: 5000) }
        #expect(machine.run { machine.dma.value.end(device) } == 3)
        let violation = try #require(machine.machine.takeViolations().first)
        #expect(violation.kind == .badMapping && violation.value == 3)
        #expect(violation.address == min(second.rawValue, buffer.bus.rawValue))
        machine.unmap(device, first, 100)
        machine.unmap(device, second, 100)
        machine.unmap(other, third, 100)
        machine.run { machine.dma.value.freeCoherent(device, buffer) }
        #expect(machine.run { machine.dma.value.end(device) } == 0)
        #expect(machine.run { machine.dma.value.end(other) } == 0)
        machine.run { machine.dma.value.freeCoherent(device, buffer) }
        #expect(violations(machine) == ["dma_free_coherent: device driver frees DMA memory it has not allocated"])
        // The same address twice, in two ways: each end finds its own.
        let whole = try machine.map(device, block, 200, .toDevice)
        let part = try machine.map(device, block, 100, .fromDevice)
        #expect(whole == part)
        machine.unmap(device, whole, 200, .toDevice)
        machine.unmap(device, part, 100, .fromDevice)
        #expect(violations(machine) == [])
        machine.free(block, 3)
        try machine.check()
    }

    /// Without `dma_debug` a device that reaches all is asked nothing.
    @Test func withoutNotesNothingIsTold() throws {
        let machine = DMAMachine()
        let device = try machine.device(64)
        let block = try #require(machine.block(0))
        let bus = try machine.map(device, block, 100)
        machine.unmap(device, bus, 99)
        #expect(machine.run { machine.dma.value.end(device) } == 0)
        #expect(violations(machine) == [])
        machine.free(block, 0)
    }

    /// Where there is no memory for a note none are kept any more, and no call fails of it.
    @Test func withoutMemoryForNotes() throws {
        var slab = SlabOptions()
        slab.failures = FailurePlan()
        let machine = DMAMachine(DMAOptions(isDebugging: true), slab: slab)
        let device = try machine.device(64)
        let block = try #require(machine.block(0))
        let before = try machine.map(device, block, 8)
        machine.run { machine.kmalloc.value.failAllocation(nth: 1) }
        let bus = try machine.map(device, block, 100)
        #expect(machine.run { machine.dma.value.notes?.value.isOn } == false)
        machine.unmap(device, bus, 100)
        machine.unmap(device, bus, 100)
        machine.unmap(device, before, 9)
        #expect(violations(machine) == [])
        machine.free(block, 0)
    }
}
