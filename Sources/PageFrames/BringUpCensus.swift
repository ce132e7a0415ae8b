import BootMemory
import MemoryPrimitives

/// What there is to take over: how much room the frame table and the zones' lists need.
struct BringUpCensus {
    /// Free ranges, whether or not they have a whole page.
    private(set) var rangeCount = 0

    /// For each zone, the number of sections with a free page.
    private(set) var sections = InlineArray<3, UInt>(repeating: 0)

    /// For each zone, its whole pages of memory, free or not.
    private(set) var present = InlineArray<3, UInt>(repeating: 0)

    /// The first section beyond all free pages.
    private(set) var endSection: UInt = 0

    /// The number of sections with a free page.
    var totalSections: UInt { sections[0] + sections[1] + sections[2] }

    /// Out of line: bring-up counts several times.
    @inline(never)
    init(of boot: borrowing BootAllocator) {
        var census = BringUpCensus()
        boot.forEachFreeRange { range in census.add(range) }
        for index in 0..<boot.memoryRangeCount { census.addPresent(boot.memoryRange(at: index)) }
        self = census
    }

    private init() {}

    /// Counts a range, which lies above all that were counted before.
    private mutating func add(_ range: PhysicalRange) {
        rangeCount += 1
        guard let whole = range.wholePages() else { return }
        ZoneKind.forEach { kind in
            let low = max(PageFrameNumber(containing: whole.start), kind.firstFrame)
            let high = min(PageFrameNumber(containing: whole.end), kind.endFrame)
            guard low < high else { return }
            let first = low.rawValue >> Section.shift
            let end = (high.rawValue + Section.frameCount - 1) >> Section.shift
            // The first section may have been counted with the range before.
            sections[kind.rawValue] += end - max(first, endSection)
            endSection = end
        }
    }

    private mutating func addPresent(_ range: PhysicalRange) {
        guard let whole = range.wholePages() else { return }
        ZoneKind.forEach { kind in
            let low = max(PageFrameNumber(containing: whole.start), kind.firstFrame).rawValue
            let high = min(PageFrameNumber(containing: whole.end), kind.endFrame).rawValue
            present[kind.rawValue] += high > low ? high - low : 0
        }
    }

    /// For each zone, the highest with memory of that one and those below it; the lowest with memory, where there is
    /// none.
    var preferredZones: InlineArray<3, Int> {
        var zones = InlineArray<3, Int>(repeating: 0)
        for zone in 0..<ZoneKind.count {
            zones[zone] = sections[zone] > 0 || zone == 0 ? zone : zones[zone - 1]
        }
        return zones
    }
}
