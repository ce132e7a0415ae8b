import BootMemory
import MemoryPrimitives
import PageFrames

extension KernelMemory {
    /// Writes a map of physical memory as text: about 16 lines of 64 letters, each of which stands for equally many frames,
    /// and what the letters mean with the sum of each use.
    ///
    /// A capital says that all frames in its place are used so, a small letter that most of them are; `.` and `:` say the
    /// same of free ones. Every zone begins a line. So the map is readable without its colours.
    ///
    /// - Parameters:
    ///   - hasColours: whether to write ANSI's sequences for 16 colours, too.
    ///   - scratch: memory to work in.
    ///   - writer: where it goes.
    /// - Complexity: as `writeFrames`.
    @inline(never)
    public func writeTextMap<Writer: ReportWriter>(hasColours: Bool, scratch: MapScratch, to writer: inout Writer) {
        var total: UInt = 0
        var cursor = PhysicalAddress.zero
        while let range = boot.value.nextMemoryRange(from: cursor) {
            total &+= range.byteCount >> PageSize.shift
            cursor = range.end
        }
        var map = TextMap(framesPerCell: TextMap.framesPerCell(forFrames: total), hasColours: hasColours)
        var walk = MemoryUseWalk(self, scratch)
        while let run = walk.next() { map.add(run, to: &writer) }
        map.finish(to: &writer)
    }
}

/// How many frames there are of each use.
struct UseCounts {
    private var counts = InlineArray<14, UInt>(repeating: 0)
    private(set) var total: UInt = 0

    subscript(use: MemoryUse) -> UInt { counts[Int(use.rawValue)] }

    mutating func add(_ count: UInt, _ use: MemoryUse) {
        counts[Int(use.rawValue)] &+= count
        total &+= count
    }

    mutating func clear() {
        for index in 0..<MemoryUse.count { counts[index] = 0 }
        total = 0
    }

    /// The use that most frames have, and whether all have it; nil where there are none.
    @inline(never)
    var most: (use: MemoryUse, isAll: Bool)? {
        var best = 0
        for index in 0..<MemoryUse.count where counts[index] > counts[best] { best = index }
        if counts[best] == 0 { return nil }
        return MemoryUse(rawValue: UInt8(best)).map { ($0, counts[best] == total) }
    }
}

/// The map of text as it grows, run by run.
struct TextMap {
    private static var columns: UInt { 64 }
    private static var rows: UInt { 16 }

    private let framesPerCell: UInt
    private let hasColours: Bool
    /// What the cell holds that is not written yet, and all that was added.
    private var cell = UseCounts()
    private var total = UseCounts()
    /// The first frame of the cell that is not written yet; nil between two lines.
    private var position: UInt?
    private var column: UInt = 0
    private var zone: ZoneKind?
    /// The colours that the terminal has now.
    private var painted: MemoryUse?

    init(framesPerCell: UInt, hasColours: Bool) {
        self.framesPerCell = framesPerCell
        self.hasColours = hasColours
    }

    /// The smallest power of two with which `frames` frames fit into the lines.
    static func framesPerCell(forFrames frames: UInt) -> UInt {
        var count: UInt = 1
        while count &* columns &* rows < frames { count <<= 1 }
        return count
    }

    /// Adds a run, which lies beyond all others.
    @inline(never)
    mutating func add<Writer: ReportWriter>(_ run: MemoryUseRun, to writer: inout Writer) {
        let kind = ZoneKind.kind(of: run.first)
        if kind != zone {
            endLine(to: &writer)
            writeHeading(kind, to: &writer)
            zone = kind
        }
        var frame = run.first.rawValue
        while frame < run.end.rawValue {
            let start = frame & ~(framesPerCell &- 1)
            if let position, position != start { writeCell(to: &writer) }
            moveTo(start, &writer)
            let count = min(run.end.rawValue, start &+ framesPerCell) &- frame
            cell.add(count, run.use)
            total.add(count, run.use)
            frame &+= count
        }
    }

