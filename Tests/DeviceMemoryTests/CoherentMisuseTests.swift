import MemoryPrimitives
import PageFrames
import TestSupport
import Testing

@testable import DeviceMemory

/// Shared memory that is freed otherwise than it was made: reported, and nothing changes.
@Suite struct CoherentMisuseTests {
    private let machine = DMAMachine()

    private func make(_ device: TestedDevice, _ byteCount: UInt) throws -> CoherentBuffer {
        try machine.run { try machine.dma.value.allocateCoherent(device, byteCount: byteCount) }
    }

    private func free(_ device: TestedDevice, _ buffer: CoherentBuffer) {
        machine.run { machine.dma.value.freeCoherent(device, buffer) }
    }

    /// The buffer with another size, `offset` bytes further on.
    private func changed(_ buffer: CoherentBuffer, _ offset: UInt, _ byteCount: UInt) -> CoherentBuffer {
        CoherentBuffer(address: buffer.address + offset, bus: buffer.bus + offset, byteCount: byteCount)
    }

    /// Too little would lose frames, too much would free a neighbour's.
    @Test(arguments: [1, 2, 3, 4, 7] as [UInt]) func otherSizes(count: UInt) throws {
        let device = try machine.device(64)
        let free = machine.freeFrames
        // Neighbours on all sides, some of one frame, some with as many as this.
        let buffers = try (0..<24).map { try make(device, ($0 % 3 == 0 ? 1 : count) * 4096) }
        let inUse = machine.freeFrames
        for buffer in buffers {
            let own = buffer.byteCount / 4096
            for other in 1...9 as ClosedRange<UInt> where other != own {
                self.free(device, changed(buffer, 0, other * 4096))
            }
            for offset in 1..<max(own, 1) {
                self.free(device, changed(buffer, offset * 4096, (own - offset) * 4096))
                self.free(device, changed(buffer, offset * 4096, own * 4096))
            }
            self.free(device, changed(buffer, 0, .max))
            self.free(device, changed(buffer, 0, 1024 * 4096 + 1))
            self.free(device, changed(buffer, 0, (1 << 16 | own) * 4096))
            let kinds = machine.takeKinds()
            #expect(kinds.count == Int(8 + 2 * (own - 1) + 3) && kinds.allSatisfy { $0 == .badMapping })
            #expect(machine.freeFrames == inUse)
        }
        try machine.check()
        for buffer in buffers { self.free(device, buffer) }
        #expect(machine.takeKinds() == [])
        #expect(machine.freeFrames == free)
        for buffer in buffers { self.free(device, buffer) }
        #expect(machine.takeKinds().count == buffers.count)
        #expect(machine.freeFrames == free)
        try machine.check()
    }

    /// Frames that are not shared memory, and shared memory that is freed as frames.
    @Test func otherOwners() throws {
        let device = try machine.device(64)
        let block = try #require(machine.block(0))
        let bus = BusAddress(machine.physical(block))
        free(device, CoherentBuffer(address: block, bus: bus, byteCount: 4096))
        #expect(machine.takeKinds() == [.badMapping])
        let buffer = try make(device, 4096)
        let inUse = machine.freeFrames
        machine.free(buffer.address, 0)
        #expect(machine.takeKinds().count == 1)
        #expect(machine.freeFrames == inUse)
        free(device, buffer)
        machine.free(block, 0)
        #expect(machine.takeKinds() == [])
        try machine.check()
    }

    /// The largest size fits the mark, too.
    @Test func theLargest() throws {
        let device = try machine.device(64)
        let free = machine.freeFrames
        let buffer = try make(device, 4 << 20)
        self.free(device, changed(buffer, 0, (4 << 20) - 4096))
        #expect(machine.takeKinds() == [.badMapping])
        self.free(device, buffer)
        #expect(machine.takeKinds() == [])
        #expect(machine.freeFrames == free)
    }
}
