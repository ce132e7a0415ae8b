import KernelMemory
import MemoryPrimitives
import PageFrames
import VirtualMemory
import X86

/// The rows of vmalloc, with every page there from the beginning, as Linux maps them.
@safe
struct VmallocBenchmarks {
    private let calls: MeasuredVmalloc
    private let runner: BenchmarkRunner
    private var storage: BenchmarkStorage { runner.storage }
    private static var liveAreas: Int { 1000 }
    private static var churnSteps: Int { 10_000 }

    static func run(_ memory: Permanent<KernelMemory<X86Platform>>, _ runner: BenchmarkRunner) {
        let rows = VmallocBenchmarks(calls: MeasuredVmalloc(memory.value.vmalloc), runner: runner)
        rows.pairs("4K", 4 << 10, count: 1000)
        rows.pairs("16K", 16 << 10, count: 1000)
        rows.pairs("64K", 64 << 10, count: 1000)
        rows.pairs("1M", 1 << 20, count: 200)
        rows.pairs("10M", 10 << 20, count: 20)
        rows.pairs("100M", 100 << 20, count: 4)
        rows.randomSizes()
        rows.maps(memory.value.frames)
        rows.manyAreas()
    }

    private static var manyAreas: Int { 15_000 }

    /// Makes sure that 15000 areas do not slow a call by more than 2 times what it takes beside one; no row, because Linux has
    /// none.
    @inline(never)
    private func manyAreas() {
        guard let one = calls.allocate(PageSize.byteCount) else { fail("vmalloc") }
        let few = pairsWithoutResting()
        // Each area leads to the one before.
        var last = one
        for _ in 1..<Self.manyAreas {
            guard let next = calls.allocate(PageSize.byteCount) else { fail("vmalloc of many areas") }
            x86_store64(next, UInt64(last))
            last = next
        }
        let many = pairsWithoutResting()
        while last != one {
            let before = UInt(x86_load64(last))
            calls.free(last)
            last = before
        }
        calls.free(one)
        Log.plain("vmalloc and vfree of 8 pages: \(few) instructions beside one area, \(many) beside \(Self.manyAreas)")
        if many > 2 * few { FatalReport.panic("many areas slow vmalloc by more than 2 times", .selfTestsFailed) }
    }

