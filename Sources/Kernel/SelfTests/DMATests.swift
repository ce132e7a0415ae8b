import DeviceMemory
import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// Memory that a real device writes: QEMU's firmware configuration device, which copies what it is asked for to any
/// physical address (QEMU, docs/specs/fw_cfg). Elsewhere the device's part is left out.
enum DMATests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>
    typealias Device = DMADevice<X86Platform>

    static func run(_ memory: Memory) {
        SelfTest.run("DMA: a device writes to memory that it is given") { deviceWrites(memory) }
        SelfTest.run("DMA: what a device does not reach is copied") { bounced(memory) }
        SelfTest.run("DMA: shared memory lies where the device reaches it") { coherent(memory) }
        SelfTest.run("DMA: a full pool is an error, and wrong ends are reported") { misuse(memory) }
    }

    /// The configuration's directory of files: some hundred bytes that do not change.
    private static var directory: UInt16 { 0x19 }
    private static var byteCount: UInt { 400 }

    private static func select(_ key: UInt16) { x86_out16(0x510, key) }

    private static func readPort() -> UInt8 { x86_in8(0x511) }

    /// Whether there is such a device, and it copies.
    private static var hasDevice: Bool {
        select(0)
        var signature: UInt32 = 0
        for _ in 0..<4 { signature = signature << 8 | UInt32(readPort()) }
        // "QEMU"
        if signature != 0x5145_4d55 { return false }
        select(1)
        return readPort() & 2 != 0
    }

    /// Has the device copy an item to `bus`. - Parameter command: 16 bytes that both see.
    /// - Returns: whether it did.
    private static func copyItem(_ key: UInt16, to bus: BusAddress, _ byteCount: UInt, _ command: CoherentBuffer)
        -> Bool
    {
        // Select the item, read; all numbers are big-endian.
        let control = UInt32(key) << 16 | 1 << 3 | 1 << 1
        x86_store32(command.address.rawValue, control.bigEndian)
        x86_store32(command.address.rawValue + 4, UInt32(byteCount).bigEndian)
        x86_store64(command.address.rawValue + 8, UInt64(bus.rawValue).bigEndian)
        x86_out32(0x514, UInt32(truncatingIfNeeded: command.bus.rawValue >> 32).bigEndian)
        x86_out32(0x518, UInt32(truncatingIfNeeded: command.bus.rawValue).bigEndian)
        for _ in 0..<1_000_000 {
            let state = UInt32(bigEndian: x86_load32(command.address.rawValue))
            if state & ~1 == 0 { return state == 0 }
        }
        return false
    }

    /// How many bytes at an address are not those of the item.
    private static func differences(_ address: UInt, _ key: UInt16) -> Int {
        select(key)
        var found = 0
        for offset in 0..<byteCount where x86_load8(address + offset) != readPort() { found += 1 }
        return found
    }

    private static func fill(_ address: UInt, _ byte: UInt8) {
        for offset in 0..<UInt(4096) { x86_store8(address + offset, byte) }
    }

    /// Bytes of a page, outside of what the device was given, that have changed.
    private static func changes(_ address: UInt, _ offset: UInt, _ byte: UInt8) -> Int {
        var found = 0
        for place in 0..<UInt(4096) where (place < offset || place >= offset + byteCount) {
            if x86_load8(address + place) != byte { found += 1 }
        }
        return found
    }

    private static func makeDevice(_ memory: Memory, _ bits: UInt) -> Device? {
        let dma = memory.value.dma
        let mask = DMA_BIT_MASK(bits)
        guard var device = SelfTest.require(try? dma.value.makeDevice("fw_cfg", mask: mask), "a device") else {
            return nil
        }
        let result = dma.value.dma_set_mask_and_coherent(&device, mask)
        SelfTest.expect(Int(result), equals: 0, "the device's masks are set")
        return device
    }

    private static func deviceWrites(_ memory: Memory) {
        guard hasDevice, let device = makeDevice(memory, 64) else { return }
        transfer(memory, device, isBounced: memory.value.dma.value.options.bouncing == .always)
    }

    private static func bounced(_ memory: Memory) {
        // With 24 bits page frames are out of reach, unless there are no others left.
        guard let device = makeDevice(memory, 24) else { return }
        if hasDevice { transfer(memory, device, isBounced: true) }
    }

    private static func transfer(_ memory: Memory, _ device: Device, isBounced: Bool) {
        let dma = memory.value.dma
        let frames = memory.value.frames
        guard let page = SelfTest.require(frames.value.allocate(order: 0), "a frame"),
            let command = SelfTest.require(try? dma.value.allocateCoherent(device, byteCount: 16), "a command")
        else { return }
        let address = memory.value.directMap.virtualAddress(of: page.address)
        let offset: UInt = 100
        fill(address.rawValue, 0x5a)
        guard
            let bus = SelfTest.require(
                try? dma.value.map(device, address + offset, byteCount: byteCount, .fromDevice), "a mapping")
        else { return }
        SelfTest.expect(
            (bus.rawValue != page.address.rawValue + offset) == isBounced, "copied, or not, as it should be")
        SelfTest.expect(copyItem(directory, to: bus, byteCount, command), "the device has copied")
        if isBounced {
            SelfTest.expect(x86_load8(address.rawValue + offset) == 0x5a, "the device wrote elsewhere")
            dma.value.syncForCPU(device, bus, byteCount: byteCount, .fromDevice)
            SelfTest.expect(
                differences(address.rawValue + offset, directory), equals: 0, "synchronised, the CPU sees it")
        }
        dma.value.unmap(device, bus, byteCount: byteCount, .fromDevice)
        SelfTest.expect(
            differences(address.rawValue + offset, directory), equals: 0, "the CPU sees what the device wrote")
        SelfTest.expect(changes(address.rawValue, offset, 0x5a), equals: 0, "nothing beside it has changed")
        dma.value.freeCoherent(device, command)
        frames.value.free(page, order: 0)
        SelfTest.expect(dma.value.statistics.usedSlots, equals: 0, "no slot is left in use")
    }

    private static func coherent(_ memory: Memory) {
        coherent(memory, 24)
        coherent(memory, 32)
        coherent(memory, 64)
    }

    private static func coherent(_ memory: Memory, _ bits: UInt) {
        let dma = memory.value.dma
        guard let device = makeDevice(memory, bits) else { return }
        let free = VmallocTests.settledFreeFrames(memory)
        guard let buffer = SelfTest.require(try? dma.value.allocateCoherent(device, byteCount: 20_000), "shared memory")
        else { return }
        SelfTest.expect(device.coherentMask.reaches(buffer.bus.rawValue + 19_999), "the device reaches it")
        var sum: UInt64 = 0
        for offset in stride(from: UInt(0), to: 20_000, by: 8) { sum |= x86_load64(buffer.address.rawValue + offset) }
        SelfTest.expect(sum == 0, "it is cleared")
        dma.value.freeCoherent(device, buffer)
        VmallocTests.expectFree(memory, free)
    }

    private static func misuse(_ memory: Memory) {
        let dma = memory.value.dma
        let frames = memory.value.frames
        guard let device = makeDevice(memory, 24),
            let block = SelfTest.require(frames.value.allocate(order: 6), "a block")
        else { return }
        let address = memory.value.directMap.virtualAddress(of: block.address)
        guard DMAMask.bits24.last < block.address.rawValue else { return frames.value.free(block, order: 6) }
        var mapped = InlineArray<8, BusAddress>(repeating: .DMA_MAPPING_ERROR)
        var count = 0
        while count < 8 {
            let bus = dma.value.dma_map_single(device, address, 256 << 10, .toDevice)
            if dma.value.dma_mapping_error(device, bus) != 0 { break }
            mapped[count] = bus
            count += 1
        }
        SelfTest.expect(count >= 1 && count < 8, "the pool has an end")
        PageFrameTests.expect(.badMapping) {
            dma.value.dma_unmap_single(device, mapped[0], 4096, .toDevice)
        }
        for index in 0..<count { dma.value.dma_unmap_single(device, mapped[index], 256 << 10, .toDevice) }
        PageFrameTests.expect(.badMapping) {
            dma.value.dma_unmap_single(device, mapped[0], 256 << 10, .toDevice)
        }
        SelfTest.expect(dma.value.statistics.usedSlots, equals: 0, "no slot is left in use")
        frames.value.free(block, order: 6)
    }
}
