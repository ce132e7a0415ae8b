import MemoryPrimitives

/// An entry of the memory map that a boot loader passes on.
public struct SimulatedMapEntry: Sendable {
    /// The first physical address.
    public var base: UInt64
    /// Its length, in bytes.
    public var byteCount: UInt64
    /// ACPI's number for the kind; 1 is available.
    public var type: UInt32

    /// An entry of `byteCount` bytes from `base` on; of available memory where `type` is left out.
    public init(base: UInt64, byteCount: UInt64, type: UInt32 = 1) {
        self.base = base
        self.byteCount = byteCount
        self.type = type
    }
}

/// Writes Multiboot 1 information into a simulated machine's memory: a map, a command line, a name and modules.
public struct SimulatedBootLoader {
    /// Whose memory is written to.
    public let machine: SimulatedMachine
    /// The physical address where the information begins.
    public let information: UInt

    /// A loader of a machine.
    /// A loader that has written nothing yet.
    /// - Parameters:
    ///   - machine: whose memory is written to.
    ///   - information: the physical address where the information is to begin.
    public init(machine: SimulatedMachine, information: UInt = 0x9000) {
        self.machine = machine
        self.information = information
    }

    private func write<Number: FixedWidthInteger>(_ value: Number, at address: UInt) {
        // The map's entries are not aligned.
        unsafe withUnsafeBytes(of: value.littleEndian) { bytes in
            // In the arena; the machine is not running yet.
            unsafe machine.arena.directMap.pointer(to: PhysicalAddress(address)).copyMemory(
                from: bytes.baseAddress!, byteCount: bytes.count)
        }
    }

    private func write(_ text: String, at address: UInt) {
        for (index, byte) in (Array(text.utf8) + [0]).enumerated() { write(byte, at: address + UInt(index)) }
    }

    /// Writes everything from `information` on.
    /// - Parameters:
    ///   - map: the memory map's entries, in any order.
    ///   - modules: the physical addresses of boot modules.
    ///   - claimedMapLength: the length of the map in bytes that the boot loader lies about; nil where it does not.
    /// - Returns: the first address behind the information.
    @discardableResult
    public func write(
        map: [SimulatedMapEntry], modules: [Range<UInt>] = [], claimedMapLength: UInt32? = nil
    ) -> UInt {
        var next = information + 116
        func place(_ byteCount: UInt) -> UInt {
            defer { next += byteCount }
            return next
        }
        write(UInt32(1 << 2 | 1 << 3 | 1 << 6 | 1 << 9), at: information)
        let commandLine = place(24)
        write("kernel loglevel=info", at: commandLine)
        write(UInt32(commandLine), at: information + 16)

        let list = place(UInt(modules.count) * 16)
        write(UInt32(modules.count), at: information + 20)
        write(UInt32(list), at: information + 24)
        for (index, module) in modules.enumerated() {
            let name = place(16)
            write("module \(index)", at: name)
            let fields = [UInt32(module.lowerBound), UInt32(module.upperBound), UInt32(name), 0]
            for (field, value) in fields.enumerated() {
                write(value, at: list + UInt(index) * 16 + UInt(field) * 4)
            }
        }

        let entries = place(UInt(map.count) * 24)
        write(claimedMapLength ?? UInt32(map.count * 24), at: information + 44)
        write(UInt32(entries), at: information + 48)
        for (index, entry) in map.enumerated() {
            let address = entries + UInt(index) * 24
            write(UInt32(20), at: address)
            write(entry.base, at: address + 4)
            write(entry.byteCount, at: address + 12)
            write(entry.type, at: address + 20)
        }

        let name = place(16)
        write("simulation", at: name)
        write(UInt32(name), at: information + 64)
        return next
    }
}
