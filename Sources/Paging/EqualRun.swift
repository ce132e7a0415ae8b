import MemoryPrimitives

/// Neighbouring entries of one level that allow the same, wherever the memory behind them is: a line of Linux's ptdump.
public struct EqualRun: Equatable, Sendable {
    /// The first byte, and the last one: a run may end where the address space does.
    public let first: VirtualAddress
    public private(set) var last: VirtualAddress
    /// The level of its entries, 0 for pages of 4 KiB.
    public let level: Int
    /// The first entry.
    public let entry: PageTableEntry

    var byteCount: UInt { last.rawValue &- first.rawValue &+ 1 }

    init(_ entry: PageTableEntry, level: Int, from start: UInt) {
        first = VirtualAddress(start)
        last = VirtualAddress(start &+ (PageTable.byteCount(ofLevel: level) &- 1))
        self.level = level
        self.entry = entry
    }

    /// Adds the next entry where it belongs to the run.
    mutating func extend(by next: PageTableEntry, level: Int) -> Bool {
        guard level == self.level, Self.rights(of: next, level) == Self.rights(of: entry, level) else { return false }
        last = VirtualAddress(last.rawValue &+ PageTable.byteCount(ofLevel: level))
        return true
    }

    /// What entries of a run have in common: all but where they lead, and what the CPU has noted.
    static func rights(of entry: PageTableEntry, _ level: Int) -> UInt {
        let notes = PageTableEntry.accessedBit | PageTableEntry.dirtyBit
        let attribute = level > 0 && entry.isPresent ? PageTableEntry.largeAttributeBit : 0
        return entry.rawValue & ~(PageTableEntry.addressMask | notes) | entry.rawValue & attribute
    }
}

extension PageTables {
    /// The first run of entries that are not empty, from `first` on and not beyond the one that stands for `last`.
    ///
    /// - Parameters:
    ///   - first: where an entry begins; both are canonical, and of one half of the address space.
    /// - Returns: nil where nothing is there.
    /// - Complexity: O(entries), with the lock held and interrupts disabled; empty parts of the tree are skipped whole. Any
    ///   context.
    public func equalRun(from first: VirtualAddress, through last: VirtualAddress) -> EqualRun? {
        let state = lock.acquire()
        defer { lock.release(state) }
        var cursor = cursor
        var address = first.rawValue
        var run: EqualRun?
        while true {
            cursor.seek(address)
            let byteCount = cursor.byteCount
            let start = address & ~(byteCount &- 1)
            let entry = cursor.entry
            if run == nil {
                if !entry.isEmpty { run = EqualRun(entry, level: cursor.level, from: start) }
            } else if entry.isEmpty || run?.extend(by: entry, level: cursor.level) != true {
                return run
            }
            let (next, overflow) = start.addingReportingOverflow(byteCount)
            if overflow || next > last.rawValue { return run }
            address = next
        }
    }
}

extension ReportWriter {
    /// Writes a run as Linux's ptdump does; what is not present has its kind at the end.
    ///
    ///     0xffff888000100000-0xffff888000200000           1M     RW             PSE     GLB NX pmd
    ///     0xffffc90000001000-0xffffc90000005000          16K     RW                     GLB NX pte demand
    @inline(never)
    public mutating func write(_ run: EqualRun, hasFiveLevels: Bool) {
        write("0x")
        write(hex: run.first.rawValue, digits: 16)
        write("-0x")
        // One beyond the last byte; 0 where the address space ends.
        write(hex: run.last.rawValue &+ 1, digits: 16)
        write("   ")
        write(roundedSize: run.byteCount)
        writeRights(run)
        switch run.level {
        case 0: write("pte")
        case 1: write("pmd")
        case 2: write("pud")
        case 3: write(hasFiveLevels ? "p4d" : "pgd")
        default: write("pgd")
        }
        writeKind(run.entry)
        endLine()
    }

    /// "       40K ": the number of the largest unit that divides it, in nine columns.
    @inline(never)
    public mutating func write(roundedSize byteCount: UInt) {
        var number = byteCount
        var unit = 0
        while unit < 6, number & 1023 == 0, number != 0 {
            number >>= 10
            unit += 1
        }
        write(decimal: number, width: 9)
        switch unit {
        case 0: write("B ")
        case 1: write("K ")
        case 2: write("M ")
        case 3: write("G ")
        case 4: write("T ")
        case 5: write("P ")
        default: write("E ")
        }
    }

    @inline(never)
    private mutating func writeRights(_ run: EqualRun) {
        let entry = run.entry
        if !entry.isPresent, !entry.isDemand, !entry.isDueStackPage {
            return write("                              ")
        }
        let isLarge = run.level > 0 && entry.isPresent
        let attribute = isLarge ? PageTableEntry.largeAttributeBit : PageTableEntry.smallAttributeBit
        write(entry.isUser ? "USR " : "    ")
        write(entry.isWritable ? "RW " : "ro ")
        write(entry.rawValue & PageTableEntry.writeThroughBit != 0 ? "PWT " : "    ")
        write(entry.rawValue & PageTableEntry.cacheDisableBit != 0 ? "PCD " : "    ")
        write(isLarge ? "PSE " : "    ")
        // The address bits of what is not present are all set.
        let hasAttribute = (entry.isPresent || run.level == 0) && entry.rawValue & attribute != 0
        write(hasAttribute ? "PAT " : "    ")
        write(entry.isGlobal ? "GLB " : "    ")
        write(entry.isExecutable ? "x  " : "NX ")
    }

    private mutating func writeKind(_ entry: PageTableEntry) {
        if entry.isPresent { return }
        write(
            entry.isDueStackPage
                ? " stack" : entry.isDemand ? " demand" : entry.isGuard ? " guard" : entry.isRetired ? " retired" : " ?"
        )
    }
}
