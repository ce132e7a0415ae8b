import BootMemory
import MemoryPrimitives
import Testing

func range(_ start: UInt, _ end: UInt) -> PhysicalRange {
    PhysicalRange(PhysicalAddress(start), PhysicalAddress(end))
}

/// `#expect` for calls on values that cannot be copied, which the macro cannot take apart.
func expect(_ condition: Bool, _ note: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(condition, note, sourceLocation: sourceLocation)
}

func bytes(_ start: UInt, _ byteCount: UInt) -> PhysicalRange { range(start, start + byteCount) }

/// Runs `body` with a boot allocator whose lists have room for so many regions.
func withBootAllocator(
    memoryCapacity: Int = 64, reservedCapacity: Int = 64, _ body: (inout BootAllocator) throws -> Void
) throws {
    let memory = UnsafeMutableBufferPointer<Region>.allocate(capacity: memoryCapacity)
    let reserved = UnsafeMutableBufferPointer<Region>.allocate(capacity: reservedCapacity)
    defer {
        memory.deallocate()
        reserved.deallocate()
    }
    var boot = unsafe BootAllocator(memoryStorage: memory, reservedStorage: reserved)
    try body(&boot)
    try boot.checkInvariants()
}

extension BootAllocator {
    var memoryRanges: [PhysicalRange] {
        var ranges: [PhysicalRange] = []
        forEachMemoryRange { ranges.append($0) }
        return ranges
    }

    var freeRanges: [PhysicalRange] {
        var ranges: [PhysicalRange] = []
        forEachFreeRange { ranges.append($0) }
        return ranges
    }

    var reservations: [Region] {
        var regions: [Region] = []
        forEachReserved { regions.append(Region($0, $1)) }
        return regions
    }

    var reservedRanges: [PhysicalRange] { reservations.map(\.range) }
}

/// What became of a firmware map.
struct BuiltMap {
    var regions: [FirmwareRegion] = []
    var adjustments: [MapAdjustment] = []
    var adjustmentCount = 0

    func adjustments(for reason: MapAdjustment.Reason) -> [MapAdjustment] {
        adjustments.filter { $0.reason == reason }
    }
}

struct MapEntry: Equatable, Sendable {
    var base: UInt64
    var byteCount: UInt64
    var kind: MemoryKind

    init(_ base: UInt64, _ byteCount: UInt64, _ kind: MemoryKind) {
        self.base = base
        self.byteCount = byteCount
        self.kind = kind
    }

    /// An entry as Linux prints it: the last byte is part of it.
    static func through(_ base: UInt64, _ last: UInt64, _ kind: MemoryKind) -> MapEntry {
        MapEntry(base, last - base + 1, kind)
    }
}

/// Runs `body` with an empty map.
func withFirmwareMap<Result>(
    capacity: Int = 128, adjustmentCapacity: Int = 256, bits: Int = 52,
    _ body: (inout FirmwareMap) throws -> Result
) rethrows -> Result {
    let regions = UnsafeMutableBufferPointer<FirmwareRegion>.allocate(capacity: capacity)
    let adjustments = UnsafeMutableBufferPointer<MapAdjustment>.allocate(capacity: adjustmentCapacity)
    defer {
        regions.deallocate()
        adjustments.deallocate()
    }
    var map = unsafe FirmwareMap(
        storage: regions, adjustments: adjustments, physicalAddressBits: bits)
    return try body(&map)
}

extension FirmwareMap {
    /// The map's contents, for comparison.
    var snapshot: BuiltMap {
        var built = BuiltMap()
        for index in 0..<count { built.regions.append(self[index]) }
        for index in 0..<adjustments.count { built.adjustments.append(adjustments[index]) }
        built.adjustmentCount = adjustments.total
        return built
    }
}

/// Builds a map from `entries`, checking it after each.
func buildMap(
    _ entries: [MapEntry], capacity: Int = 128, adjustmentCapacity: Int = 256, bits: Int = 52,
    userLimit: PhysicalAddress = .limit
) throws -> BuiltMap {
    try withFirmwareMap(
        capacity: capacity, adjustmentCapacity: adjustmentCapacity, bits: bits
    ) { map in
        for entry in entries {
            map.insert(base: entry.base, byteCount: entry.byteCount, kind: entry.kind)
            try map.checkInvariants()
        }
        map.limitAvailable(to: userLimit)
        map.trimPartialPages()
        try map.checkInvariants()
        return map.snapshot
    }
}
