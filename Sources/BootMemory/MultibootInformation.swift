import MemoryPrimitives

/// What a Multiboot 1 boot loader tells the kernel (Multiboot Specification 0.6.96, 3.3).
///
/// The structure and all that it points to lie in memory that is free as far as the map says: reserve what
/// `forEachRange` and `forEachModule` name before anything is allocated. Nothing in it is trusted: addresses and lengths
/// are checked against what is mapped, counts are capped, and what cannot be is dropped and counted.
public struct MultibootInformation: Sendable {
    /// What the boot loader puts into EAX.
    public static let magic: UInt32 = 0x2bad_b002

    /// The longest command line, in bytes; what follows is cut off.
    public static let maximumCommandLine: UInt = 4096

    /// The most entries of the memory map that are read.
    public static let maximumMapEntries = 1024

    /// The most modules that are read.
    public static let maximumModules = 256

    enum Flag {
        static let memoryLimits: UInt32 = 1 << 0
        static let commandLine: UInt32 = 1 << 2
        static let modules: UInt32 = 1 << 3
        static let memoryMap: UInt32 = 1 << 6
        static let bootLoaderName: UInt32 = 1 << 9
    }

    enum Offset {
        static let flags: UInt = 0
        static let lowerMemory: UInt = 4
        static let upperMemory: UInt = 8
        static let commandLine: UInt = 16
        static let moduleCount: UInt = 20
        static let moduleAddress: UInt = 24
        static let mapByteCount: UInt = 44
        static let mapAddress: UInt = 48
        static let bootLoaderName: UInt = 64
    }

    /// The structure's size up to its last field, in bytes.
    private static let byteCount: UInt = 116

    let reader: PhysicalMemoryReader
    let address: UInt

    /// Which of the fields are valid.
    public let flags: UInt32

    /// Reads the structure that a Multiboot boot loader leaves.
    /// - Parameters:
    ///   - address: what the boot loader put into EBX.
    ///   - directMap: how to reach it.
    ///   - limit: the end of the physical memory that the direct map covers: nothing beyond is read.
    /// - Throws: `informationUnreadable` where the structure does not lie in mapped memory.
    public init(
        at address: PhysicalAddress, through directMap: DirectMap, mappedBelow limit: PhysicalAddress
    ) throws(BootInformationError) {
        reader = PhysicalMemoryReader(directMap: directMap, limit: limit)
        self.address = address.rawValue
        guard reader.range(at: address.rawValue, byteCount: Self.byteCount) != nil,
            let flags = reader.load(UInt32.self, at: address.rawValue &+ Offset.flags)
        else { throw .informationUnreadable }
        self.flags = flags
    }

    /// The field at `offset`, which `flag` says is valid; nil where it is not.
    func field(_ offset: UInt, validIf flag: UInt32) -> UInt32? {
        flags & flag == 0 ? nil : reader.load(UInt32.self, at: address &+ offset)
    }

    /// The memory from address 0 up, at most 640 KiB, and the memory from 1 MiB up to the first hole, in KiB.
    public var memoryLimits: (lower: UInt32, upper: UInt32)? {
        guard let lower = field(Offset.lowerMemory, validIf: Flag.memoryLimits),
            let upper = field(Offset.upperMemory, validIf: Flag.memoryLimits)
        else { return nil }
        return (min(lower, 640), upper)
    }

    // MARK: Strings

    /// Where the command line lies, without its NUL; nil where there is none.
    public var commandLineRange: PhysicalRange? {
        guard let address = field(Offset.commandLine, validIf: Flag.commandLine) else { return nil }
        return reader.string(at: UInt(address), maximum: Self.maximumCommandLine)
    }

    /// Copies the command line to where it stays.
    /// - Returns: the number of bytes copied, at most 4096 and no more than there is room for; 0 without a command line.
    @unsafe
    public func copyCommandLine(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let range = commandLineRange, let bytes = unsafe reader.bytes(of: range) else { return 0 }
        let count = min(bytes.count, buffer.count)
        // Both buffers have that many bytes.
        unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        return count
    }

    /// The boot loader's name; nil where it gives none. Valid while the memory it lies in is reserved.
    public var bootLoaderName: UnsafeRawBufferPointer? {
        guard let address = field(Offset.bootLoaderName, validIf: Flag.bootLoaderName),
            let range = reader.string(at: UInt(address), maximum: 256)
        else { return nil }
        return unsafe reader.bytes(of: range)
    }

    /// True when the command line starts with the kernel's file name: QEMU puts it there, GRUB 2 does not.
    public var commandLineStartsWithFileName: Bool {
        guard let name = unsafe bootLoaderName else { return false }
        return unsafe bytes(name, equal: "qemu")
    }

    // MARK: What must be kept

    /// Calls `body` with each range that the information itself lies in: the structure, the map, the list of modules
    /// and the strings. Ranges that cannot be read are left out, as is what of the map and the list is not read.
    public func forEachRange(_ body: (PhysicalRange) -> Void) {
        if let range = reader.range(at: address, byteCount: Self.byteCount) { body(range) }
        if let range = commandLineRange, !range.isEmpty { body(range) }
        if let range = mapRange { body(range) }
        if let range = moduleListRange { body(range) }
        if let address = field(Offset.bootLoaderName, validIf: Flag.bootLoaderName),
            let range = reader.string(at: UInt(address), maximum: 256), !range.isEmpty
        {
            body(range)
        }
        _ = forEachModule { if let name = $0.name, !name.isEmpty { body(name) } }
    }
}

/// Why the kernel cannot be told what machine it runs on.
public enum BootInformationError: Error, Equatable, Sendable {
    /// The boot loader's structure does not lie in mapped memory.
    case informationUnreadable
    /// The boot loader gives neither a memory map nor the limits of memory.
    case noMemoryInformation
}