    /// The median of pairs of which none finds a range that rests.
    private func pairsWithoutResting() -> UInt {
        let count = 100
        for index in 0..<count {
            calls.purge()
            let reading = InstructionCounter.begin()
            let block = calls.allocate(8 * PageSize.byteCount)
            guard let block else { fail("vmalloc") }
            calls.free(block)
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: index)
        }
        return storage.median(ofSeries: 0, count: count)
    }

    /// Rows `vmalloc SIZE alloc` and `vmalloc SIZE vfree`: the medians of `count` allocations, each followed by its free;
    /// and as many pairs in a plain loop, measured from outside.
    @inline(never)
    private func pairs(_ size: StaticString, _ byteCount: UInt, count: Int) {
        for index in 0..<count {
            var reading = InstructionCounter.begin()
            let block = calls.allocate(byteCount)
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: index)
            guard let block else { fail("vmalloc") }
            reading = InstructionCounter.begin()
            calls.free(block)
            storage.setSample(InstructionCounter.ticks(since: reading), 1, at: index)
        }
        Log.plain("bench row vmalloc \(size) alloc\tmedian\t\(storage.median(ofSeries: 0, count: count))")
        Log.plain("bench row vmalloc \(size) vfree\tmedian\t\(storage.median(ofSeries: 1, count: count))")
        let reading = InstructionCounter.begin()
        for _ in 0..<count {
            guard let block = calls.allocate(byteCount) else { fail("vmalloc") }
            calls.free(block)
        }
        calls.purge()
        let ticks = InstructionCounter.ticks(since: reading)
        Log.plain(
            """
            bench row vmalloc+vfree \(size) amortised/pair incl. final lazy purge\tmean\t\(mean: ticks, of: count)
            """)
    }

    /// Rows `vmalloc rand 1..16p ...`: 1000 areas of 1 to 16 pages; then 10000 times a random one is freed and another put in
    /// its place; then all are freed. Between, the look-ups.
    @inline(never)
    private func randomSizes() {
        let slots = Self.liveAreas
        var draws = BenchmarkDraws()
        var fill: UInt64 = 0
        for slot in 0..<slots { fill += allocate(in: slot, &draws) }
        var allocations: UInt64 = 0
        var frees: UInt64 = 0
        for _ in 0..<Self.churnSteps {
            let slot = draws.below(slots)
            frees += free(slot)
            allocations += allocate(in: slot, &draws)
        }
        Log.plain("bench row vmalloc rand 1..16p fill1000 alloc\tmean\t\(mean: fill, of: slots)")
        Log.plain("bench row vmalloc rand 1..16p churn alloc\tmean\t\(mean: allocations, of: Self.churnSteps)")
        Log.plain("bench row vmalloc rand 1..16p churn vfree\tmean\t\(mean: frees, of: Self.churnSteps)")
        lookups()
        var drain: UInt64 = 0
        for slot in 0..<slots { drain += free(slot) }
        Log.plain("bench row vmalloc rand 1..16p drain vfree\tmean\t\(mean: drain, of: slots)")
    }

    private func allocate(in slot: Int, _ draws: inout BenchmarkDraws) -> UInt64 {
        let byteCount = UInt(1 + draws.below(16)) * PageSize.byteCount
        let reading = InstructionCounter.begin()
        let block = calls.allocate(byteCount)
        let ticks = InstructionCounter.ticks(since: reading)
        guard let block else { fail("vmalloc rand") }
        storage.setBlock(block, at: slot)
        return ticks
    }

    private func free(_ slot: Int) -> UInt64 {
        let block = storage.block(at: slot)
        let reading = InstructionCounter.begin()
        calls.free(block)
        return InstructionCounter.ticks(since: reading)
    }

    /// Rows of what is asked about an address, with 1000 areas: the medians over them all.
    private func lookups() {
        for slot in 0..<Self.liveAreas {
            let block = storage.block(at: slot)
            var reading = InstructionCounter.begin()
            let frame = calls.frame(block)
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: slot)
            reading = InstructionCounter.begin()
            let start = calls.areaStart(block)
            storage.setSample(InstructionCounter.ticks(since: reading), 1, at: slot)
            guard frame != 0, start == block else { fail("a look-up") }
        }
        let toPage = storage.median(ofSeries: 0, count: Self.liveAreas)
        let find = storage.median(ofSeries: 1, count: Self.liveAreas)
        Log.plain("bench row vmalloc_to_page (1000 areas live)\tmedian\t\(toPage)")
        Log.plain("bench row find_vm_area (1000 areas live, +indirect call)\tmedian\t\(find)")
    }

    /// Rows `vmap 16 pages` and `vunmap 16 pages`: the medians.
    @inline(never)
    private func maps(_ frames: Permanent<PageFrameAllocator<X86Platform>>) {
        let count = 16
        // So that the area comes to lie where Linux's does: among others, in a table that stays.
        calls.purge()
        // Room for more numbers than that, which nobody else uses now.
        let room = unsafe UnsafeMutablePointer<PageFrameNumber>(bitPattern: storage.roomAddress).unsafelyUnwrapped
        for index in 0..<count {
            guard let frame = frames.value.allocate(order: 0) else { fail("vmap") }
            unsafe room[index] = frame
        }
        let pages = unsafe UnsafeBufferPointer(start: room, count: count)
        for index in 0..<BenchmarkStorage.mostSamples {
            var reading = InstructionCounter.begin()
            let block = unsafe calls.map(pages)
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: index)
            guard let block else { fail("vmap") }
            reading = InstructionCounter.begin()
            calls.unmap(block)
            storage.setSample(InstructionCounter.ticks(since: reading), 1, at: index)
        }
        for index in 0..<count { frames.value.free(unsafe room[index], order: 0) }
        let samples = BenchmarkStorage.mostSamples
        Log.plain("bench row vmap 16 pages\tmedian\t\(storage.median(ofSeries: 0, count: samples))")
        Log.plain("bench row vunmap 16 pages\tmedian\t\(storage.median(ofSeries: 1, count: samples))")
    }

    private func fail(_ name: StaticString) -> Never {
        FatalReport.panic("benchmark \(name): an allocation failed", .outOfMemory)
    }
}

/// All that the rows call of vmalloc.
private typealias MeasuredVmalloc = Measured<Vmalloc<X86Platform>>

extension MeasuredVmalloc {
    @inline(__always)
    func allocate(_ byteCount: UInt) -> UInt? { found.value.allocate(byteCount, populate: true)?.rawValue }

    @inline(__always)
    func free(_ address: UInt) { found.value.vfree(VirtualAddress(address)) }

    func purge() { found.value.ranges.giveUpResting() }

    @inline(__always)
    func map(_ frames: UnsafeBufferPointer<PageFrameNumber>) -> UInt? { unsafe found.value.vmap(frames)?.rawValue }

    @inline(__always)
    func unmap(_ address: UInt) { found.value.vunmap(VirtualAddress(address)) }

    @inline(__always)
    func frame(_ address: UInt) -> UInt { found.value.vmalloc_to_pfn(VirtualAddress(address)) ?? 0 }

    @inline(__always)
    func areaStart(_ address: UInt) -> UInt {
        found.value.ranges.range(around: VirtualAddress(address))?.start.rawValue ?? 0
    }
}
