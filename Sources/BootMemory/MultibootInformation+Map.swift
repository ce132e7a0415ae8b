import MemoryPrimitives

/// How the walk along the boot loader's memory map ended.
public enum MapWalkEnd: UInt8, Sendable {
    /// At the map's end.
    case complete
    /// The boot loader gives no map, or one that does not lie in mapped memory.
    case absent
    /// At an entry that is smaller than its fields: where the next one starts is unknown.
    case entryTooSmall
    /// At an entry that reaches beyond the map's end.
    case truncated
    /// After the most entries that are read.
    case tooManyEntries

    /// The end in words, for reports.
    public var name: StaticString {
        switch self {
        case .complete: "complete"
        case .absent: "no map"
        case .entryTooSmall: "stopped at an entry that is too small"
        case .truncated: "stopped at an entry that is cut off"
        case .tooManyEntries: "stopped after too many entries"
        }
    }
}

/// Where the memory of a `FirmwareMap` was learnt from.
public enum MapSource: UInt8, Sendable {
    case memoryMap
    /// `mem_lower` and `mem_upper`, because the map is absent or has no memory in it.
    case memoryLimits
}

extension MultibootInformation {
    /// Where the memory map lies, as far as it is mapped; nil where there is none.
    var mapRange: PhysicalRange? {
        guard let byteCount = field(Offset.mapByteCount, validIf: Flag.memoryMap), byteCount > 0,
            let address = field(Offset.mapAddress, validIf: Flag.memoryMap),
            let first = reader.range(at: UInt(address), byteCount: 1)
        else { return nil }
        let readable = min(UInt(byteCount), reader.limit.distance(from: first.start))
        return PhysicalRange(first.start, first.start + readable)
    }

    /// Calls `body` with each entry of the memory map as it stands.
    ///
    /// An entry is `size: UInt32, base: UInt64, length: UInt64, type: UInt32`; `size` does not count itself, so that
    /// the next entry starts at `size + 4`, and may be more than 20.
    /// - Returns: how the walk ended. Entries before that point are good.
    public func forEachMapEntry(_ body: (_ base: UInt64, _ byteCount: UInt64, _ type: UInt32) -> Void) -> MapWalkEnd {
        guard let map = mapRange else { return .absent }
        var cursor = map.start.rawValue
        var entries = 0
        while cursor < map.end.rawValue {
            // The map's end is mapped and below 2^52: none of these sums overflows.
            guard cursor &+ 4 <= map.end.rawValue, let size = reader.load(UInt32.self, at: cursor) else {
                return .truncated
            }
            guard size >= 20 else { return .entryTooSmall }
            guard cursor &+ 4 &+ UInt(size) <= map.end.rawValue,
                let base = reader.load(UInt64.self, at: cursor &+ 4),
                let byteCount = reader.load(UInt64.self, at: cursor &+ 12),
                let type = reader.load(UInt32.self, at: cursor &+ 20)
            else { return .truncated }
            if entries == Self.maximumMapEntries { return .tooManyEntries }
            entries &+= 1
            body(base, byteCount, type)
            cursor &+= 4 &+ UInt(size)
        }
        return .complete
    }
}

extension FirmwareMap {
    /// Fills the map from what the boot loader says and makes it ready. The map must be empty.
    /// - Returns: where the memory was learnt from, and how the walk along the boot loader's map ended.
    /// - Throws: `noMemoryInformation` where there is neither a map with memory in it nor limits.
    /// - Complexity: O(n^2).
    public mutating func fill(
        from information: MultibootInformation
    ) throws(BootInformationError) -> (source: MapSource, end: MapWalkEnd) {
        precondition(count == 0, "the map is filled already")
        let end = information.forEachMapEntry { base, byteCount, type in
            insert(base: base, byteCount: byteCount, kind: MemoryKind(firmwareType: type))
        }
        var source = MapSource.memoryMap
        if byteCount(of: .available) == 0 {
            guard let limits = information.memoryLimits, limits.lower > 0 || limits.upper > 0 else {
                throw .noMemoryInformation
            }
            source = .memoryLimits
            if limits.lower > 0 { insert(base: 0, byteCount: UInt64(limits.lower) << 10, kind: .available) }
            if limits.upper > 0 { insert(base: 1 << 20, byteCount: UInt64(limits.upper) << 10, kind: .available) }
        }
        trimPartialPages()
        return (source, end)
    }
}
