import MemoryPrimitives
import Slab
import VirtualMemory
import WorkloadSupport

/// The virtual ranges' workload of docs/benchmarks.md, one line a figure. Takes no arguments, as PageFrameWorkloads.
@main
struct Main {
    static func main() {
        DrawChecks.run()
        let draws = RangeDraws()
        var overhead = RangeWorkload(NullRanges())
        overhead.run(.init(pairs: "null C mixed", lookups: "null C look-up"), draws)
        onNewMachine { ranges in
            var workload = RangeWorkload(ranges)
            workload.run(.init(pairs: "C mixed", lookups: "C look-up"), draws)
            print("span\t\(ranges.span)\t\(draws.livePages)")
        }
    }

    private static func onNewMachine(_ body: (RangeCalls<HostPlatform>) -> Void) {
        let host = HostMachine<HostPlatform>()
        guard let kmalloc = Kmalloc<HostPlatform>(frames: host.frames) else { fatalError() }
        // Freshly allocated, and given back below.
        let place = UnsafeMutablePointer<Kmalloc<HostPlatform>>.allocate(capacity: 1)
        let placed = unsafe Permanent(placing: kmalloc, at: place)
        let ranges = RangeCalls<HostPlatform>(frames: host.frames, kmalloc: placed)
        body(ranges)
        ranges.end()
        // The workload that used it is over.
        unsafe placed.destroy()
        unsafe place.deallocate()
        host.end()
    }
}
