import BootMemory
import MemoryPrimitives
import SimulatedMachine

/// The firmware's map as the boot loader passes it on, of any bytes, and the boot allocator that it fills.
///
///     byte 0     bit 0: entries lie on a small grid (4 bytes each) instead of as Multiboot has them
///                bit 1: there are memory limits besides; bit 2: bytes 4 and 5 shrink the allocator's lists
///     byte 1     the room in the map        byte 2     the CPU's address bits
///     byte 3     the user's limit           bytes 4-7  what the allocator is asked for
///     the rest   the map
public struct FirmwareMapFuzz {
    private static let informationAddress: UInt = 0x1000
    private static let mapAddress: UInt = 0x2000
    private static let arena = Arena(byteCount: 0x1_0000)

    private let capacity: Int
    private let addressBits: Int
    private let userLimit: UInt64
    private let listCapacity: Int
    private let wishes: (UInt, UInt)
    private let hasLimits: Bool
    private let map: [UInt8]

    /// Tries an input. - Throws: what it shows to be wrong.
    public static func run(_ input: [UInt8]) throws { try FirmwareMapFuzz(input).run() }

    private init(_ input: [UInt8]) {
        var reader = InputReader(input)
        let options = reader.byte()
        capacity = Int(reader.byte() % 40)
        addressBits = Int(reader.byte() % 70)
        let limit = reader.byte()
        userLimit = limit < 128 ? .max : UInt64(limit & 127) * 0x900
        wishes = (reader.word(), reader.word())
        listCapacity = options & 4 == 0 ? 64 : Int(wishes.0 % 8)
        hasLimits = options & 2 != 0
        let rest = reader.rest().prefix(4096)
        map = options & 1 == 0 ? Array(rest) : Self.onGrid(rest)
    }

    /// Entries of 4 bytes: where they begin and how long they are in quarters of a page, a type, and what to add.
    private static func onGrid(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var map: [UInt8] = []
        var index = bytes.startIndex
        while index + 4 <= bytes.endIndex {
            let jitter = UInt64(bytes[index + 3])
            append(UInt32(20), to: &map)
            append(UInt64(bytes[index]) * 0x400 + jitter & 1, to: &map)
            append(UInt64(bytes[index + 1]) * 0x400 + jitter >> 1 & 1, to: &map)
            append(UInt32(bytes[index + 2] % 8), to: &map)
            index += 4
        }
        return map
    }

    private static func append<Number: FixedWidthInteger>(_ value: Number, to bytes: inout [UInt8]) {
        for index in 0..<Number.bitWidth / 8 { bytes.append(UInt8(truncatingIfNeeded: value >> Number(index * 8))) }
    }

    // MARK: The map

    private func run() throws {
        let regions = UnsafeMutableBufferPointer<FirmwareRegion>.allocate(capacity: capacity)
        let adjustments = UnsafeMutableBufferPointer<MapAdjustment>.allocate(capacity: 512)
        defer {
            unsafe regions.deallocate()
            unsafe adjustments.deallocate()
        }
        // The map's own until the end of this function.
        var firmware = unsafe FirmwareMap(
            storage: regions, adjustments: adjustments, physicalAddressBits: addressBits)
        let information = try writeInformation()
        do {
            _ = try firmware.fill(from: information)
            firmware.limitAvailable(
                to: PhysicalAddress(UInt(min(userLimit, UInt64(PhysicalAddress.limit.rawValue)))))
            firmware.trimPartialPages()
        } catch BootInformationError.noMemoryInformation {
            try require(firmware.byteCount(of: .available) == 0, "memory without information")
            return try firmware.checkInvariants()
        }
        try firmware.checkInvariants()
        try compare(firmware)
        try bringUp(firmware)
    }

