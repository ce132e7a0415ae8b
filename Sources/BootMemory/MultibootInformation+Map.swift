import MemoryPrimitives

/// How the walk along the boot loader's memory map ended.
public enum MapWalkEnd: UInt8, Sendable {
    /// At the map's end.
    case complete
    /// The boot loader gives no map, or one that does not lie in mapped memory.
    case absent
    /// At an entry that is smaller than its fields: where the next one starts is unknown.
    case entryTooSmall
    /// At an entry that is larger than any boot loader writes: something else lies there.
    case entryTooLarge
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
        case .entryTooLarge: "stopped at an entry that is too large"
        case .truncated: "stopped at an entry that is cut off"
        case .tooManyEntries: "stopped after too many entries"
        }
    }
}

/// Where the memory of a `FirmwareMap` was learnt from.
public enum MapSource: UInt8, Sendable {
    /// The boot loader's memory map.
    case memoryMap
    /// `mem_lower` and `mem_upper`, because the map is absent or has no memory in it.
    case memoryLimits
}

extension MultibootInformation {
    /// The least and the most that an entry's `size` can be, in bytes. The fields take 20; boot loaders write 20 or 24.
    private static var entrySizes: ClosedRange<UInt32> { 20...1024 }

    /// Where the boot loader says that the memory map lies, as far as it is mapped; nil where there is none.
    private var claimedMapRange: PhysicalRange? {
        guard let byteCount = field(Offset.mapByteCount, validIf: Flag.memoryMap), byteCount > 0,
            let address = field(Offset.mapAddress, validIf: Flag.memoryMap),
            let first = reader.range(at: UInt(address), byteCount: 1)
        else { return nil }
        let readable = min(UInt(byteCount), reader.limit.distance(from: first.start))
        return PhysicalRange(first.start, first.start + readable)
    }

    /// Where the entries lie that the walk along the map reads; nil where there are none. What else the boot loader
    /// claims to be part of the map is not: a length that lies would take all memory.
    var mapRange: PhysicalRange? {
        guard let map = claimedMapRange else { return nil }
        var cursor = map.start
        _ = walk(map, &cursor) { _, _, _ in }
        return cursor == map.start ? nil : PhysicalRange(map.start, cursor)
    }

    /// Calls `body` with each entry of the memory map as it stands.
    ///
    /// An entry is `size: UInt32, base: UInt64, length: UInt64, type: UInt32`; `size` does not count itself, so that
    /// the next entry starts at `size + 4`, and may be more than 20.
    /// - Returns: how the walk ended. Entries before that point are good.
    public func forEachMapEntry(_ body: (_ base: UInt64, _ byteCount: UInt64, _ type: UInt32) -> Void) -> MapWalkEnd {
        guard let map = claimedMapRange else { return .absent }
        var cursor = map.start
        return walk(map, &cursor, body)
    }

    /// - Parameter cursor: `map`'s start; then the end of the last entry that `body` was called with.
    private func walk(
        _ map: PhysicalRange, _ cursor: inout PhysicalAddress,
        _ body: (_ base: UInt64, _ byteCount: UInt64, _ type: UInt32) -> Void
    ) -> MapWalkEnd {
        let end = map.end.rawValue
        var entries = 0
        while cursor < map.end {
            let entry = cursor.rawValue
            // The map's end is mapped and below 2^52: none of these sums overflows.
            guard entry &+ 4 <= end, let size = reader.load(UInt32.self, at: entry) else { return .truncated }
            if size < Self.entrySizes.lowerBound { return .entryTooSmall }
            if size > Self.entrySizes.upperBound { return .entryTooLarge }
            guard entry &+ 4 &+ UInt(size) <= end,
                let base = reader.load(UInt64.self, at: entry &+ 4),
                let byteCount = reader.load(UInt64.self, at: entry &+ 12),
                let type = reader.load(UInt32.self, at: entry &+ 20)
            else { return .truncated }
            if entries == Self.maximumMapEntries { return .tooManyEntries }
            entries &+= 1
            body(base, byteCount, type)
            cursor = PhysicalAddress(entry &+ 4 &+ UInt(size))
        }
        return .complete
    }
}

extension FirmwareMap {
    /// Fills the map from what the boot loader says, changes it as the user asks for, and makes it ready. The map must be
    /// empty.
    /// - Parameters:
    ///   - information: what the boot loader says.
    ///   - commandLine: `mem=` and `memmap=` are read from it.
    ///   - malformed: called for what of those words means nothing.
    /// - Returns: where the memory was learnt from, and how the walk along the boot loader's map ended.
    /// - Throws: `noMemoryInformation` where there is neither a map with memory in it nor limits.
    /// - Complexity: O(n^2).
    public mutating func fill(
        from information: MultibootInformation, commandLine: CommandLine = CommandLine(),
        malformed: (CommandLineError) -> Void = { _ in }
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
        apply(commandLine, malformed: malformed)
        trimPartialPages()
        return (source, end)
    }
}
