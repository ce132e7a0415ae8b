import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

@testable import DeviceMemory

/// Any order of the calls, by the rules, against a model in which each side has bytes of its own.
@Suite struct RandomMappingTests {
    private struct Live {
        let device: TestedDevice
        let bus: BusAddress
        /// Which buffer, and where in it.
        let buffer: Int
        let range: Range<Int>
        let direction: DMADirection
        let isBounced: Bool
        /// What the device should see, where that is a copy.
        var seen: [UInt8]
    }

    private final class Model {
        let machine: DMAMachine
        let devices: [TestedDevice]
        var generator: SeededGenerator
        /// What the CPU should see in each buffer of 64 KiB.
        var contents: [[UInt8]] = []
        var buffers: [VirtualAddress] = []
        var live: [Live] = []
        static let size = 65536

        init(_ machine: DMAMachine, _ generator: SeededGenerator) throws {
            self.machine = machine
            self.generator = generator
            devices = try [24, 32, 40].map { try machine.device($0) }
            for flags in [.dma, .dma32, .kernel, .kernel] as [AllocationFlags] {
                let buffer = try #require(machine.block(4, flags))
                var bytes = [UInt8](repeating: 0, count: Self.size)
                for index in bytes.indices { bytes[index] = .random(in: .min ... .max, using: &self.generator) }
                _ = machine.bytes(buffer, Self.size).update(fromContentsOf: bytes)
                buffers.append(buffer)
                contents.append(bytes)
            }
        }

        func map() throws {
            let number = Int.random(in: 0..<buffers.count, using: &generator)
            let start = Int.random(in: 0..<Self.size, using: &generator)
            let longest = min(Self.size - start, Bool.random(using: &generator) ? 5000 : Self.size)
            let range = start..<start + Int.random(in: 1...longest, using: &generator)
            // One mapping of a byte at a time: what two devices do to it at once nobody can say.
            if live.contains(where: { $0.buffer == number && $0.range.overlaps(range) }) { return }
            let device = devices.randomElement(using: &generator)!
            let direction = MappingTests.directions.randomElement(using: &generator)!
            let first = machine.physical(buffers[number]) + UInt(start)
            let isBounced = first + UInt(range.count - 1) > device.mask.last
            guard let bus = try? machine.map(device, buffers[number] + UInt(start), range.count, direction) else {
                #expect(isBounced, "only a full pool refuses")
                #expect(machine.machine.takeFailedAllocations().last?.lack == .bounceSlots)
                return
            }
            #expect(isBounced ? bus.rawValue != first : bus.rawValue == first)
            #expect(bus.rawValue + UInt(range.count - 1) <= device.mask.last)
            let last = bus.rawValue + UInt(range.count)
            #expect(!live.contains { $0.bus.rawValue < last && bus.rawValue < $0.bus.rawValue + UInt($0.range.count) })
            live.append(
                Live(
                    device: device, bus: bus, buffer: number, range: range, direction: direction,
                    isBounced: isBounced, seen: Array(contents[number][range])))
        }

        /// A part of a mapping, counted from its start.
        func part(_ mapping: Live) -> Range<Int> {
            let start = Int.random(in: 0..<mapping.range.count, using: &generator)
            return start..<Int.random(in: start + 1...mapping.range.count, using: &generator)
        }

        func deviceWrites(_ index: Int) {
            if live[index].direction == .toDevice { return }
            let part = part(live[index])
            let byte = UInt8.random(in: .min ... .max, using: &generator)
            let view = machine.deviceBytes(live[index].bus, live[index].range.count)
            for place in part {
                view[place] = byte
                live[index].seen[place] = byte
                if !live[index].isBounced {
                    contents[live[index].buffer][live[index].range.lowerBound + place] = byte
                }
            }
        }

        func cpuWrites(_ index: Int) {
            if live[index].direction == .fromDevice { return }
            let part = part(live[index])
            let byte = UInt8.random(in: .min ... .max, using: &generator)
            for place in part {
                let inBuffer = live[index].range.lowerBound + place
                machine.bytes(buffers[live[index].buffer], Self.size)[inBuffer] = byte
                contents[live[index].buffer][inBuffer] = byte
                if !live[index].isBounced { live[index].seen[place] = byte }
            }
        }

        func sync(_ index: Int, forCPU: Bool) {
            let part = part(live[index])
            let mapping = live[index]
            let bus = mapping.bus + UInt(part.lowerBound)
            machine.run {
                if forCPU {
                    machine.dma.value.syncForCPU(mapping.device, bus, byteCount: UInt(part.count), mapping.direction)
                } else {
                    machine.dma.value.syncForDevice(mapping.device, bus, byteCount: UInt(part.count), mapping.direction)
                }
            }
            for place in part {
                let inBuffer = mapping.range.lowerBound + place
                if forCPU && mapping.direction != .toDevice {
                    contents[mapping.buffer][inBuffer] = mapping.seen[place]
                } else if !forCPU && mapping.direction != .fromDevice {
                    live[index].seen[place] = contents[mapping.buffer][inBuffer]
                }
            }
        }

        func unmap(_ index: Int) {
            let mapping = live.remove(at: index)
            machine.unmap(mapping.device, mapping.bus, mapping.range.count, mapping.direction)
            if mapping.isBounced && mapping.direction != .toDevice {
                contents[mapping.buffer].replaceSubrange(mapping.range, with: mapping.seen)
            }
        }

        func compare(_ step: Int) {
            for (buffer, bytes) in zip(buffers, contents) {
                #expect(machine.bytes(buffer, Self.size).elementsEqual(bytes), "step \(step)")
            }
            for mapping in live {
                let seen = machine.deviceBytes(mapping.bus, mapping.range.count)
                #expect(seen.elementsEqual(mapping.seen), "step \(step)")
            }
            let slots = live.filter(\.isBounced).map { ($0.range.count + 2047) / 2048 }.reduce(0, +)
            #expect(machine.usedSlots == UInt(slots))
        }
    }

    @Test(arguments: [false, true]) func againstTheModel(isDebugging: Bool) throws {
        let generator = SeededGenerator.fromEnvironment(default: 0xd_0a)
        let machine = DMAMachine(DMAOptions(slotCount: 128, isDebugging: isDebugging))
        let model = try Model(machine, generator)
        for step in 0..<600 {
            let index = model.live.isEmpty ? -1 : Int.random(in: 0..<model.live.count, using: &model.generator)
            switch Int.random(in: 0..<9, using: &model.generator) {
            case 0, 1, 2: try model.map()
            case 3 where index >= 0: model.deviceWrites(index)
            case 4 where index >= 0: model.cpuWrites(index)
            case 5 where index >= 0: model.sync(index, forCPU: true)
            case 6 where index >= 0: model.sync(index, forCPU: false)
            case 7 where index >= 0: model.unmap(index)
            default: break
            }
            if step % 20 == 0 { model.compare(step) }
        }
        while !model.live.isEmpty { model.unmap(0) }
        model.compare(-1)
        #expect(machine.takeKinds() == [])
        for buffer in model.buffers { machine.free(buffer, 4) }
        try machine.check()
    }
}
