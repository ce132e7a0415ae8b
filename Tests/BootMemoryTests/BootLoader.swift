import BootMemory
import MemoryPrimitives
import SimulatedMachine

/// Writes the boot loader's structures into a simulated machine's memory.
final class BootLoader {
    let machine = SimulatedMachine(memory: 16 << 20)
    let information: UInt = 0x9000
    /// The end of what may be read; everything lies below.
    var limit: UInt = 16 << 20

    func write<Number: FixedWidthInteger>(_ value: Number, at address: UInt) {
        // Misaligned on purpose in some tests.
        withUnsafeBytes(of: value.littleEndian) { bytes in
            machine.arena.directMap.pointer(to: PhysicalAddress(address)).copyMemory(
                from: bytes.baseAddress!, byteCount: bytes.count)
        }
    }

    func write(_ text: String, at address: UInt) {
        for (index, byte) in text.utf8.enumerated() { write(byte, at: address + UInt(index)) }
        write(UInt8(0), at: address + UInt(text.utf8.count))
    }

    func setFlag(_ bit: UInt32) {
        let flags = machine.arena.directMap.pointer(to: PhysicalAddress(information)).load(as: UInt32.self)
        write(flags | 1 << bit, at: information)
    }

    func setLimits(lower: UInt32, upper: UInt32) {
        setFlag(0)
        write(lower, at: information + 4)
        write(upper, at: information + 8)
    }

    func setCommandLine(at address: UInt32) {
        setFlag(2)
        write(address, at: information + 16)
    }

    func setModules(_ count: UInt32, at address: UInt32) {
        setFlag(3)
        write(count, at: information + 20)
        write(address, at: information + 24)
    }

    func writeModule(_ index: UInt, list: UInt, start: UInt32, end: UInt32, name: UInt32) {
        for (field, value) in [start, end, name, 0].enumerated() {
            write(value, at: list + index * 16 + UInt(field) * 4)
        }
    }

    func setMap(byteCount: UInt32, at address: UInt32) {
        setFlag(6)
        write(byteCount, at: information + 44)
        write(address, at: information + 48)
    }

    /// Writes an entry. - Returns: where the next one goes.
    func writeEntry(
        at address: UInt, size: UInt32 = 20, base: UInt64, byteCount: UInt64, type: UInt32 = 1
    ) -> UInt {
        write(size, at: address)
        write(base, at: address + 4)
        write(byteCount, at: address + 12)
        write(type, at: address + 20)
        return address + 4 + UInt(size)
    }

    func setName(_ name: String, at address: UInt) {
        setFlag(9)
        write(UInt32(address), at: information + 64)
        write(name, at: address)
    }

    func read() throws -> MultibootInformation {
        try MultibootInformation(
            at: PhysicalAddress(information), through: machine.arena.directMap, mappedBelow: PhysicalAddress(limit))
    }

    func entries() throws -> (entries: [MapEntry], end: MapWalkEnd) {
        var entries: [MapEntry] = []
        let end = try read().forEachMapEntry { entries.append(MapEntry($0, $1, MemoryKind(firmwareType: $2))) }
        return (entries, end)
    }
}
