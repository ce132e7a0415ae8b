/// Measures operations in the ways whose figures `Benchmarks/linux-6.1.tsv` holds, and prints the rows.
struct BenchmarkRunner {
    let storage: BenchmarkStorage
    /// What the rows' names begin with.
    var prefix: StaticString = ""

    /// Rows `NAME hot alloc` and `NAME hot free`: the medians of 2000 allocations, each followed by its free.
    @inline(never)
    func hot<Tested: Benchmark>(_ name: StaticString, _ tested: Tested) {
        let count = BenchmarkStorage.mostSamples
        for index in 0..<count {
            let (block, allocation) = InstructionCounter.count { tested.allocate() }
            storage.setSample(allocation, 0, at: index)
            guard let block else { fail(name) }
            storage.setSample(InstructionCounter.count { tested.free(block) }.ticks, 1, at: index)
        }
        Log.plain("bench row \(prefix)\(name) hot alloc\tmedian\t\(storage.median(ofSeries: 0, count: count))")
        Log.plain("bench row \(prefix)\(name) hot free\tmedian\t\(storage.median(ofSeries: 1, count: count))")
    }

    /// Rows `NAME batchCOUNT fifo|lifo|rand alloc|free`: `count` allocations, then as many frees, twice; the means of
    /// the second round.
    func batches<Tested: Benchmark>(_ name: StaticString, _ tested: Tested, count: Int) {
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
            allocations = 0
            frees = 0
            for index in 0..<count {
                let (block, ticks) = InstructionCounter.count { tested.allocate() }
                allocations += ticks
                guard let block else { fail(name) }
                storage.setBlock(block, at: index)
            }
            for index in 0..<count {
                let block = storage.block(at: storage.permuted(index))
                frees += InstructionCounter.count { tested.free(block) }.ticks
            }
        }
        Log.plain(
            "bench row \(prefix)\(name) batch\(count) \(order.name) alloc\tmean\t\(mean: allocations, of: count)")
        Log.plain("bench row \(prefix)\(name) batch\(count) \(order.name) free\tmean\t\(mean: frees, of: count)")
    }

    /// Row `loop NAME alloc+free pair`: a plain loop of 1000 pairs, measured from outside, divided by 1000.
    @inline(never)
    func loop<Tested: Benchmark>(_ name: StaticString, _ tested: Tested) {
        let count = 1000
        let (isComplete, ticks) = InstructionCounter.count {
            for _ in 0..<count {
                guard let block = tested.allocate() else { return false }
                tested.free(block)
            }
            return true
        }
        if !isComplete { fail(name) }
        Log.plain("bench row \(prefix)loop \(name) alloc+free pair\tmean\t\(mean: ticks, of: count)")
    }

    private func fail(_ name: StaticString) -> Never {
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