    /// Puts the structure and the map into memory, as a boot loader does.
    private func writeInformation() throws -> MultibootInformation {
        let memory = Self.arena.directMap
        func write(_ value: UInt32, at offset: UInt) {
            // Within the arena.
            unsafe memory.pointer(to: PhysicalAddress(Self.informationAddress + offset)).storeBytes(
                of: value, as: UInt32.self)
        }
        write(1 << 6 | (hasLimits ? 1 : 0), at: 0)
        write(UInt32(wishes.0), at: 4)
        write(UInt32(wishes.1), at: 8)
        write(UInt32(map.count), at: 44)
        write(UInt32(Self.mapAddress), at: 48)
        // The map is at most 6 times 4096 bytes.
        unsafe map.withUnsafeBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(
                start: memory.pointer(to: PhysicalAddress(Self.mapAddress)), count: bytes.count
            ).copyMemory(from: bytes)
        }
        return try MultibootInformation(
            at: PhysicalAddress(Self.informationAddress), through: memory,
            mappedBelow: PhysicalAddress(Self.arena.byteCount))
    }

    /// The entries that `map` consists of, read independently.
    private var entries: [MapModel.Entry] {
        func number(_ start: Int, _ count: Int) -> UInt64 {
            (0..<count).reduce(0) { $0 | UInt64(map[start + $1]) << UInt64($1 * 8) }
        }
        var entries: [MapModel.Entry] = []
        var start = 0
        while start + 24 <= map.count, entries.count < MultibootInformation.maximumMapEntries {
            let size = Int(number(start, 4))
            if size < 20 || size > 1024 || start + 4 + size > map.count { break }
            entries.append(
                MapModel.Entry(
                    base: number(start + 4, 8), byteCount: number(start + 12, 8),
                    kind: MemoryKind(firmwareType: UInt32(number(start + 20, 4)))))
            start += 4 + size
        }
        return entries
    }

    private func compare(_ firmware: borrowing FirmwareMap) throws {
        let limit: UInt64 = 1 << UInt64(min(addressBits, 52))
        var model = MapModel(entries, limit: limit, userLimit: userLimit)
        var lacksRoom = firmware.adjustments.total > firmware.adjustments.count
        for index in 0..<firmware.adjustments.count where firmware.adjustments[index].reason == .noRoom {
            lacksRoom = true
        }
        // The limits take the map's place where that has no memory, whatever the user leaves of it.
        let hasMemory = MapModel(entries, limit: limit, userLimit: .max, inWholePages: false).hasMemory
        if hasLimits, !hasMemory {
            let limits = [
                MapModel.Entry(base: 0, byteCount: UInt64(min(wishes.0, 640)) << 10, kind: .available),
                MapModel.Entry(base: 1 << 20, byteCount: UInt64(wishes.1) << 10, kind: .available),
            ]
            model = MapModel(entries + limits, limit: limit, userLimit: userLimit)
        }
        let found = (0..<firmware.count).map { index in
            let region = firmware[index]
            return MapModel.Piece(
                start: UInt64(region.range.start.rawValue), end: UInt64(region.range.end.rawValue), kind: region.kind)
        }
        if !lacksRoom { return try require(found == model.pieces, "\(found), not \(model.pieces), of \(entries)") }
        if hasLimits { return }
        // What there is no room for is never available.
        for piece in found where piece.kind == .available {
            try require(model.isAvailable(piece.start, piece.end), "\(piece) is not available, of \(entries)")
        }
    }

    // MARK: The boot allocator

    private func bringUp(_ firmware: borrowing FirmwareMap) throws {
        let memory = UnsafeMutableBufferPointer<Region>.allocate(capacity: listCapacity)
        let reserved = UnsafeMutableBufferPointer<Region>.allocate(capacity: listCapacity)
        defer {
            unsafe memory.deallocate()
            unsafe reserved.deallocate()
        }
        // The allocator's own until the end of this function.
        var boot = unsafe BootAllocator(memoryStorage: memory, reservedStorage: reserved)
        boot.add(availableIn: firmware)
        try boot.checkInvariants()
        let available = firmware.byteCount(of: .available)
        try require(boot.totalMemory + boot.unrecordedMemory == available, "memory is lost")
        for index in 0..<firmware.count {
            let region = firmware[index]
            if region.kind != .available { try require(!boot.overlapsMemory(region.range), "\(region) is memory") }
            if region.kind == .available, boot.unrecordedMemory == 0 {
                try require(boot.isMemory(region.range), "\(region) is not memory")
            }
        }
        try allocate(from: &boot)
    }

    /// Allocates from both ends until there is no more, or no room to record it, and gives everything back.
    private func allocate(from boot: inout BootAllocator) throws {
        let before = boot.totalFree
        var taken: [PhysicalRange] = []
        for round in 0..<24 {
            let byteCount = (wishes.0 << UInt(round % 5)) % 0x9001 + 1
            let alignment: UInt = 1 << (wishes.1 % 14)
            let start = boot.allocate(
                byteCount: byteCount, alignment: alignment, direction: round % 3 == 0 ? .bottomUp : .topDown,
                owner: .other)
            try boot.checkInvariants()
            guard let start else { break }
            guard let range = PhysicalRange(start, byteCount: byteCount) else { throw Finding("\(start) wraps round") }
            try require(start.isAligned(to: alignment) && start.rawValue >= 0x1000, "\(range) at a bad place")
            try require(boot.isMemory(range), "\(range) is not memory")
            try require(!taken.contains { $0.overlaps(range) }, "\(range) is handed out twice")
            taken.append(range)
            let used = taken.reduce(0) { $0 + $1.byteCount }
            try require(boot.totalFree + used == before, "\(used) bytes are taken of \(before)")
        }
        while let range = taken.popLast(), boot.free(range) { try boot.checkInvariants() }
        if taken.isEmpty { try require(boot.totalFree == before || listCapacity < 64, "bytes are lost") }
    }
}
