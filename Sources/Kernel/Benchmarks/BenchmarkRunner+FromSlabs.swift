extension BenchmarkRunner {
    /// Rows `NAME from slabs alloc|free`: 1000 objects from a cache that has none, and back in random order until it has none
    /// again; the means. What the rows named batch leave out, since magazines and depot keep what a first round made.
    /// - Parameter empty: gives all that the cache has back to the page frames. The time for it counts as part of the frees.
    @inline(never)
    func fromSlabs<Tested: Benchmark>(_ name: StaticString, _ tested: Tested, empty: () -> Void) {
        if unsafe !Self.filter.lets(name) { return }
        let count = 1000
        storage.permute(count, .random)
        empty()
        let allocations = allocateAll(count, tested, name)
        var frees = freeAll(count, tested)
        let reading = InstructionCounter.begin()
        empty()
        frees += InstructionCounter.ticks(since: reading)
        Log.plain("bench row \(prefix)\(name) from slabs alloc\tmean\t\(mean: allocations, of: count)")
        Log.plain("bench row \(prefix)\(name) from slabs free\tmean\t\(mean: frees, of: count)")
    }
}
