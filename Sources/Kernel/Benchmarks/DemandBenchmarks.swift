import KernelMemory
import MemoryPrimitives
import PageFrames
import VirtualMemory
import X86

/// `bench=demand` on the command line: the rows of memory that is mapped at its first touch. A boot of its own, because 1 GiB
/// must be there to be promised.
///
/// A touch is one store: counted are the fault, the CPU's entry, the clearing of what is mapped, the return, and the store
/// that runs again.
@safe
struct DemandBenchmarks {
    private let vmalloc: Measured<Vmalloc<X86Platform>>
    private let storage: BenchmarkStorage
    private static var neededFrames: UInt { (1200 << 20) / PageSize.byteCount }

    /// - Returns: false where there is too little memory.
    static func run(_ memory: Permanent<KernelMemory<X86Platform>>, _ storage: BenchmarkStorage) -> Bool {
        if memory.value.frames.value.freeFrames < neededFrames { return false }
        let rows = DemandBenchmarks(vmalloc: Measured(memory.value.vmalloc), storage: storage)
        rows.singlePages()
        rows.windows()
        rows.largePages()
        rows.areas("4K", 4 << 10)
        rows.areas("16M", 16 << 20)
        rows.areas("1G", 1 << 30)
        return true
    }

    /// Row `first touch`: the median over pages that come alone.
    @inline(never)
    private func singlePages() {
        let count = 1000
        let request = AreaRequest(.vmalloc, pageCount: UInt(count), name: "bench")
        guard let area = vmalloc.found.value.allocateOnDemand(request) else { fail() }
        for index in 0..<count {
            let page = area.usable.start.rawValue + UInt(index) << PageSize.shift
            storage.setSample(touch(page), 0, at: index)
        }
        vmalloc.found.value.free(area.usable.start)
        Log.plain("bench row first touch\tmedian\t\(storage.median(ofSeries: 0, count: count))")
    }

    /// Row `first touch with fault-around, per page`: each page of an area of less than 2 MiB is touched in turn; the mean.
    @inline(never)
    private func windows() {
        let pages: UInt = 496
        var ticks: UInt64 = 0
        let rounds = 4
        for _ in 0..<rounds {
            guard let area = vmalloc.found.value.allocate(pages << PageSize.shift) else { fail() }
            for page in 0..<pages { ticks += touch(area.rawValue + page << PageSize.shift) }
            vmalloc.found.value.free(area)
        }
        Log.plain("bench row first touch with fault-around, per page\tmean\t\(mean: ticks, of: rounds * Int(pages))")
    }

    /// Row `first touch 2 MiB, per page`: the first store into each 2 MiB, by the pages that it brings; the mean.
    @inline(never)
    private func largePages() {
        let count: UInt = 32
        let size = PageSize.size2MiB.byteCount
        guard let area = vmalloc.found.value.allocate(count * size) else { fail() }
        var ticks: UInt64 = 0
        for index in 0..<count { ticks += touch(area.rawValue + index * size + 4096) }
        vmalloc.found.value.free(area)
        let pages = Int(count * PageSize.size2MiB.frameCount)
        Log.plain("bench row first touch 2M, per page of 4K\tmean\t\(mean: ticks, of: pages)")
    }

    /// Rows `vmalloc SIZE on demand alloc` and `... vfree, untouched`: the medians.
    @inline(never)
    private func areas(_ size: StaticString, _ byteCount: UInt) {
        let count = 200
        for index in 0..<count {
            var reading = InstructionCounter.begin()
            let area = vmalloc.found.value.allocate(byteCount)
            storage.setSample(InstructionCounter.ticks(since: reading), 0, at: index)
            guard let area else { fail() }
            reading = InstructionCounter.begin()
            vmalloc.found.value.free(area)
            storage.setSample(InstructionCounter.ticks(since: reading), 1, at: index)
        }
        Log.plain("bench row vmalloc \(size) on demand\tmedian\t\(storage.median(ofSeries: 0, count: count))")
        Log.plain("bench row vfree \(size) on demand, untouched\tmedian\t\(storage.median(ofSeries: 1, count: count))")
    }

    /// Stores to a page. - Returns: the instructions until that has been done.
    @inline(never)
    private func touch(_ address: UInt) -> UInt64 {
        let reading = InstructionCounter.begin()
        x86_store64(address, 1)
        return InstructionCounter.ticks(since: reading)
    }

    private func fail() -> Never { FatalReport.panic("benchmark of first touches: an allocation failed", .outOfMemory) }
}
