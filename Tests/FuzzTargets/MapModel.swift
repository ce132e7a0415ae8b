import BootMemory

/// What a firmware map must amount to: memory is cut wherever an entry, a limit or a page touching one begins or ends,
/// and each piece is what the most restrictive of the entries over it says.
struct MapModel {
    struct Entry {
        var base: UInt64
        var byteCount: UInt64
        var kind: MemoryKind
    }

    struct Piece: Equatable {
        var start: UInt64
        var end: UInt64
        var kind: MemoryKind
    }

    /// Ascending, disjoint, merged.
    private(set) var pieces: [Piece] = []

    /// - Parameters:
    ///   - limit: the end of what the CPU can address.
    ///   - userLimit: the end of available memory.
    ///   - inWholePages: whether what is less than a page is left out of available memory.
    init(_ entries: [Entry], limit: UInt64, userLimit: UInt64, inWholePages: Bool = true) {
        // Entries that have no length or wrap round mean nothing; all others are cut off at the limit.
        let real = entries.compactMap { entry -> Piece? in
            let (last, wraps) = entry.base.addingReportingOverflow(entry.byteCount &- 1)
            if entry.byteCount == 0 || wraps { return nil }
            let bound = entry.kind == .available ? min(limit, userLimit) : limit
            if entry.base >= bound { return nil }
            return Piece(start: entry.base, end: last >= bound ? bound : last + 1, kind: entry.kind)
        }
        var points: Set<UInt64> = []
        for piece in real {
            for point in [piece.start, piece.end] {
                points.formUnion([point, point & ~0xfff, (point + 0xfff) & ~0xfff])
            }
        }
        let sorted = points.sorted()
        let cells = zip(sorted, sorted.dropFirst()).map { start, end in
            (start, end, real.filter { $0.start <= start && end <= $0.end }.map(\.kind).max())
        }
        // Available memory comes in whole pages.
        var page: UInt64 = .max
        var isWhole = false
        for (index, (start, end, kind)) in cells.enumerated() {
            if start & ~0xfff != page || start & 0xfff == 0 {
                page = start & ~0xfff
                let own = cells[index...].prefix { $0.0 == start || $0.0 & ~0xfff == page && $0.0 & 0xfff != 0 }
                // No cell ends within a page without another one beginning there.
                isWhole = own.allSatisfy { $0.2 == .available }
            }
            guard let kind, kind != .available || isWhole || !inWholePages else { continue }
            if let before = pieces.last, before.end == start, before.kind == kind {
                pieces[pieces.count - 1].end = end
            } else {
                pieces.append(Piece(start: start, end: end, kind: kind))
            }
        }
    }

    /// Whether anything is available.
    var hasMemory: Bool { pieces.contains { $0.kind == .available } }

    /// Whether all of a range is available.
    func isAvailable(_ start: UInt64, _ end: UInt64) -> Bool {
        pieces.contains { $0.kind == .available && $0.start <= start && end <= $0.end }
    }
}
