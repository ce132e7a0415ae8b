/// Measures operations in the ways whose figures `Benchmarks/linux-6.1.tsv` holds, and prints the rows.
struct BenchmarkRunner {
    /// Which rows are measured: all, unless the monitor says otherwise.
    nonisolated(unsafe) static var filter = RowFilter()

    let storage: BenchmarkStorage
    /// What the rows' names begin with.
    var prefix: StaticString = ""

    /// Rows `NAME hot alloc` and `NAME hot free`: the medians of 2000 allocations, each followed by its free.
    @inline(never)
    func hot<Tested: Benchmark>(_ name: StaticString, _ tested: Tested) {
        if unsafe !Self.filter.lets(name) { return }
        let count = BenchmarkStorage.mostSamples
        for index in 0..<count {
            var reading = InstructionCounter.begin()
            let block = tested.allocate()
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: index)
            guard let block, block != 0 else { fail(name) }
            reading = InstructionCounter.begin()
            tested.free(block)
            storage.setSample(InstructionCounter.ticks(since: reading), 1, at: index)
        }
        Log.plain("bench row \(prefix)\(name) hot alloc\tmedian\t\(storage.median(ofSeries: 0, count: count))")
        Log.plain("bench row \(prefix)\(name) hot free\tmedian\t\(storage.median(ofSeries: 1, count: count))")
    }

    /// Rows `NAME batchCOUNT fifo|lifo|rand alloc|free`: `count` allocations, then as many frees, twice; the means of
    /// the second round.
    func batches<Tested: Benchmark>(_ name: StaticString, _ tested: Tested, count: Int) {
        if unsafe !Self.filter.lets(name) { return }
        batch(name, tested, count, .firstInFirstOut)
        batch(name, tested, count, .lastInFirstOut)
        batch(name, tested, count, .random)
    }

    @inline(never)
    private func batch<Tested: Benchmark>(
        _ name: StaticString, _ tested: Tested, _ count: Int, _ order: BatchOrder
    ) {
        var allocations: UInt64 = 0
        var frees: UInt64 = 0
        storage.permute(count, order)
        for _ in 0..<2 {
            allocations = allocateAll(count, tested, name)
            frees = freeAll(count, tested)
        }
        Log.plain(
            "bench row \(prefix)\(name) batch\(count) \(order.name) alloc\tmean\t\(mean: allocations, of: count)")
        Log.plain("bench row \(prefix)\(name) batch\(count) \(order.name) free\tmean\t\(mean: frees, of: count)")
    }

    /// Allocates `count` blocks, which the storage keeps. - Returns: the ticks of the calls.
    @inline(__always)
    func allocateAll<Tested: Benchmark>(_ count: Int, _ tested: Tested, _ name: StaticString) -> UInt64 {
        var ticks: UInt64 = 0
        for index in 0..<count {
            let reading = InstructionCounter.begin()
            let block = tested.allocate()
            ticks += InstructionCounter.ticks(since: reading)
            guard let block, block != 0 else { fail(name) }
            storage.setBlock(block, at: index)
        }
        return ticks
    }

    /// Frees them in the order that the storage has. - Returns: the ticks of the calls.
    @inline(__always)
    func freeAll<Tested: Benchmark>(_ count: Int, _ tested: Tested) -> UInt64 {
        var ticks: UInt64 = 0
        for index in 0..<count {
            let block = storage.block(at: storage.permuted(index))
            let reading = InstructionCounter.begin()
            tested.free(block)
            ticks += InstructionCounter.ticks(since: reading)
        }
        return ticks
    }

    /// Row `loop NAME alloc+free pair`: a plain loop of 1000 pairs, measured from outside, divided by 1000.
    @inline(never)
    func loop<Tested: Benchmark>(_ name: StaticString, _ tested: Tested) {
        if unsafe !Self.filter.lets(name) { return }
        let count = 1000
        let reading = InstructionCounter.begin()
        for _ in 0..<count {
            guard let block = tested.allocate() else { fail(name) }
            tested.free(block)
        }
        let ticks = InstructionCounter.ticks(since: reading)
        Log.plain("bench row \(prefix)loop \(name) alloc+free pair\tmean\t\(mean: ticks, of: count)")
    }

    /// Row `NAME`: the median of 2000 calls.
    @inline(never)
    func single<Tested: SingleCall>(_ name: StaticString, _ tested: Tested) {
        singles(name, tested) { tested, block in
            let reading = InstructionCounter.begin()
            let result = tested.call(block)
            return (result, InstructionCounter.ticks(since: reading))
        }
    }

    /// The same for a call so short that it would count if the loop's own variables took registers from it.
    @inline(never)
    func shortSingle<Tested: SingleCall>(_ name: StaticString, _ tested: Tested) {
        singles(name, tested) { tested, block in sample(tested, block) }
    }

    @inline(never)
    private func sample<Tested: SingleCall>(_ tested: Tested, _ block: UInt) -> (UInt?, ticks: UInt64) {
        let reading = InstructionCounter.begin()
        let result = tested.call(block)
        return (result, InstructionCounter.ticks(since: reading))
    }

    @inline(__always)
    private func singles<Tested: SingleCall>(
        _ name: StaticString, _ tested: Tested, _ sample: (Tested, UInt) -> (UInt?, ticks: UInt64)
    ) {
        if unsafe !Self.filter.lets(name) { return }
        let count = BenchmarkStorage.mostSamples
        for index in 0..<count {
            guard let block = tested.prepare(), block != 0 else { fail(name) }
            let (result, ticks) = sample(tested, block)
            storage.setSample(ticks, 0, at: index)
            guard let result, result != 0 else { fail(name) }
            tested.finish(block, result)
        }
        Log.plain("bench row \(prefix)\(name)\tmedian\t\(storage.median(ofSeries: 0, count: count))")
    }

    /// Rows `NAME churn alloc|free`: 10000 slots are filled with blocks of 8 to 2047 bytes; then, 10000 times unmeasured
    /// and 50000 times measured, a random slot's block is freed and another of random size put there; the means.
    @inline(never)
    func churn<Tested: SizedBenchmark>(_ name: StaticString, _ tested: Tested) {
        if unsafe !Self.filter.lets(name) { return }
        let slots = BenchmarkStorage.mostBlocks
        let count = 50_000
        var draws = BenchmarkDraws()
        var allocations: UInt64 = 0
        var frees: UInt64 = 0
        for slot in 0..<slots {
            guard let block = tested.allocate(byteCount: draws.size()), block != 0 else { fail(name) }
            storage.setBlock(block, at: slot)
        }
        for step in -slots..<count {
            let slot = draws.below(slots)
            let old = storage.block(at: slot)
            let size = draws.size()
            var reading = InstructionCounter.begin()
            tested.free(old)
            let free = InstructionCounter.ticks(since: reading)
            reading = InstructionCounter.begin()
            let block = tested.allocate(byteCount: size)
            let allocation = InstructionCounter.ticks(since: reading)
            guard let block, block != 0 else { fail(name) }
            storage.setBlock(block, at: slot)
            if step < 0 { continue }
            frees += free
            allocations += allocation
        }
        for slot in 0..<slots { tested.free(storage.block(at: slot)) }
        Log.plain("bench row \(prefix)\(name) churn alloc\tmean\t\(mean: allocations, of: count)")
        Log.plain("bench row \(prefix)\(name) churn free\tmean\t\(mean: frees, of: count)")
    }

    func fail(_ name: StaticString) -> Never {
        FatalReport.panic("benchmark \(prefix)\(name): an allocation failed", .outOfMemory)
    }
}

extension LogMessage.Interpolation {
    /// `total / count` with two decimals, rounded.
    mutating func appendInterpolation(mean total: UInt64, of count: Int) {
        let hundredths = (UInt(total) * 100 + UInt(count) / 2) / UInt(count)
        appendInterpolation(hundredths / 100)
        appendLiteral(".")
        if hundredths % 100 < 10 { appendLiteral("0") }
        appendInterpolation(hundredths % 100)
    }
}
