import KernelMemory
import MemoryPrimitives
import Monitor

/// Commands that try the allocators out.
enum TestCommand: UInt8, CommandGroup {
    case bench
    case test
    case stress

    var help: CommandHelp {
        switch self {
        case .bench:
            CommandHelp(
                name: "bench", summary: "measure a group of calls, or rows with TEXT; alone: list them",
                arguments: "[frames|kmalloc|caches|vmalloc|demand|stacks|TEXT]", example: "bench kmalloc(64)")
        case .test:
            CommandHelp(
                name: "test", summary: "run the self tests, or those with TEXT; alone: list them",
                arguments: "[all|TEXT]", example: "test page frames: zones")
        case .stress:
            CommandHelp(
                name: "stress", summary: "allocate and free at random, and check; a key ends it",
                arguments: "SECONDS", example: "stress 10")
        }
    }

    func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        switch self {
        case .bench: return words.count == 1 ? BenchmarkGroup.candidate(index) : nil
        case .test:
            // "all" stands for itself, and comes last.
            if let word = SelfTestNames.candidate(index, behind: words) { return word }
            return words.count == 1 && index == SelfTestNames.found ? LineText("all") : nil
        case .stress: return nil
        }
    }

    func run(_ call: CommandCall) throws(CommandError) {
        switch self {
        case .bench: try BenchCommand.run(call)
        case .test: try SelfTestCommand.run(call)
        case .stress: try StressRun.run(call)
        }
    }
}

/// `test`: self tests by their names.
enum SelfTestCommand {
    static func run(_ call: CommandCall) throws(CommandError) {
        let text = call.words.text(from: 1)
        let isAll = text.map { $0 == "all" } ?? false
        if text != nil, !SelfTests.canRun(call.memory) {
            return MonitorOutput.line("test: expected a machine with at least 16 MiB of memory")
        }
        unsafe SelfTest.filter = RowFilter(wanted: isAll ? nil : text, lists: text == nil)
        unsafe (SelfTest.passed, SelfTest.failed) = (0, 0)
        let level = unsafe Log.level
        unsafe Log.level = max(level, .info)
        SelfTests.run(call.memory)
        unsafe Log.level = level
        let found = unsafe SelfTest.filter.found
        unsafe SelfTest.filter = RowFilter()
        if found == 0, let text {
            throw CommandError(expected: "all, or a part of a test's name", found: text)
        }
        if text != nil { unsafe MonitorOutput.line("test: \(SelfTest.passed) passed, \(SelfTest.failed) failed") }
    }
}
