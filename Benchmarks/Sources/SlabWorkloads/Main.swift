import WorkloadSupport

/// The slab's workloads of docs/benchmarks.md, one line a figure. Takes no arguments, as PageFrameWorkloads.
@main
struct Main {
    static func main() {
        DrawChecks.run()
        let draws = MixedDraws()
        overhead(draws)
        hot()
        batches()
        onNewMachine { objects in
            var workload = MixedWorkload(objects)
            workload.run("B mixed", draws)
        }
        if countsInstructions { return }
        FootprintWorkload.run(draws)
        ThreadWorkload.run()
    }

    /// The same loops around calls that do nothing.
    private static func overhead(_ draws: MixedDraws) {
        let source = NullObjects()
        HotWorkload.run("null kmalloc hot", byteCount: 8, source)
        BatchWorkload.run(
            .init(allocations: "null kmalloc batch alloc", frees: "null kmalloc batch free"), .random, source)
        var workload = MixedWorkload(source)
        workload.run("null B mixed", draws)
        source.deallocate()
    }

    private static func hot() {
        hot("kmalloc(8) hot fresh", "kmalloc(8) hot held", 8)
        hot("kmalloc(64) hot fresh", "kmalloc(64) hot held", 64)
        hot("kmalloc(256) hot fresh", "kmalloc(256) hot held", 256)
        hot("kmalloc(2048) hot fresh", "kmalloc(2048) hot held", 2048)
    }

    private static func hot(_ fresh: StaticString, _ held: StaticString, _ byteCount: UInt) {
        onNewMachine { objects in HotWorkload.run(fresh, byteCount: byteCount, objects) }
        onNewMachine { objects in
            let object = objects.allocate(byteCount)
            HotWorkload.run(held, byteCount: byteCount, objects)
            objects.free(object)
        }
    }

    private static func batches() {
        onNewMachine { objects in
            BatchWorkload.run(
                .init(allocations: "kmalloc(64) batch alloc fifo", frees: "kmalloc(64) batch free fifo"),
                .firstInFirstOut, objects)
        }
        onNewMachine { objects in
            BatchWorkload.run(
                .init(allocations: "kmalloc(64) batch alloc lifo", frees: "kmalloc(64) batch free lifo"),
                .lastInFirstOut, objects)
        }
        onNewMachine { objects in
            BatchWorkload.run(
                .init(allocations: "kmalloc(64) batch alloc random", frees: "kmalloc(64) batch free random"),
                .random, objects)
        }
    }

    private static func onNewMachine(_ body: (KmallocCalls<HostPlatform>) -> Void) {
        let machine = SlabMachine<HostPlatform>()
        body(machine.objects)
        machine.end()
    }
}
