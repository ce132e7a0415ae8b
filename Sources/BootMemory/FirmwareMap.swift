import MemoryPrimitives

/// A range of physical addresses and what it is.
public typealias FirmwareRegion = TaggedRange<MemoryKind>

extension TaggedRange where Tag == MemoryKind {
    /// What the range is.
    public var kind: MemoryKind { tag }
}

/// The firmware's memory map made fit for use: sorted, disjoint, merged, and within what the CPU can address.
///
/// Entries come in any order and may overlap; where they do, the more restrictive kind holds, whichever came first.
/// The result does not depend on the order of the entries, unless the map runs out of room.
///
///     filling --insert, limitAvailable--> filling --trimPartialPages--> ready
///
/// The map is an array in memory that the caller provides. Nothing is allocated; inserting n entries takes O(n^2),
/// which for the tens of entries of real machines, and for the few hundred that fit, is nothing.
@safe
public struct FirmwareMap: ~Copyable {
    private(set) var regions: RangeList<MemoryKind>

    /// The end of what the CPU can address.
    public let limit: PhysicalAddress

    /// What was changed, and why.
    public private(set) var adjustments: MapAdjustmentLog

    /// True once a range that is not available could not be recorded: from then on no more memory is believed to be
    /// available, because the range that is missing might lie in it.
    private var refusesAvailable = false

    /// An empty map.
    /// - Parameters:
    ///   - storage: room for the regions.
    ///   - adjustments: room for the record of what was changed. Both are the map's own for as long as it lives.
    ///   - physicalAddressBits: how many address bits the CPU has; more than 52 count as 52.
    @unsafe
    public init(
        storage: UnsafeMutableBufferPointer<FirmwareRegion>, adjustments: UnsafeMutableBufferPointer<MapAdjustment>,
        physicalAddressBits: Int
    ) {
        unsafe regions = RangeList(storage: storage)
        unsafe self.adjustments = MapAdjustmentLog(storage: adjustments)
        let bits = UInt(min(max(physicalAddressBits, 0), 52))
        limit = PhysicalAddress(1 << bits)
    }

    /// The number of regions.
    public var count: Int { regions.count }

    /// The number of regions that there is room for.
    public var capacity: Int { regions.capacity }

    /// The region at `index`, in ascending order of addresses.
    /// - Precondition: `0 <= index < count`.
    public subscript(index: Int) -> FirmwareRegion { regions[index] }

    /// The bytes of all regions of `kind`.
    /// - Complexity: O(n).
    public func byteCount(of kind: MemoryKind) -> UInt {
        var sum: UInt = 0
        for index in 0..<count where self[index].kind == kind { sum &+= self[index].range.byteCount }
        return sum
    }

    // MARK: Filling

    /// Takes one entry of the firmware's map, as it stands.
    /// - Parameters:
    ///   - base: the first byte's address.
    ///   - byteCount: its length. Any value is safe: what cannot be is dropped or clipped, and logged.
    ///   - kind: what the entry says that the range is.
    /// - Complexity: O(n).
    public mutating func insert(base: UInt64, byteCount: UInt64, kind: MemoryKind) {
        let start = PhysicalAddress(UInt(base))
        if byteCount == 0 { return adjustments.append(.empty, PhysicalRange(start, start), kind) }
        // An entry may end at exactly 2^64, which no address can hold: its last byte says whether it wraps.
        let (last, wraps) = UInt(base).addingReportingOverflow(UInt(byteCount) &- 1)
        if wraps { return adjustments.append(.wraps, PhysicalRange(start, PhysicalAddress(.max)), kind) }
        var end = last == .max ? PhysicalAddress(.max) : PhysicalAddress(last &+ 1)
        if start >= limit { return adjustments.append(.beyondLimit, PhysicalRange(start, end), kind) }
        if end > limit {
            adjustments.append(.clipped, PhysicalRange(limit, end), kind)
            end = limit
        }
        insert(PhysicalRange(start, end), kind)
    }

