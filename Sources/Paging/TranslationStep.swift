import MemoryPrimitives

/// One entry on an address' way through the tables.
public struct TranslationStep: Equatable, Sendable {
    /// 0 for a table of pages of 4 KiB, 3 or 4 for the root.
    public let level: Int
    /// The entry's number in its table.
    public let index: Int
    /// The table that it stands in.
    public let table: PhysicalAddress
    public let entry: PageTableEntry

    /// Whether the entry leads to another table, at `entry.tableAddress`.
    public var leadsOn: Bool { entry.referencesTable(atLevel: level) }

    /// The size of the page that the entry maps; nil where it maps none.
    public var pageSize: PageSize? { entry.isLeaf(atLevel: level) ? Paging.pageSize(ofLevel: level) : nil }

    /// The bytes that the entry stands for.
    public var byteCount: UInt { PageTable.byteCount(ofLevel: level) }

    /// What such a table is called in Linux.
    public var levelName: StaticString {
        switch level {
        case 0: "PTE"
        case 1: "PMD"
        case 2: "PUD"
        case 3: hasFiveLevels ? "P4D" : "PGD"
        default: "PGD"
        }
    }

    private let hasFiveLevels: Bool

    init(level: Int, index: Int, table: PhysicalAddress, entry: PageTableEntry, hasFiveLevels: Bool) {
        self.level = level
        self.index = index
        self.table = table
        self.entry = entry
        self.hasFiveLevels = hasFiveLevels
    }
}

/// The way of one address, entry by entry, without the tables' lock: for reports, which must not wait. What another CPU
/// changes meanwhile may be missed.
extension PageTables {
    /// The root's entry for an address, canonical or not. - Complexity: O(1). Any context.
    public func firstStep(to virtual: VirtualAddress) -> TranslationStep {
        read(root, features.topLevel, virtual)
    }

    /// The entry for an address in the table that a step leads to.
    ///
    /// - Parameters:
    ///   - step: one whose `leadsOn` is true, and whose `entry.tableAddress` is memory: the caller makes sure of both, because
    ///     a damaged entry, or one that another CPU has just taken out, may lead anywhere.
    /// - Complexity: O(1). Any context.
    public func step(after step: TranslationStep, to virtual: VirtualAddress) -> TranslationStep {
        read(step.entry.tableAddress, step.level &- 1, virtual)
    }

    private func read(_ table: PhysicalAddress, _ level: Int, _ virtual: VirtualAddress) -> TranslationStep {
        let index = PageTable.index(of: virtual.rawValue, atLevel: level)
        return TranslationStep(
            level: level, index: index, table: table, entry: PageTable(at: table, directMap)[index],
            hasFiveLevels: features.fiveLevels)
    }
}

extension ReportWriter {
    /// Writes a step in one line: the table's name and the entry's number in it, its raw value, and what that says.
    ///
    ///     PMD [ 31] 0x80000000036001e3  2M page at 0x000003600000: present writable accessed dirty large global no-execute
    @inline(never)
    public mutating func write(_ step: TranslationStep) {
        write(step.levelName)
        write(" [")
        write(decimal: UInt(bitPattern: step.index), width: 3)
        write("] 0x")
        write(hex: step.entry.rawValue, digits: 16)
        write("  ")
        if step.leadsOn {
            write("table at 0x")
            write(hex: step.entry.tableAddress.rawValue, digits: 12)
            write(":")
            writeFlags(of: step.entry, size: nil)
            write(", ")
            write(decimal: UInt(bitPattern: step.entry.entriesInUse))
            write(" entries in use")
        } else if let size = step.pageSize {
            write(size == .size4KiB ? "4K" : size == .size2MiB ? "2M" : "1G")
            write(" page at 0x")
            write(hex: step.entry.pageAddress(size: size).rawValue, digits: 12)
            write(":")
            writeFlags(of: step.entry, size: size)
        } else {
            writeAbsent(step.entry)
        }
        endLine()
    }

    /// The bits that are set, by name; those of software are in brackets.
    @inline(never)
    private mutating func writeFlags(of entry: PageTableEntry, size: PageSize?) {
        writeFlag(" present", entry.isPresent)
        writeFlag(" writable", entry.isWritable)
        writeFlag(" user", entry.isUser)
        writeFlag(" write-through", entry.rawValue & PageTableEntry.writeThroughBit != 0)
        writeFlag(" cache-disable", entry.rawValue & PageTableEntry.cacheDisableBit != 0)
        writeFlag(" accessed", entry.isAccessed)
        if let size {
            writeFlag(" dirty", entry.isDirty)
            let attribute =
                size == .size4KiB ? PageTableEntry.smallAttributeBit : PageTableEntry.largeAttributeBit
            writeFlag(" large", size != .size4KiB)
            writeFlag(" attribute-table", entry.rawValue & attribute != 0)
            writeFlag(" global", entry.isGlobal)
        } else {
            writeFlag(" [permanent]", entry.isPermanent)
            writeFlag(" [shared]", entry.isShared)
        }
        writeFlag(" no-execute", !entry.isExecutable)
    }

    private mutating func writeFlag(_ name: StaticString, _ isSet: Bool) { if isSet { write(name) } }

    /// What an entry means that the CPU takes for nothing.
    @inline(never)
    private mutating func writeAbsent(_ entry: PageTableEntry) {
        if entry.isEmpty { return write("empty: nothing is mapped") }
        if entry.isDueStackPage {
            write("a page of a stack, due when the stack grows:")
            return writeFlags(of: entry, size: .size4KiB)
        }
        if entry.isDemand {
            write("zeroed memory, due at the first touch:")
            return writeFlags(of: entry, size: .size4KiB)
        }
        if entry.isGuard { return write("guard page: nobody may touch it") }
        if entry.isRetired {
            write("retired: its page at 0x")
            write(hex: entry.frame.address.rawValue, digits: 12)
            return write(" was taken away, and waits until every CPU knows")
        }
        write("not present, and none of the kinds that there are")
    }
}
