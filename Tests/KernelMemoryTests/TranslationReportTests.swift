import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

@testable import KernelMemory
@testable import VirtualMemory

/// `translate`: what is written of each entry is what the table's memory holds, and what comes of it is where accesses go.
@Suite struct TranslationReportTests {
    private func lines(_ machine: KernelMachine, _ address: VirtualAddress) -> [String] {
        var text = TextWriter()
        machine.run { machine.memory.value.writeTranslation(of: address, to: &text) }
        return text.lines
    }

    private func word(_ machine: KernelMachine, _ table: UInt, _ index: UInt) -> UInt {
        unsafe machine.directMap.pointer(to: PhysicalAddress(table + index * 8)).load(as: UInt.self)
    }

    /// Follows the tables in memory by the CPU's manual, and expects each line to begin with what is found.
    private func expectWay(_ machine: KernelMachine, _ address: VirtualAddress) throws -> [String] {
        let found = lines(machine, address)
        let isFive = machine.configuration.features.fiveLevels
        let names = isFive ? ["PGD", "P4D", "PUD", "PMD", "PTE"] : ["PGD", "PUD", "PMD", "PTE"]
        var table = machine.memory.value.pageTables.value.root.rawValue
        for (place, name) in names.enumerated() {
            let level = UInt(names.count - 1 - place)
            let index = address.rawValue >> (12 + 9 * level) & 511
            let raw = word(machine, table, index)
            let number = String(repeating: " ", count: 3 - "\(index)".count) + "\(index)"
            let digits = String(raw, radix: 16)
            let padded = String(repeating: "0", count: 16 - digits.count) + digits
            let line = try #require(place < found.count ? found[place] : nil)
            #expect(line.hasPrefix("\(name) [\(number)] 0x\(padded)  "))
            #expect(
                line.contains(" no-execute")
                    == (raw & 1 != 0 && raw >> 63 != 0
                        || raw & 1 == 0 && raw >> 63 != 0 && raw >> 9 & 3 != 2 && raw >> 9 & 3 != 3))
            if raw & 1 == 0 || raw & 0x80 != 0 && level > 0 || level == 0 {
                #expect(found.count == place + 2)
                break
            }
            #expect(line.contains("table at 0x"))
            table = raw & 0xf_ffff_ffff_f000
        }
        return found
    }

    @Test(arguments: [false, true]) func everyKindOfEntry(fiveLevels: Bool) throws {
        var configuration = Configuration()
        configuration.features.fiveLevels = fiveLevels
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        // Memory in large pages, and code.
        let direct = machine.direct(0x123_4567)
        var found = try expectWay(machine, direct)
        let name = "0x" + String(direct.rawValue, radix: 16)
        #expect(found.last == "\(name) is physical 0x000001234567: 2M page, rw-g-")
        #expect(
            found[found.count - 2].hasSuffix(
                "2M page at 0x000001200000: present writable accessed dirty large global no-execute"))
        found = try expectWay(machine, machine.alias(0x123_4567))
        #expect(found.contains { $0.contains(" [shared]") })
        found = try expectWay(machine, machine.configuration.image.code.virtualStart)
        #expect(found.last?.hasSuffix(": 4K page, r-xg-") == true)
        // What the CPU takes for nothing.
        let area = try #require(machine.run { machine.vmalloc(4 << 20) })
        found = try expectWay(machine, area)
        #expect(found[found.count - 2].contains("zeroed memory, due at the first touch: writable accessed dirty"))
        #expect(found.last?.hasSuffix(" leads to no memory") == true)
        try machine.store(1, area)
        #expect(try expectWay(machine, area + 5).last?.contains(" is physical 0x") == true)
        let stack = try #require(machine.run { machine.makeStack(pages: 4) })
        #expect(
            try expectWay(machine, stack.limit).contains { $0.contains("a page of a stack, due when the stack grows:") }
        )
        #expect(
            try expectWay(machine, machine.layout.areas.end - 4096).contains { $0.contains("empty: nothing is mapped") }
        )
        // Addresses that lead nowhere.
        #expect(
            lines(machine, VirtualAddress(0x8000_0000_0000_0000)) == ["0x8000000000000000: not a canonical address"])
        #expect(try expectWay(machine, VirtualAddress(0)).last == "0x0000000000000000 leads to no memory")
    }

    @Test func guardAndRetiredEntriesAreNamed() throws {
        var configuration = Configuration()
        configuration.purgeThreshold = 64
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        let area = try #require(machine.run { machine.vmalloc(3 * 4096, populate: true) })
        let physical = try #require(machine.run { machine.memory.value.pageTables.value.translate(area) }).physical
        var range = VirtualRange(area, area + 4096)
        _ = try machine.run { try machine.memory.value.pageTables.value.retireFrames(from: &range) }
        let digits = String(physical.rawValue, radix: 16)
        let padded = String(repeating: "0", count: 12 - digits.count) + digits
        #expect(lines(machine, area).contains { $0.contains("retired: its page at 0x\(padded) was taken away") })
        var source = machine.run { BuddyTableSource<SimulatedPlatform>(frames: machine.memory.value.frames) }
        let guarded = machine.layout.areas.end - (1 << 30)
        try machine.run {
            try machine.memory.value.pageTables.value.reserveGuard(
                VirtualRange(guarded, guarded + 4096), using: &source)
        }
        #expect(lines(machine, guarded).contains { $0.contains("guard page: nobody may touch it") })
        // The entries as they were meant by the map of areas.
    }

    /// An entry that leads where no memory is ends the way, and nothing is read there.
    @Test func aDamagedEntryIsNotFollowed() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20))
        let address = VirtualAddress(0x1234_5678_9000)
        let root = machine.memory.value.pageTables.value.root
        let slot = unsafe machine.directMap.pointer(to: root + (address.rawValue >> 39 & 511) * 8)
        unsafe slot.storeBytes(of: 0x000f_1234_5678_9003, as: UInt.self)
        let found = lines(machine, address)
        unsafe slot.storeBytes(of: 0, as: UInt.self)
        #expect(found.count == 2 && found[0].contains("table at 0xf123456789000: "))
        #expect(found.last == "the entry is damaged: no memory is where it leads")
        try machine.check()
    }
}

