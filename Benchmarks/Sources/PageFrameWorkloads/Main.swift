import HostSupport
import WorkloadSupport

/// The page-frame workloads of docs/benchmarks.md, one line a figure.
///
/// Takes no arguments: Embedded Swift has no `CommandLine`, and swift-argument-parser needs what Embedded Swift leaves
/// out. Whether instructions are counted is what valgrind says; everything else is always the same.
@main
struct Main {
    static func main() {
        DrawChecks.run()
        overhead()
        hot()
        batches()
        mixed()
        if !countsInstructions { fragmentation() }
    }

    /// The same loops around calls that do nothing.
    private static func overhead() {
        HotWorkload.run("null hot", NullFrames())
        BatchWorkload.run(.init(allocations: "null batch alloc", frees: "null batch free"), .random, NullFrames())
        MixedBlocks.run("null A mixed", .fitting(), NullFrames())
    }

    private static func hot() {
        onNewMachine { machine in HotWorkload.run("hot order 0 fresh", QuarryFrames(frames: machine.frames)) }
        onNewMachine { machine in
            let source = QuarryFrames(frames: machine.frames)
            let held = source.allocate(order: 0)
            HotWorkload.run("hot order 0 held", source)
            source.free(held, order: 0)
        }
    }

    private static func batches() {
        onNewMachine { machine in
            BatchWorkload.run(
                .init(allocations: "batch alloc fifo", frees: "batch free fifo"), .firstInFirstOut,
                QuarryFrames(frames: machine.frames))
        }
        onNewMachine { machine in
            BatchWorkload.run(
                .init(allocations: "batch alloc lifo", frees: "batch free lifo"), .lastInFirstOut,
                QuarryFrames(frames: machine.frames))
        }
        onNewMachine { machine in
            BatchWorkload.run(
                .init(allocations: "batch alloc random", frees: "batch free random"), .random,
                QuarryFrames(frames: machine.frames))
        }
    }

    private static func mixed() {
        onNewMachine { machine in
            let refused = MixedBlocks.run("A mixed L=10000", .fitting(), QuarryFrames(frames: machine.frames))
            print("refused\tA mixed L=10000\t\(refused)")
        }
        onNewMachine { machine in
            let refused = MixedBlocks.run("A mixed L=20000", .overfull(), QuarryFrames(frames: machine.frames))
            print("refused\tA mixed L=20000\t\(refused)")
        }
    }

    private static func fragmentation() {
        onNewMachine { machine in Fragmentation.run(percent: 50, machine) }
        onNewMachine { machine in Fragmentation.run(percent: 70, machine) }
        onNewMachine { machine in Fragmentation.run(percent: 80, machine) }
        onNewMachine { machine in Fragmentation.run(percent: 90, machine) }
        onNewMachine { machine in Fragmentation.run(percent: 95, machine) }
    }

    private static func onNewMachine(_ body: (borrowing HostMachine<HostPlatform>) -> Void) {
        let machine = HostMachine<HostPlatform>()
        body(machine)
        machine.end()
    }
}
