import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// Which rows are measured in a boot.
enum BenchmarkSelection {
    /// `bench`: of calls.
    case calls
    /// `bench=demand`: of first touches and of kernel stacks.
    case demand
}

/// `bench` on the command line: measures every row, one line each, and ends the kernel.
///
///     bench row NAME<tab>STATISTIC<tab>INSTRUCTIONS
///
/// docs/benchmarks.md has the method, and how to add a row.
enum Benchmarks {
    /// The largest batch takes 100 MiB in blocks of 2 MiB.
    static var neededFrames: UInt { (256 << 20) / PageSize.byteCount }

    static func run(_ memory: Permanent<KernelMemory<X86Platform>>, _ selection: BenchmarkSelection) -> Never {
        InstructionCounter.checkCalibration()
        let managed = memory.value.frames.value.managedFrames
        guard managed >= neededFrames, let storage = BenchmarkStorage(from: memory) else {
            FatalReport.panic(
                "too little memory for the benchmarks: \(managed) page frames, \(neededFrames) are needed",
                .tooLittleMemory)
        }
        switch selection {
        case .calls: measureCalls(memory, storage)
        case .demand:
            if !DemandBenchmarks.run(memory, storage) {
                FatalReport.panic("too little memory for 1 GiB on demand", .tooLittleMemory)
            }
            StackBenchmarks.run(memory, storage)
        }
        checkInvariants(memory)
        Log.plain("bench end")
        ExitCode.success.exit()
    }

    @inline(never)
    private static func measureCalls(_ memory: Permanent<KernelMemory<X86Platform>>, _ storage: BenchmarkStorage) {
        InstructionCounter.printStringInstructions(room: storage.roomAddress)
        let runner = BenchmarkRunner(storage: storage)
        PageFrameBenchmarks.run(memory.value.frames, runner)
        SlabBenchmarks.run(MeasuredKmalloc(memory.value.kmalloc), runner)
        CacheBenchmarks<MeasuredReference>.run(runner)
        VmallocBenchmarks.run(memory, runner)
    }

    /// What was measured must have worked.
    private static func checkInvariants(_ memory: Permanent<KernelMemory<X86Platform>>) {
        do throws(InvariantViolation) {
            try memory.value.checkInvariants()
        } catch {
            FatalReport.panic(
                """
                after the benchmarks: \(error.rule): at \(hex: error.location), found \(hex: error.found), expected \
                \(hex: error.expected)
                """, .memoryCorruption)
        }
    }
}
