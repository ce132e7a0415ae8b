import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import TestSupport
import Testing

@testable import DeviceMemory

/// A pool of one guarded object, whose address is not in the direct map, and whose frame is.
private final class OneObjectPool: @unchecked Sendable {
    static let page: UInt = 0xffff_c900_0000_1000
    static let object = page + 1000
    static let byteCount: UInt = 3000
    var frame: PhysicalAddress
    var isAllocated = false

    init(_ frame: PhysicalAddress) { self.frame = frame }

    private static func at(_ pointer: UnsafeRawPointer) -> OneObjectPool {
        Unmanaged<OneObjectPool>.fromOpaque(pointer).takeUnretainedValue()
    }

    private func memory(_ address: UInt, _ count: UInt) -> PhysicalAddress? {
        let isWithin = address >= Self.object && address + count <= Self.object + Self.byteCount
        return isAllocated && isWithin ? frame + (address - Self.page) : nil
    }

    var calls: GuardedObjectCalls {
        GuardedObjectCalls(
            pool: UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque()),
            range: VirtualRange(VirtualAddress(Self.page - 4096), VirtualAddress(Self.page + 8192)),
            allocate: { _, _ in nil }, free: { _, _, _, _ in 0 }, byteCount: { _, _, _ in nil },
            nextObject: { _, _, _ in nil }, memory: { OneObjectPool.at($0).memory($1, $2) })
    }
}

/// Objects that kmalloc guards are in no direct map, and their users do not know.
@Suite struct GuardedBufferTests {
    @Test(arguments: [24, 32, 64] as [UInt], [false, true]) func aGuardedObject(bits: UInt, isDebugging: Bool) throws {
        let machine = DMAMachine(DMAOptions(isDebugging: isDebugging))
        let device = try machine.device(bits)
        let block = try #require(machine.block(0))
        let pool = OneObjectPool(PhysicalAddress(machine.physical(block)))
        pool.isAllocated = true
        let object = VirtualAddress(OneObjectPool.object)
        func error(_ address: VirtualAddress, _ count: Int) -> DMAError? {
            do {
                machine.unmap(device, try machine.map(device, address, count), count)
                return nil
            } catch { return error as? DMAError }
        }
        #expect(error(object, 3000) == .notDirectlyMapped, "there is no pool yet")
        machine.run { machine.kmalloc.value.startSampling(to: pool.calls, every: 1 << 40) }
        let cpu = machine.bytes(block, 4096)
        cpu.update(repeating: 5)
        for (offset, count) in [(0, 3000), (0, 1), (2999, 1), (100, 2500)] as [(UInt, Int)] {
            let bus = try machine.map(device, object + offset, count)
            #expect((bus.rawValue == machine.physical(block) + 1000 + offset) == (bits == 64))
            #expect(bus.rawValue + UInt(count) - 1 <= DMAMask(bits: bits).last)
            let seen = machine.deviceBytes(bus, count)
            #expect(seen.allSatisfy { $0 == 5 })
            seen.update(repeating: 6)
            machine.unmap(device, bus, count)
            for index in 0..<4096 {
                let isInside = (Int(offset) + 1000..<Int(offset) + 1000 + count).contains(index)
                #expect(cpu[index] == (isInside ? 6 : 5))
            }
            cpu.update(repeating: 5)
        }
        var entries = [ScatterEntry(object + 8, byteCount: 64)]
        entries.withUnsafeMutableBufferPointer { list in
            #expect(machine.run { machine.dma.value.dma_map_sg(device, list, .toDevice) } == 1)
            #expect(machine.deviceBytes(list[0].bus, 64).allSatisfy { $0 == 5 })
            machine.run { machine.dma.value.dma_unmap_sg(device, list, .toDevice) }
        }
        #expect(error(object, 0) == .emptyBuffer)
        #expect(error(object, 3001) == .notDirectlyMapped)
        #expect(error(VirtualAddress(OneObjectPool.object - 1), 2) == .notDirectlyMapped)
        #expect(error(VirtualAddress(OneObjectPool.page + 8192), 1) == .notDirectlyMapped, "beyond the pool")
        pool.isAllocated = false
        #expect(error(object, 3000) == .notDirectlyMapped, "it was freed")
        #expect(machine.usedSlots == 0)
        #expect(machine.takeKinds() == [])
        machine.free(block, 0)
        try machine.check()
    }
}
