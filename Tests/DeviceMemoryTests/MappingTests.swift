import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import TestSupport
import Testing

@testable import DeviceMemory

/// Buffers given to devices: what they are told, and what each side sees.
@Suite struct MappingTests {
    static let directions: [DMADirection] = [.bidirectional, .toDevice, .fromDevice]

    @Test(arguments: [24, 28, 32, 36, 64] as [UInt], directions) func eachSideSeesWhatItShould(
        bits: UInt, direction: DMADirection
    ) throws {
        let machine = DMAMachine()
        let device = try machine.device(bits)
        for (flags, zoneEnd) in [(.dma, 1 << 24), (.dma32, 1 << 32), (.kernel, UInt.max)] as [(AllocationFlags, UInt)] {
            let block = try #require(machine.block(2, flags))
            #expect(machine.physical(block) < zoneEnd)
            for (offset, count) in [(0, 16384), (1, 1), (5, 2047), (4095, 2), (100, 9000), (2048, 2048)] {
                let whole = machine.bytes(block, 16384)
                for index in whole.indices { whole[index] = UInt8(truncatingIfNeeded: index &* 7) }
                let before = Array(whole)
                let bus = try machine.map(device, block + UInt(offset), count, direction)
                let last = machine.physical(block) + UInt(offset + count - 1)
                let reaches = last <= DMAMask(bits: bits).last
                #expect((bus.rawValue == machine.physical(block) + UInt(offset)) == reaches)
                #expect(bus.rawValue + UInt(count - 1) <= DMAMask(bits: bits).last)
                let seen = machine.deviceBytes(bus, count)
                // Whatever the direction: nothing of anybody else's is there.
                #expect(Array(seen) == Array(before[offset..<offset + count]))
                for index in seen.indices { seen[index] = 0xdd }
                machine.unmap(device, bus, count, direction)
                let isWritten = reaches || direction != .toDevice
                for index in whole.indices {
                    let isInside = offset <= index && index < offset + count
                    #expect(whole[index] == (isInside && isWritten ? 0xdd : before[index]))
                }
            }
            machine.free(block, 2)
        }
        #expect(machine.usedSlots == 0)
        #expect(machine.takeKinds() == [])
        try machine.check()
    }

    /// A part of a long mapping at a time, in each direction.
    @Test(arguments: directions) func synchronising(direction: DMADirection) throws {
        let machine = DMAMachine()
        let device = try machine.device(32)
        let block = try #require(machine.block(4))
        let cpu = machine.bytes(block + 10, 60_000)
        for index in cpu.indices { cpu[index] = 1 }
        let bus = try machine.map(device, block + 10, 60_000, direction)
        let seen = machine.deviceBytes(bus, 60_000)
        func sync(_ range: Range<Int>, forCPU: Bool) {
            machine.run {
                let part = bus + UInt(range.lowerBound)
                if forCPU {
                    machine.dma.value.dma_sync_single_for_cpu(device, part, UInt(range.count), direction)
                } else {
                    machine.dma.value.dma_sync_single_for_device(device, part, UInt(range.count), direction)
                }
            }
        }
        for index in seen.indices { seen[index] = 2 }
        #expect(cpu.allSatisfy { $0 == 1 })
        sync(5000..<5100, forCPU: true)
        for index in cpu.indices {
            #expect(cpu[index] == ((5000..<5100).contains(index) && direction != .toDevice ? 2 : 1))
        }
        for index in cpu.indices { cpu[index] = 3 }
        sync(59_990..<60_000, forCPU: false)
        for index in seen.indices {
            #expect(seen[index] == ((59_990..<60_000).contains(index) && direction != .fromDevice ? 3 : 2))
        }
        machine.run { machine.dma.value.dma_sync_single_for_cpu(device, bus, 0, direction) }
        #expect(machine.takeKinds() == [])
        // Beyond the end, and the other way.
        sync(59_990..<60_001, forCPU: true)
        machine.run {
            let other: DMADirection = direction == .toDevice ? .fromDevice : .toDevice
            machine.dma.value.dma_sync_single_for_device(device, bus, 5, other)
        }
        #expect(machine.takeKinds() == [.badMapping, .badMapping])
        machine.unmap(device, bus, 60_000, direction)
        sync(0..<1, forCPU: true)
        #expect(machine.takeKinds() == [.badMapping])
        machine.free(block, 4)
        try machine.check()
    }