/// `pagetables`: neighbours with equal rights are one line, and every entry is in a line.
@Suite struct PageTableRangesTests {
    private struct Line: Equatable {
        var first: UInt
        var end: UInt
        var text: String
    }

    private func text(_ machine: KernelMachine, around address: VirtualAddress? = nil) -> [String] {
        var text = TextWriter()
        machine.run { machine.memory.value.writePageTables(around: address, to: &text) }
        return text.lines
    }

    private func parse(_ lines: [String]) throws -> [Line] {
        let shape = try Regex(
            #"0x([0-9a-f]{16})-0x([0-9a-f]{16})   ( *\d+)([BKMGTPE]) (.{30})(pte|pmd|pud|p4d|pgd)( .+)?"#)
        return try lines.filter { !$0.hasPrefix("---[") }.map { line in
            let match = try #require(try shape.wholeMatch(in: line), "\(line)")
            let first = try #require(UInt(match[1].substring!, radix: 16))
            let end = try #require(UInt(match[2].substring!, radix: 16))
            let number = try #require(UInt(match[3].substring!.drop { $0 == " " }))
            #expect(match[3].substring!.count == 9)
            let unit = try #require("BKMGTPE".firstIndex(of: Character(String(match[4].substring!))))
            let shift = 10 * "BKMGTPE".distance(from: "BKMGTPE".startIndex, to: unit)
            #expect(number << UInt(shift) == end &- first)
            let kind = match[7].substring.map(String.init) ?? ""
            return Line(first: first, end: end, text: "\(match[5].substring!)\(match[6].substring!)\(kind)")
        }
    }

    /// The columns of one entry, by Linux's names.
    private func columns(_ entry: WalkedEntry, _ isStack: Bool) -> String {
        let level = entry.byteCount == 4096 ? "pte" : entry.byteCount == 2 << 20 ? "pmd" : "pud"
        func rights(_ permissions: PagePermissions, isLarge: Bool) -> String {
            let isUncached = permissions.cacheMode == .uncachedOverridable || permissions.cacheMode == .uncached
            let isThrough =
                permissions.cacheMode == .writeThrough || permissions.cacheMode == .uncached
                || permissions.cacheMode == .writeCombining
            return (permissions.contains(.user) ? "USR " : "    ") + (permissions.contains(.write) ? "RW " : "ro ")
                + (isThrough ? "PWT " : "    ") + (isUncached ? "PCD " : "    ") + (isLarge ? "PSE " : "    ")
                + (permissions.cacheMode == .writeCombining ? "PAT " : "    ")
                + (permissions.contains(.global) ? "GLB " : "    ") + (permissions.contains(.execute) ? "x  " : "NX ")
        }
        switch entry.content {
        case .mapped(let page): return rights(page.permissions, isLarge: page.size != .size4KiB) + level
        case .demand(let permissions):
            return rights(permissions, isLarge: false) + level + (isStack ? " stack" : " demand")
        default: return String(repeating: " ", count: 30) + level + " guard"
        }
    }

    @Test(arguments: [false, true]) func linesAreWhatAWalkFinds(fiveLevels: Bool) throws {
        var configuration = Configuration()
        configuration.features.fiveLevels = fiveLevels
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        var workload = Workload(machine: machine, random: SeededGenerator.fromEnvironment(default: 71))
        var holdings: [Workload.Holding] = []
        machine.run { for _ in 0..<150 { if let holding = workload.allocate() { holdings.append(holding) } } }
        let device = machine.run { machine.memory.value.vmalloc.value.ioremap(PhysicalAddress(0xfee0_0000), 64) }
        #expect(device != nil)

        var expected: [Line] = []
        let layout = machine.layout
        let bounds = [layout.objectAlias, layout.directMap, layout.areas, layout.frameTable, layout.image].map(
            \.start.rawValue)
        let top = UInt.max >> (fiveLevels ? 8 : 17)
        for (first, last) in [(0, top), (~top, UInt.max)] as [(UInt, UInt)] {
            let tables = machine.memory.value.pageTables
            try machine.run {
                try tables.value.walk(from: VirtualAddress(first), through: VirtualAddress(last)) { entry in
                    // Stacks' pages and others that are due look alike to a walk; their areas do not.
                    let area = machine.memory.value.vmalloc.value.ranges.nearestAreaUnlocked(to: entry.address)
                    let isStack = area?.kind == .stack && area?.range.contains(entry.address) == true
                    let text = columns(entry, isStack)
                    let end = entry.address.rawValue &+ entry.byteCount
                    if let previous = expected.last, previous.end == entry.address.rawValue, previous.text == text,
                        !bounds.contains(previous.end)
                    {
                        expected[expected.count - 1].end = end
                    } else {
                        expected.append(Line(first: entry.address.rawValue, end: end, text: text))
                    }
                    return true
                }
            }
        }
        let all = text(machine)
        let found = try parse(all)
        #expect(found == expected)
        #expect(found.contains { $0.text.hasSuffix("PCD         GLB NX pte") })
        let headings = all.filter { $0.hasPrefix("---[") }
        #expect(
            Set(headings) == [
                "---[ User Space ]---", "---[ Object Alias ]---", "---[ Kernel Space ]---", "---[ Direct Map ]---",
                "---[ vmalloc() Area ]---", "---[ Frame Table ]---", "---[ Kernel Image ]---",
            ] && headings.count == 7)

        // One line by an address in it: the same, with its region's heading.
        for line in found {
            let place = try #require(
                all.firstIndex {
                    $0.hasPrefix(
                        "0x" + String(repeating: "0", count: 16 - String(line.first, radix: 16).count)
                            + String(line.first, radix: 16))
                })
            let heading = try #require(all[..<place].last { $0.hasPrefix("---[") })
            for address in [line.first, line.end &- 1] {
                #expect(text(machine, around: VirtualAddress(address)) == [heading, all[place]])
            }
        }
        // And where nothing is, how far that is.
        for address in [UInt(0x1000), layout.areas.end.rawValue - 1, layout.directMap.start.rawValue + 1 << 40, .max] {
            let hole = text(machine, around: VirtualAddress(address))
            #expect(hole.count == 2 && hole[1].hasSuffix(" nothing is mapped"))
            let first = try #require(UInt(hole[1].dropFirst(2).prefix(16), radix: 16))
            let last = try #require(UInt(hole[1].dropFirst(21).prefix(16), radix: 16)) &- 1
            #expect(first <= address && address <= last)
            #expect(!found.contains { $0.first <= last && $0.end &- 1 >= first })
        }
        #expect(text(machine, around: VirtualAddress(1 << 63)) == ["0x8000000000000000: not a canonical address"])
    }
}
