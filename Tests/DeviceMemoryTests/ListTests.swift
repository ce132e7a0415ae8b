import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

@testable import DeviceMemory

/// Lists of buffers, and memory that both sides share.
@Suite struct ListTests {
    private func withList<Result>(
        _ entries: [ScatterEntry], _ body: (UnsafeMutableBufferPointer<ScatterEntry>) throws -> Result
    ) rethrows -> Result {
        var list = entries
        return try list.withUnsafeMutableBufferPointer { try body($0) }
    }

    @Test(arguments: [24, 32, 64] as [UInt]) func allOfAList(bits: UInt) throws {
        let machine = DMAMachine()
        let device = try machine.device(bits)
        let blocks = [machine.block(1, .dma), machine.block(1, .dma32), machine.block(1)].compactMap { $0 }
        try #require(blocks.count == 3)
        let entries = blocks.enumerated().map { index, block in
            ScatterEntry(block + UInt(index * 100), byteCount: UInt(3000 + index))
        }
        for block in blocks { machine.bytes(block, 8192).update(repeating: 1) }
        withList(entries) { list in
            #expect(machine.run { machine.dma.value.dma_map_sg(device, list, .bidirectional) } == 3)
            for entry in list {
                #expect(entry.bus.rawValue + entry.byteCount - 1 <= device.mask.last)
                let isReached = machine.physical(entry.address) + entry.byteCount - 1 <= device.mask.last
                #expect(isReached == (entry.bus.rawValue == machine.physical(entry.address)))
                machine.deviceBytes(entry.bus, Int(entry.byteCount)).update(repeating: 2)
            }
            machine.run { machine.dma.value.dma_sync_sg_for_cpu(device, list, .bidirectional) }
            for entry in list {
                #expect(machine.bytes(entry.address, Int(entry.byteCount)).allSatisfy { $0 == 2 })
                machine.bytes(entry.address, Int(entry.byteCount)).update(repeating: 3)
            }
            machine.run { machine.dma.value.dma_sync_sg_for_device(device, list, .bidirectional) }
            for entry in list {
                #expect(machine.deviceBytes(entry.bus, Int(entry.byteCount)).allSatisfy { $0 == 3 })
            }
            machine.run { machine.dma.value.dma_unmap_sg(device, list, .bidirectional) }
            for entry in entries {
                let block = machine.bytes(VirtualAddress(entry.address.rawValue & ~4095), 8192)
                #expect(
                    block.count { $0 == 3 } == Int(entry.byteCount)
                        && block.count { $0 == 1 } == 8192 - Int(entry.byteCount))
            }
        }
        #expect(machine.usedSlots == 0 && machine.takeKinds() == [])
        for block in blocks { machine.free(block, 1) }
        try machine.check()
    }

    /// An entry that cannot be mapped, wherever it stands: those before it are as they were.
    @Test func allOrNothing() throws {
        let machine = DMAMachine(DMAOptions(isDebugging: true))
        let device = try machine.device(32)
        let block = try #require(machine.block(3))
        machine.bytes(block, 32768).update(repeating: 9)
        for bad in 0..<4 {
            var entries = (0..<4).map { ScatterEntry(block + UInt($0 * 4096), byteCount: 4000) }
            entries[bad].byteCount = 0
            withList(entries) { list in
                #expect(machine.run { machine.dma.value.dma_map_sg(device, list, .fromDevice) } == 0)
            }
            #expect(machine.usedSlots == 0)
        }
        #expect(throws: DMAError.emptyBuffer) {
            try withList([]) { list in try machine.run { try machine.dma.value.mapList(device, list, .toDevice) } }
        }
        #expect(machine.bytes(block, 32768).allSatisfy { $0 == 9 })
        #expect(machine.run { machine.dma.value.end(device) } == 0)
        #expect(machine.takeKinds() == [])
        machine.free(block, 3)
        try machine.check()
    }

    @Test(arguments: [24, 28, 32, 34, 64] as [UInt]) func sharedMemory(bits: UInt) throws {
        let machine = DMAMachine()
        let device = try machine.device(bits)
        for byteCount in [1, 4096, 5000, 100_000, 4 << 20] as [UInt] {
            let free = machine.freeFrames
            var handle = BusAddress(0)
            let address = try #require(
                machine.run { machine.dma.value.dma_alloc_coherent(device, byteCount, &handle) })
            #expect(handle.rawValue == machine.physical(address))
            #expect(handle.rawValue + byteCount - 1 <= DMAMask(bits: bits).last)
            var size: UInt = 4096
            while size < byteCount { size *= 2 }
            #expect(handle.rawValue % size == 0, "aligned to the next power of two")
            let bytes = machine.bytes(address, Int(byteCount))
            #expect(bytes.allSatisfy { $0 == 0 })
            bytes.update(repeating: 7)
            #expect(machine.deviceBytes(handle, Int(byteCount)).allSatisfy { $0 == 7 })
            #expect(free - machine.freeFrames == (byteCount + 4095) / 4096)
            machine.run { machine.dma.value.dma_free_coherent(device, byteCount, address, handle + 4096) }
            #expect(machine.takeKinds() == [.badMapping])
            machine.run { machine.dma.value.dma_free_coherent(device, byteCount, address, handle) }
            #expect(machine.freeFrames == free)
            machine.run { machine.dma.value.dma_free_coherent(device, byteCount, nil, handle) }
        }
        #expect(throws: DMAError.emptyBuffer) {
            try machine.run { try machine.dma.value.allocateCoherent(device, byteCount: 0) }
        }
        #expect(throws: DMAError.tooLarge) {
            try machine.run { try machine.dma.value.allocateCoherent(device, byteCount: (4 << 20) + 1) }
        }
        #expect(machine.takeKinds() == [])
        try machine.check()
    }

    /// No memory that the device reaches, though there is other.
    @Test func withoutMemoryBelowTheMask() throws {
        let machine = DMAMachine()
        let device = try machine.device(24)
        var taken: [VirtualAddress] = []
        while let frame = machine.block(0, .dma), machine.physical(frame) < 1 << 24 { taken.append(frame) }
        #expect(machine.block(0) != nil)
        _ = machine.machine.takeFailedAllocations()
        let free = machine.freeFrames
        #expect(throws: DMAError.outOfMemory) {
            try machine.run { try machine.dma.value.allocateCoherent(device, byteCount: 4096) }
        }
        #expect(machine.freeFrames == free)
        #expect(machine.machine.takeFailedAllocations().count == 1)
        #expect(throws: DMAError.outOfMemory) {
            try machine.run {
                try machine.dma.value.allocateCoherent(device, byteCount: 4096, flags: .kernel | .noWarn)
            }
        }
        #expect(machine.machine.takeFailedAllocations().isEmpty)
        for frame in taken { machine.free(frame, 0) }
    }
}