    @Test func whatIsRefused() throws {
        let machine = DMAMachine()
        let narrow = try machine.device(24)
        let wide = try machine.device(64)
        let block = try #require(machine.block(8))
        func error(_ device: TestedDevice, _ address: VirtualAddress, _ count: UInt) -> DMAError? {
            do throws(DMAError) {
                let bus = try machine.machine.run { () throws(DMAError) in
                    try machine.dma.value.map(device, address, byteCount: count, .toDevice)
                }
                machine.unmap(device, bus, Int(count), .toDevice)
                return nil
            } catch {
                return error
            }
        }
        for device in [narrow, wide] {
            #expect(error(device, block, 0) == .emptyBuffer)
            #expect(error(device, VirtualAddress(0xffff_c900_0000_0000), 8) == .notDirectlyMapped)
            #expect(error(device, VirtualAddress(.max), 8) == .notDirectlyMapped)
            #expect(error(device, block, .max) == .notDirectlyMapped)
            let end = machine.directMap.virtualAddress(of: PhysicalAddress((4 << 30) + (32 << 20)))
            #expect(error(device, end, 1) == .notDirectlyMapped)
            #expect(error(device, VirtualAddress(end.rawValue - 1), 2) == .notDirectlyMapped)
        }
        // A hole is not looked for on the short way: a device that reaches all gets what it is given.
        let hole = machine.directMap.virtualAddress(of: PhysicalAddress(1 << 30))
        #expect(error(narrow, hole, 8) == .notDirectlyMapped)
        #expect(error(narrow, block, 256 << 10) == nil)
        #expect(error(narrow, block, (256 << 10) + 1) == .tooLarge)
        #expect(error(wide, block, 1 << 20) == nil)
        machine.run {
            var bad = narrow
            #expect(machine.dma.value.dma_set_mask(&bad, DMA_BIT_MASK(23)) == -5)
            #expect(machine.dma.value.dma_set_coherent_mask(&bad, DMA_BIT_MASK(12)) == -5)
            #expect(machine.dma.value.dma_set_mask_and_coherent(&bad, DMA_BIT_MASK(20)) == -5)
            #expect(bad.mask == .bits24 && bad.coherentMask == .bits24)
            let failed = machine.dma.value.dma_map_single(narrow, block, 1 << 20, .toDevice)
            #expect(machine.dma.value.dma_mapping_error(narrow, failed) == -12)
            let good = machine.dma.value.dma_map_single(narrow, block, 5, .toDevice)
            #expect(machine.dma.value.dma_mapping_error(narrow, good) == 0)
            machine.dma.value.dma_unmap_single(narrow, good, 5, .toDevice)
        }
        machine.free(block, 8)
        #expect(machine.takeKinds() == [])
        #expect(machine.usedSlots == 0)
    }

    /// The last slot, then none: an error, with a report, and nothing is lost.
    @Test(arguments: [24, 32] as [UInt]) func aFullPool(bits: UInt) throws {
        let machine = DMAMachine(DMAOptions(slotCount: 512))
        let device = try machine.device(bits)
        let block = try #require(machine.block(6))
        var mapped: [BusAddress] = []
        for _ in 0..<4 { mapped.append(try machine.map(device, block, 256 << 10, .toDevice)) }
        #expect(throws: DMAError.poolFull) { try machine.map(device, block, 1, .toDevice) }
        let failure = try #require(machine.machine.takeFailedAllocations().last)
        #expect(failure.lack == .bounceSlots && failure.byteCount == 1)
        #expect(failure.slots == 512 && failure.usedSlots == 512)
        machine.unmap(device, mapped.removeFirst(), 256 << 10, .toDevice)
        for _ in 0..<128 { mapped.append(try machine.map(device, block, 2048, .toDevice)) }
        #expect(throws: DMAError.poolFull) { try machine.map(device, block, 1, .toDevice) }
        for (index, bus) in mapped.enumerated() { machine.unmap(device, bus, index < 3 ? 256 << 10 : 2048, .toDevice) }
        #expect(machine.usedSlots == 0)
        #expect(machine.takeKinds() == [])
        machine.free(block, 6)
        try machine.check()
    }

    @Test func bouncingByOptions() throws {
        let always = DMAMachine(DMAOptions(bouncing: .always))
        let wide = try always.device(64)
        let block = try #require(always.block(0))
        let bus = try always.map(wide, block, 100)
        #expect(bus.rawValue != always.physical(block) && bus.rawValue < 1 << 32)
        #expect(always.usedSlots == 1)
        always.unmap(wide, bus, 100)
        #expect(always.usedSlots == 0)
        let never = DMAMachine(DMAOptions(bouncing: .never))
        let narrow = try never.device(32)
        let high = try #require(never.block(0))
        #expect(throws: DMAError.noPool) { try never.map(narrow, high, 100) }
        let low = try #require(never.block(0, .dma))
        #expect(try never.map(narrow, low, 100).rawValue == never.physical(low))
        #expect(never.run { never.dma.value.statistics.slots } == 0)
    }

