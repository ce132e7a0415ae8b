import KernelMemory
import MemoryPrimitives
import Monitor
import PageFrames

enum BenchmarkGroup: UInt8, WordChoice {
    case frames, kmalloc, caches, vmalloc, demand, stacks

    var word: StaticString {
        switch self {
        case .frames: "frames"
        case .kmalloc: "kmalloc"
        case .caches: "caches"
        case .vmalloc: "vmalloc"
        case .demand: "demand"
        case .stacks: "stacks"
        }
    }

    /// Whether its rows can be had one by one.
    private var hasNamedRows: Bool {
        switch self {
        case .frames, .kmalloc, .caches: true
        case .vmalloc, .demand, .stacks: false
        }
    }

    /// Runs those rows of the groups that the filter lets through.
    static func runNamedRows(_ memory: Permanent<KernelMemory<X86Platform>>, _ storage: BenchmarkStorage) {
        var number: UInt8 = 0
        while let group = BenchmarkGroup(rawValue: number) {
            if group.hasNamedRows { _ = group.run(memory, storage) }
            number += 1
        }
    }

    /// - Returns: false where there is too little memory.
    @inline(never)
    func run(_ memory: Permanent<KernelMemory<X86Platform>>, _ storage: BenchmarkStorage) -> Bool {
        let runner = BenchmarkRunner(storage: storage)
        switch self {
        case .frames: PageFrameBenchmarks.run(memory.value.frames, runner)
        case .kmalloc: SlabBenchmarks.run(MeasuredKmalloc(memory.value.kmalloc), runner)
        case .caches: CacheBenchmarks<MeasuredReference>.run(runner)
        case .vmalloc: VmallocBenchmarks.run(memory, runner)
        case .demand: return DemandBenchmarks.run(memory, storage)
        case .stacks: StackBenchmarks.run(memory, storage)
        }
        return true
    }
}

/// `bench`: rows of `make bench`, in ticks of the time stamp counter, whatever those are.
enum BenchCommand {
    static func run(_ call: CommandCall) throws(CommandError) {
        let text = call.words.text(from: 1)
        let group = text.flatMap { BenchmarkGroup($0) }
        guard text == nil || call.memory.value.frames.value.freeFrames >= Benchmarks.neededFrames,
            let storage = BenchmarkStorage(from: call.memory)
        else { return MonitorOutput.line("bench: expected at least 256 MiB of free memory") }
        if text != nil { explainTicks() }
        unsafe BenchmarkRunner.filter = RowFilter(wanted: group == nil ? text : nil, lists: text == nil)
        var isDone = true
        if let group {
            isDone = group.run(call.memory, storage)
        } else {
            if text == nil { listGroups() }
            BenchmarkGroup.runNamedRows(call.memory, storage)
        }
        let found = unsafe BenchmarkRunner.filter.found
        unsafe BenchmarkRunner.filter = RowFilter()
        storage.giveBack(to: call.memory)
        if !isDone { return MonitorOutput.line("bench: expected at least 1200 MiB of free memory for that group") }
        if found == 0, group == nil, let text {
            throw CommandError(expected: "a group of benchmarks, or a part of a row's name", found: text)
        }
    }

    private static func listGroups() {
        var number: UInt8 = 0
        while let group = BenchmarkGroup(rawValue: number) {
            MonitorOutput.line("group \(group.word)")
            number += 1
        }
    }

    private static func explainTicks() {
        if InstructionCounter.countsInstructions {
            MonitorOutput.line("a tick of the time stamp counter is an instruction here")
        } else {
            MonitorOutput.line(
                "in ticks of the time stamp counter, \(Clock.ticksPerSecond) a second, and no instructions")
        }
    }
}
