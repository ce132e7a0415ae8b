import KernelMemory
import MemoryPrimitives
import VirtualMemory
import X86

/// The rows of kernel stacks, in the boot of `bench=demand`.
@safe
struct StackBenchmarks {
    private typealias Stack = KernelStack<X86Platform>

    private let stacks: Measured<KernelStacks<X86Platform>>
    private let storage: BenchmarkStorage
    private static var samples: Int { 200 }

    static func run(_ memory: Permanent<KernelMemory<X86Platform>>, _ storage: BenchmarkStorage) {
        let rows = StackBenchmarks(stacks: Measured(memory.value.stacks), storage: storage)
        rows.ready()
        rows.new()
        rows.growth()
    }

    /// Rows `kernel stack, ready, make` and `... free`: the medians of a stack that was kept and is kept again, untouched.
    @inline(never)
    private func ready() {
        guard let first = Stack(name: "bench", from: stacks.found) else { fail() }
        first.free()
        for index in 0..<Self.samples {
            var reading = InstructionCounter.begin()
            let stack = Stack(name: "bench", from: stacks.found)
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: index)
            guard let stack else { fail() }
            reading = InstructionCounter.begin()
            stack.free()
            storage.setSample(InstructionCounter.ticks(since: reading), 1, at: index)
        }
        log("ready")
    }

    /// Rows `kernel stack, new, make` and `... free`: the medians where none is ready, and where as many are ready as are
    /// kept.
    @inline(never)
    private func new() {
        guard MemoryLayout<Stack>.stride * Self.samples <= BenchmarkStorage.mostBlocks * 8 else { fail() }
        // The storage's room for blocks is large enough, aligned to a page, and used by nobody else meanwhile.
        let made = unsafe UnsafeMutablePointer<Stack>(bitPattern: storage.roomAddress).unsafelyUnwrapped
        stacks.found.value.shrink()
        for index in 0..<Self.samples {
            let reading = InstructionCounter.begin()
            let stack = Stack(name: "bench", from: stacks.found)
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: index)
            guard let stack else { fail() }
            unsafe (made + index).initialize(to: stack)
        }
        for index in 0..<Self.samples {
            let stack = unsafe (made + index).move()
            let reading = InstructionCounter.begin()
            stack.free()
            storage.setSample(InstructionCounter.ticks(since: reading), 1, at: index)
        }
        stacks.found.value.shrink()
        log("new")
    }

    /// Row `kernel stack, growth fault`: the median of the first stores into pages that are due. The reserve is full each
    /// time.
    @inline(never)
    private func growth() {
        var index = 0
        while index < Self.samples {
            guard let stack = Stack(name: "bench", from: stacks.found) else { fail() }
            var page = stack.top.rawValue - PageSize.byteCount
            while page > stack.limit.rawValue, index < Self.samples {
                page -= PageSize.byteCount
                storage.setSample(touch(page), 0, at: index)
                stacks.found.value.refillReserve()
                index += 1
            }
            stack.free()
            // The next has pages that are due again.
            stacks.found.value.shrink()
        }
        let median = storage.median(ofSeries: 0, count: Self.samples)
        Log.plain("bench row kernel stack, growth fault\tmedian\t\(median)")
    }

    /// Stores to a page. - Returns: the instructions until that has been done.
    @inline(never)
    private func touch(_ address: UInt) -> UInt64 {
        let reading = InstructionCounter.begin()
        x86_store64(address, 1)
        return InstructionCounter.ticks(since: reading)
    }

    private func log(_ kind: StaticString) {
        let count = Self.samples
        Log.plain("bench row kernel stack, \(kind), make\tmedian\t\(storage.median(ofSeries: 0, count: count))")
        Log.plain("bench row kernel stack, \(kind), free\tmedian\t\(storage.median(ofSeries: 1, count: count))")
    }

    private func fail() -> Never { FatalReport.panic("benchmark of kernel stacks: there is none", .outOfMemory) }
}
