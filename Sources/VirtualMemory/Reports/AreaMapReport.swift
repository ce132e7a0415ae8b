import MemoryPrimitives
import PageFrames
import Paging

/// The report `areas`: each area in the order of addresses, and behind it what its pages are.
///
///     area 0xffffc90000000000-0xffffc90000006000 guard=1,1 kind=stack state=live promised=3 name=main
///      0xffffc90000001000 rw-g- 4K demand 3
///      0xffffc90000004000 rw-g- 4K 24a0 2480+3
///
/// `guard` is the number of unmapped pages at either end, `promised` that of frames that the area may still take. A line of
/// pages has their first address, what is allowed, and the size of one, and then their frames, in hexadecimal: `+3` are
/// three frames, each behind the one before, `-3` each in front of it. (Numbers of frames are decimal, and of 4 KiB, however
/// large the page is.) `demand` and `guard` are pages due at their first touch, and such as nobody may touch.
public enum AreaMapReport {
    /// Writes each area with its pages.
    ///
    /// - Complexity: O(areas + pages), with the areas' lock held and interrupts disabled. Any context but a fault's.
    @inline(never)
    public static func write<P: Platform>(_ vmalloc: borrowing Vmalloc<P>, to writer: inout some ReportWriter) {
        let tables = vmalloc.pageTables
        vmalloc.ranges.forEachArea { area in
            // The head of the list is empty, and no area.
            if area.range.isEmpty { return }
            writeHeading(area, to: &writer)
            var line = AreaPagesLine()
            // Areas are usable where they lie.
            try? tables.value.walk(from: area.usable.start, through: VirtualAddress(area.usable.end.rawValue &- 1)) {
                line.add($0, to: &writer)
                return true
            }
            line.end(to: &writer)
        }
    }

    @inline(never)
    private static func writeHeading(_ area: Area, to writer: inout some ReportWriter) {
        writer.write("area 0x")
        writer.write(hex: area.range.start.rawValue, digits: 16)
        writer.write("-0x")
        writer.write(hex: area.range.end.rawValue, digits: 16)
        writer.write(" guard=")
        writer.write(decimal: UInt(area.guardPagesBelow))
        writer.write(",")
        writer.write(decimal: UInt(area.guardPagesAbove))
        writer.write(" kind=")
        writer.write(area.kind == .guardedObjects ? "guarded" : area.kind.name)
        writer.write(" state=")
        switch area.state {
        case .reserved: writer.write("reserved")
        case .live: writer.write("live")
        default: writer.write("dying")
        }
        writer.write(" promised=")
        writer.write(decimal: area.promisedFrames)
        writer.write(" name=")
        writer.write(area.name)
        writer.endLine()
        if area.caller == 0 { return }
        writer.write(" caller ")
        writer.write(returnAddress: area.caller)
        writer.endLine()
    }
}

/// A line of the report as it grows by entries of the page tables.
private struct AreaPagesLine {
    /// The entry that the line ended with; nil where there is no line yet.
    private var last: WalkedEntry?
    /// The run of frames, or of pages without one, that has not been written yet: the first, how many, and whether they
    /// descend.
    private var first: UInt = 0
    private var count: UInt = 0
    private var descends = false

    @inline(never)
    mutating func add(_ entry: WalkedEntry, to writer: inout some ReportWriter) {
        let pages = entry.byteCount >> PageSize.shift
        if !continues(entry) {
            end(to: &writer)
            Self.begin(entry, to: &writer)
        }
        last = entry
        guard case .mapped(let page) = entry.content else {
            count &+= pages
            return
        }
        let frame = PageFrameNumber(containing: page.physical).rawValue
        if count > 0, !(descends && count > 1), frame == first &+ count {
            descends = false
            count &+= pages
        } else if count > 0, pages == 1, descends || count == 1, frame == first &- count {
            descends = true
            count &+= 1
        } else {
            writeRun(to: &writer)
            (first, count, descends) = (frame, pages, false)
        }
    }

    /// Writes what has not been written yet.
    @inline(never)
    mutating func end(to writer: inout some ReportWriter) {
        guard let entry = last else { return }
        if case .mapped = entry.content {
            writeRun(to: &writer)
        } else {
            writer.write(" ")
            writer.write(decimal: count)
            count = 0
        }
        writer.endLine()
        last = nil
    }

    /// Whether an entry follows the last one and is as it, but for its frame.
    private func continues(_ entry: WalkedEntry) -> Bool {
        guard let last, last.address + last.byteCount == entry.address, last.byteCount == entry.byteCount else {
            return false
        }
        switch (last.content, entry.content) {
        case (.mapped(let old), .mapped(let new)): return old.permissions == new.permissions
        case (.demand(let old), .demand(let new)): return old == new
        case (.guardPage, .guardPage): return true
        default: return false
        }
    }

    @inline(never)
    private static func begin(_ entry: WalkedEntry, to writer: inout some ReportWriter) {
        writer.write(" 0x")
        writer.write(hex: entry.address.rawValue, digits: 16)
        writer.write(" ")
        switch entry.content {
        case .mapped(let page):
            writer.write(page.permissions)
            writer.write(entry.byteCount == PageSize.byteCount ? " 4K" : " 2M")
        case .demand(let permissions):
            writer.write(permissions)
            writer.write(entry.byteCount == PageSize.byteCount ? " 4K demand" : " 2M demand")
        default: writer.write("----- 4K guard")
        }
    }

    private mutating func writeRun(to writer: inout some ReportWriter) {
        if count == 0 { return }
        writer.write(" ")
        writer.write(hex: first)
        if count > 1 {
            writer.write(descends ? "-" : "+")
            writer.write(decimal: count)
        }
        count = 0
    }
}

extension ReportWriter {
    /// "rw-g-": read, write, execute, global, user.
    fileprivate mutating func write(_ permissions: PagePermissions) {
        write("r")
        write(permissions.contains(.write) ? "w" : "-")
        write(permissions.contains(.execute) ? "x" : "-")
        write(permissions.contains(.global) ? "g" : "-")
        write(permissions.contains(.user) ? "u" : "-")
    }
}