    /// Writes what is left of the map, and what the letters mean.
    @inline(never)
    mutating func finish<Writer: ReportWriter>(to writer: inout Writer) {
        endLine(to: &writer)
        writer.endLine()
        var value: UInt8 = 0
        while let use = MemoryUse(rawValue: value) {
            if total[use] > 0 { writeLegend(use, to: &writer) }
            value += 1
        }
        writer.write("  all")
        Self.pad(19, &writer)
        Self.write(total.total, &writer)
        writer.write(" of RAM, ")
        writer.write(decimal: framesPerCell)
        writer.write(" in each place")
        writer.endLine()
    }

    /// Begins a line where that is due, and leaves places empty that no RAM lies in: of a whole line and more, lines.
    @inline(never)
    private mutating func moveTo<Writer: ReportWriter>(_ start: UInt, _ writer: inout Writer) {
        let lineFrames = framesPerCell &* Self.columns
        if position == start { return }
        if position != nil || column == Self.columns || lineOf(start) != line { endLine(to: &writer) }
        if line == nil {
            line = lineOf(start)
            writer.write("0x")
            writer.write(hex: (line ?? 0) &* lineFrames &* PageSize.byteCount, digits: 10)
            writer.write(" ")
        }
        let wanted = start % lineFrames / framesPerCell
        while column < wanted {
            paint(nil, &writer)
            writer.write(" ")
            column += 1
        }
        position = start
    }

    /// The line that is being written: its number; nil between two lines.
    private var line: UInt?

    private func lineOf(_ frame: UInt) -> UInt { frame / (framesPerCell &* Self.columns) }

    @inline(never)
    private mutating func writeCell<Writer: ReportWriter>(to writer: inout Writer) {
        if let (use, isAll) = cell.most {
            paint(use, &writer)
            // Small letters are 32 above capitals.
            writer.write(isAll ? use.letter : use == .free ? UInt8(ascii: ":") : use.letter | 0x20)
            column += 1
        }
        cell.clear()
        position = nil
    }

    private mutating func endLine<Writer: ReportWriter>(to writer: inout Writer) {
        if position != nil { writeCell(to: &writer) }
        if line == nil { return }
        paint(nil, &writer)
        writer.endLine()
        line = nil
        column = 0
    }

    private mutating func paint<Writer: ReportWriter>(_ use: MemoryUse?, _ writer: inout Writer) {
        if !hasColours || use == painted { return }
        painted = use
        writer.write(0x1b)
        writer.write("[")
        if let use {
            writer.write(decimal: use.colours.foreground)
            writer.write(";")
            writer.write(decimal: use.colours.background)
        } else {
            writer.write("0")
        }
        writer.write("m")
    }

    private func writeHeading<Writer: ReportWriter>(_ kind: ZoneKind, to writer: inout Writer) {
        writer.write("-- ")
        writer.write(kind.name)
        writer.write(" ")
        for _ in 4 + kind.name.utf8CodeUnitCount..<77 { writer.write("-") }
        writer.endLine()
    }

    @inline(never)
    private mutating func writeLegend<Writer: ReportWriter>(_ use: MemoryUse, to writer: inout Writer) {
        writer.write("  ")
        paint(use, &writer)
        writer.write(use.letter)
        paint(nil, &writer)
        writer.write(" ")
        writer.write(use.name)
        Self.pad(20 - use.name.utf8CodeUnitCount, &writer)
        Self.write(total[use], &writer)
        writer.endLine()
    }

    /// "    1234 frames     4936 KiB"
    private static func write<Writer: ReportWriter>(_ frames: UInt, _ writer: inout Writer) {
        writer.write(decimal: frames, width: 9)
        writer.write(" frames ")
        writer.write(decimal: frames << (PageSize.shift - 10), width: 10)
        writer.write(" KiB")
    }

    private static func pad<Writer: ReportWriter>(_ count: Int, _ writer: inout Writer) {
        for _ in 0..<max(0, count) { writer.write(" ") }
    }
}