    /// Takes away what memory is available at or above `address` by now: the user wants less than there is.
    /// - Complexity: O(n^2).
    public mutating func limitAvailable(to address: PhysicalAddress) {
        var index = regions.firstIndex(endingAfter: address)
        while index < count {
            let region = self[index]
            let start = max(region.range.start, address)
            if region.kind == .available {
                adjustments.append(.beyondUserLimit, PhysicalRange(start, region.range.end), region.kind)
                if start == region.range.start {
                    regions.remove(at: index)
                    continue
                }
                regions.replace(index, with: PhysicalRange(region.range.start, start))
            }
            index &+= 1
        }
    }

    /// Trims available memory to whole pages. The last step: a page may be made of several entries.
    /// - Complexity: O(n^2).
    public mutating func trimPartialPages() {
        var index = 0
        while index < count {
            let region = self[index]
            if region.kind != .available {
                index &+= 1
                continue
            }
            guard let pages = region.range.wholePages() else {
                adjustments.append(.partialPage, region.range, region.kind)
                regions.remove(at: index)
                continue
            }
            if region.range.start < pages.start {
                adjustments.append(.partialPage, PhysicalRange(region.range.start, pages.start), region.kind)
            }
            if pages.end < region.range.end {
                adjustments.append(.partialPage, PhysicalRange(pages.end, region.range.end), region.kind)
            }
            regions.replace(index, with: pages)
            index &+= 1
        }
    }

    // MARK: One range at a time

    /// Walks along `range`: gaps between regions are filled, and what a less restrictive region has is taken from it.
    private mutating func insert(_ range: PhysicalRange, _ kind: MemoryKind) {
        var cursor = range.start
        while cursor < range.end {
            let index = regions.firstIndex(endingAfter: cursor)
            guard index < count, self[index].range.start < range.end else {
                return fill(PhysicalRange(cursor, range.end), kind, at: index)
            }
            let region = self[index]
            if cursor < region.range.start {
                fill(PhysicalRange(cursor, region.range.start), kind, at: index)
                cursor = region.range.start
                continue
            }
            let shared = PhysicalRange(cursor, min(range.end, region.range.end))
            if region.kind != kind { adjustments.append(.overlap, shared, kind) }
            if region.kind < kind { override(shared, with: kind, at: index) }
            cursor = shared.end
        }
    }

    /// Turns `part` of the region at `index` into `kind`, which is more restrictive.
    private mutating func override(_ part: PhysicalRange, with kind: MemoryKind, at index: Int) {
        let region = self[index]
        let below = PhysicalRange(region.range.start, part.start)
        let above = PhysicalRange(part.end, region.range.end)
        let pieces = (below.isEmpty ? 0 : 1) + (above.isEmpty ? 0 : 1)
        if count &+ pieces > capacity && region.kind != .available {
            // It stays what it was, which is not available either.
            return adjustments.append(.noRoom, part, kind)
        }
        switch (below.isEmpty, above.isEmpty) {
        case (true, true):
            regions.remove(at: index)
            fill(part, kind, at: index)
        case (true, false):
            regions.replace(index, with: above)
            fill(part, kind, at: index)
        case (false, true):
            regions.replace(index, with: below)
            fill(part, kind, at: index &+ 1)
        case (false, false):
            if count &+ pieces <= capacity {
                regions.replace(index, with: below)
                regions.insert(FirmwareRegion(above, region.kind), at: index &+ 1)
                fill(part, kind, at: index &+ 1)
            } else {
                // Available memory on one side has to go: the smaller part.
                let keepsBelow = below.byteCount >= above.byteCount
                adjustments.append(.noRoom, keepsBelow ? above : below, region.kind)
                regions.replace(index, with: keepsBelow ? below : above)
                fill(part, kind, at: keepsBelow ? index &+ 1 : index)
            }
        }
    }

    /// Says that `gap`, which lies between the regions at `index - 1` and `index`, is of `kind`.
    private mutating func fill(_ gap: PhysicalRange, _ kind: MemoryKind, at index: Int) {
        if kind == .available && refusesAvailable { return adjustments.append(.noRoom, gap, kind) }
        if regions.fill(gap, kind, at: index) { return }
        adjustments.append(.noRoom, gap, kind)
        if kind != .available { refusesAvailable = true }
    }
}
