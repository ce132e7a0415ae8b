import KernelMemory
import LeakDetection
import MemoryPrimitives
import Monitor
import Paging
import Slab
import X86

/// Commands that look at memory or touch it.
enum MemoryCommand: UInt8, CommandGroup {
    case fault
    case kmemleak
    case slab
    case check

    var help: CommandHelp {
        switch self {
        case .fault:
            CommandHelp(
                name: "fault", summary: "touch an address; what must not be touched ends the kernel",
                arguments: "ADDRESS [read|write|execute]", example: "fault 0xffffc90000001000 write")
        case .kmemleak:
            CommandHelp(
                name: "kmemleak", summary: "look for lost memory, list it, forget it (boot: kmemleak=on)",
                arguments: "scan|dump [ADDRESS]|clear", example: "kmemleak scan")
        case .slab:
            CommandHelp(
                name: "slab", summary: "check a cache's objects, or give its free slabs back",
                arguments: "validate|shrink CACHE", example: "slab validate kmalloc-64")
        case .check:
            CommandHelp(
                name: "check", summary: "check every allocator and all page tables for anything wrong",
                example: "check")
        }
    }

    func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        switch (self, words.count) {
        case (.fault, 2): FaultAccessWord.candidate(index)
        case (.kmemleak, 1): LeakWord.candidate(index)
        case (.slab, 1): SlabWord.candidate(index)
        case (.slab, 2): SlabCommand.candidate(index)
        default: nil
        }
    }

    func run(_ call: CommandCall) throws(CommandError) {
        switch self {
        case .fault: try FaultCommand.run(call)
        case .kmemleak: try LeakWord.run(call)
        case .slab: try SlabCommand.run(call)
        case .check: try CheckCommand.run(call)
        }
    }
}

enum FaultAccessWord: UInt8, WordChoice {
    case read, write, execute

    var word: StaticString {
        switch self {
        case .read: "read"
        case .write: "write"
        case .execute: "execute"
        }
    }
}

/// `fault`: a real access, answered by the fault handler or not.
enum FaultCommand {
    static func run(_ call: CommandCall) throws(CommandError) {
        let address = try call.number(1, "an address")
        let access = try access(call)
        try call.expectNoMore(than: 2)
        let wasThere = isThere(address, call)
        switch access {
        case .read: _ = x86_load8(address)
        // The byte stays as it is; one that is due will be 0. A store alone: what reads first would fault as a read.
        case .write: x86_store8(address, wasThere ? x86_load8(address) : 0)
        case .execute: execute(address)
        }
        guard let page = call.memory.value.pageTables.value.translate(VirtualAddress(address)) else {
            return MonitorOutput.line(
                "fault: \(hex: address, digits: 16): the access went through, and nothing is mapped")
        }
        if wasThere {
            MonitorOutput.line(
                "fault: \(hex: address, digits: 16): the page was there, no fault; physical \(page.physical)")
        } else {
            MonitorOutput.line(
                "fault: \(hex: address, digits: 16): a page came with the fault; physical \(page.physical)")
        }
    }

    /// Calls what lies there, which may be anything.
    @inline(never)
    private static func execute(_ address: UInt) { x86_call(address) }

    private static func access(_ call: CommandCall) throws(CommandError) -> FaultAccessWord {
        guard let word = call[2] else { return .read }
        guard let access = FaultAccessWord(word) else {
            throw CommandError(expected: "read, write or execute", found: word)
        }
        return access
    }

    private static func isThere(_ address: UInt, _ call: CommandCall) -> Bool {
        call.memory.value.pageTables.value.translate(VirtualAddress(address)) != nil
    }
}

/// `kmemleak`: the leak detector, where the kernel was booted with one.
enum LeakWord: UInt8, WordChoice {
    case scan, dump, clear

    var word: StaticString {
        switch self {
        case .scan: "scan"
        case .dump: "dump"
        case .clear: "clear"
        }
    }

    static func run(_ call: CommandCall) throws(CommandError) {
        let word = try call.text(1, "scan, dump or clear")
        guard let action = LeakWord(word) else {
            throw CommandError(expected: "scan, dump or clear", found: word)
        }
        let address = action == .dump && call[2] != nil ? try call.number(2, "an address") : nil
        try call.expectNoMore(than: address == nil ? 1 : 2)
        guard let detector = LeakCheck.detector, detector.value.isOn else {
            return MonitorOutput.line("kmemleak: expected a kernel that was booted with kmemleak=on")
        }
        switch action {
        case .scan: scan()
        case .clear: detector.value.clear()
        case .dump:
            var writer = SerialReportWriter()
            if let address {
                detector.value.dump(address, to: &writer)
            } else {
                detector.value.writeLeaks(to: &writer)
            }
        }
    }

    /// Nothing is reported before its second scan.
    private static func scan() {
        guard LeakCheck.scan() != nil, let figures = LeakCheck.scan() else { return }
        MonitorOutput.line(
            "kmemleak: \(figures.scannedAllocations) allocations looked through, \(figures.leaks) of them lost")
    }
}

/// `check`: everything that can be checked, from the ground up.
enum CheckCommand {
    static func run(_ call: CommandCall) throws(CommandError) {
        try call.expectNoMore(than: 0)
        do throws(InvariantViolation) {
            try call.memory.value.checkInvariants()
            try LeakCheck.detector?.value.checkInvariants()
        } catch {
            return MonitorOutput.line(
                """
                check: broken: \(error.rule): at \(hex: error.location), found \(hex: error.found), expected \
                \(hex: error.expected)
                """)
        }
        ImageStack.checkCanaries("by the monitor's check")
        if let finding = PageTableAudit.firstFinding(call.memory) {
            return MonitorOutput.line("check: broken: \(finding.rule), the first at \(finding.address)")
        }
        MonitorOutput.line("check: every allocator and all page tables are as they must be")
    }
}