    /// Nobody pays for a pool that no device needs.
    @Test func noPoolWithoutNeed() throws {
        let machine = DMAMachine(highMebibytes: 0)
        let before = machine.freeFrames
        let device = try machine.device(32)
        #expect(machine.run { machine.dma.value.statistics.slots } == 0)
        #expect(machine.freeFrames == before)
        let block = try #require(machine.block(0))
        let bus = try machine.map(device, block, 4096)
        #expect(bus.rawValue == machine.physical(block))
        machine.unmap(device, bus, 4096)
        // 24 lines do not reach 32 MiB.
        _ = try machine.device(24)
        #expect(machine.run { machine.dma.value.statistics.slots } == 512)
    }

    /// A device that reaches all memory takes no pool, even where there is none to take.
    @Test func noPoolForADeviceThatReachesAll() throws {
        let machine = DMAMachine()
        let before = machine.freeFrames
        let wide = try machine.run { try machine.dma.value.makeDevice("wide", mask: .bits64) }
        #expect(wide.mask == .bits64 && wide.coherentMask == .bits64)
        #expect(machine.run { machine.dma.value.statistics.slots } == 0 && machine.freeFrames == before)
        var taken: [VirtualAddress] = []
        while let frame = machine.block(0, .dma32), machine.physical(frame) < 1 << 32 { taken.append(frame) }
        _ = machine.machine.takeFailedAllocations()
        #expect(throws: DMAError.noPool) { try machine.run { try machine.dma.value.makeDevice("usual") } }
        #expect(throws: DMAError.maskTooSmall) {
            try machine.run { try machine.dma.value.makeDevice("narrow", mask: DMAMask(bits: 20)) }
        }
        _ = try machine.device(64)
        for frame in taken { machine.free(frame, 0) }
        let usual = try machine.run { try machine.dma.value.makeDevice("usual") }
        #expect(usual.mask == .bits32 && usual.coherentMask == .bits32)
        #expect(machine.run { machine.dma.value.statistics.slots } == 2048)
    }

    /// What ends a mapping wrongly is told and not obeyed, as far as the pool knows it.
    @Test func wrongEnds() throws {
        let machine = DMAMachine()
        let device = try machine.device(32)
        let block = try #require(machine.block(3))
        let bus = try machine.map(device, block, 5000, .toDevice)
        machine.unmap(device, bus, 4999, .toDevice)
        machine.unmap(device, bus, 5000, .fromDevice)
        machine.unmap(device, bus + 2048, 5000, .toDevice)
        machine.unmap(device, bus + 1, 5000, .toDevice)
        #expect(machine.takeKinds() == [.badMapping, .badMapping, .badMapping, .badMapping])
        #expect(machine.usedSlots == 3)
        machine.unmap(device, bus, 5000, .toDevice)
        #expect(machine.usedSlots == 0)
        machine.unmap(device, bus, 5000, .toDevice)
        #expect(machine.takeKinds() == [.badMapping])
        machine.free(block, 3)
        try machine.check()
    }

    /// Each allocation of a device's pool fails in turn; and with less and less memory.
    @Test func eachStepFailing() throws {
        for bits in [24, 32] as [UInt] {
            var nth: UInt = 1
            while true {
                let machine = DMAMachine()
                let free = machine.freeFrames
                machine.run { machine.frames.value.failAllocation(nth: nth) }
                let made = try? machine.device(bits)
                let isSpent = machine.run { machine.frames.value.requestsUntilFailure } == 0
                machine.run { machine.frames.value.failAllocation(nth: 0) }
                if made == nil {
                    #expect(isSpent && machine.freeFrames == free, "step \(nth)")
                    #expect(try machine.device(bits).mask == DMAMask(bits: bits))
                }
                try machine.check()
                if !isSpent { break }
                nth += 1
                try #require(nth < 100)
            }
            #expect(nth > 2)
        }
    }

    /// Blocks of 4 MiB are few: a pool is made of what there is.
    @Test func aPoolOfPieces() throws {
        let machine = DMAMachine()
        // A frame of each MiB below 32 MiB is taken.
        var taken: [VirtualAddress] = []
        while let block = machine.block(8, .dma32) { taken.append(block) }
        var kept: [VirtualAddress] = []
        for block in taken {
            machine.run {
                let frame = PageFrameNumber(containing: machine.directMap.physicalAddress(of: block))
                let isSplit = machine.frames.value.split(frame, order: 8)
                #expect(isSplit)
                kept.append(block)
                for offset in 1..<256 as Range<UInt> { machine.frames.value.free(frame + offset, order: 0) }
            }
        }
        let device = try machine.device(32)
        #expect(machine.run { machine.dma.value.statistics.slots } >= 2048)
        let block = try #require(machine.block(6))
        let mapped = try (0..<16).map { _ in try machine.map(device, block, 256 << 10) }
        #expect(Set(mapped.map { $0.rawValue >> 18 }).count == 16)
        for bus in mapped { machine.unmap(device, bus, 256 << 10) }
        for block in kept { machine.free(block, 0) }
        try machine.check()
    }
}
