import MemoryPrimitives

/// Everything that is mapped, a line for each run of pages that differ in nothing but where they are and lead, as Linux's
/// `page_tables/kernel` in debugfs does it:
///
///     0xffff888000100000-0xffff888000109fff       40K rw-g- 4K wb 0x000000100000
///
/// The first and the last byte, the size, what is allowed (read, write, execute, global, user), the size of a page, how
/// it is cached (wb, wt, uc-, uc, wc), and the memory behind the first byte, with each page's behind the one before. Pages
/// due at their first touch and guard pages have no memory: `demand` and `guard` stand in its place.
public enum MappingReport {
    /// A run as it grows.
    private struct Run {
        var first: WalkedEntry
        var byteCount: UInt

        /// Adds `next` where it continues the run.
        mutating func extend(by next: WalkedEntry) -> Bool {
            if next.address.rawValue &- first.address.rawValue != byteCount || next.byteCount != first.byteCount {
                return false
            }
            switch (first.content, next.content) {
            case (.mapped(let old), .mapped(let new)):
                if new.permissions != old.permissions || new.physical.rawValue &- old.physical.rawValue != byteCount {
                    return false
                }
            case (.demand(let old), .demand(let new)): if old != new { return false }
            case (.guardPage, .guardPage): break
            default: return false
            }
            byteCount &+= next.byteCount
            return true
        }
    }

    /// Writes all of `tables`, the half of user code first. The tables are locked meanwhile.
    public static func write<P: Platform>(_ tables: borrowing PageTables<P>, to writer: inout some ReportWriter) {
        let half = UInt.max >> (65 &- tables.features.addressBits)
        write(tables, from: 0, through: half, to: &writer)
        write(tables, from: ~half, through: .max, to: &writer)
    }

    private static func write<P: Platform>(
        _ tables: borrowing PageTables<P>, from first: UInt, through last: UInt, to writer: inout some ReportWriter
    ) {
        var open: Run?
        // Both are addresses of one half.
        try? tables.walk(from: VirtualAddress(first), through: VirtualAddress(last)) { entry in
            if open?.extend(by: entry) == true { return true }
            if let open { write(open, to: &writer) }
            open = Run(first: entry, byteCount: entry.byteCount)
            return true
        }
        if let open { write(open, to: &writer) }
    }

    private static func write(size byteCount: UInt, to writer: inout some ReportWriter) {
        let size = PageSize.size2MiB.byteCount
        writer.write(byteCount < size ? " 4K " : byteCount == size ? " 2M " : " 1G ")
    }

    @inline(never)
    private static func write(_ run: Run, to writer: inout some ReportWriter) {
        let start = run.first.address.rawValue
        writer.write("0x")
        writer.write(hex: start, digits: 16)
        writer.write("-0x")
        writer.write(hex: start &+ (run.byteCount &- 1), digits: 16)
        writer.write(" ")
        writer.write(decimal: run.byteCount >> 10, width: 9)
        writer.write("K ")
        switch run.first.content {
        case .mapped(let page):
            write(page.permissions, to: &writer)
            write(size: page.size.byteCount, to: &writer)
            writer.write(name(of: page.permissions.cacheMode))
            writer.write(" 0x")
            writer.write(hex: page.physical.rawValue, digits: 12)
        case .demand(let permissions):
            write(permissions, to: &writer)
            write(size: run.first.byteCount, to: &writer)
            writer.write("demand")
        default: writer.write("----- 4K guard")
        }
        writer.endLine()
    }

    private static func write(_ permissions: PagePermissions, to writer: inout some ReportWriter) {
        writer.write("r")
        writer.write(permissions.contains(.write) ? "w" : "-")
        writer.write(permissions.contains(.execute) ? "x" : "-")
        writer.write(permissions.contains(.global) ? "g" : "-")
        writer.write(permissions.contains(.user) ? "u" : "-")
    }

    private static func name(of mode: CacheMode) -> StaticString {
        switch mode {
        case .writeBack: "wb"
        case .writeThrough: "wt"
        case .uncachedOverridable: "uc-"
        case .uncached: "uc"
        case .writeCombining: "wc"
        }
    }
}
