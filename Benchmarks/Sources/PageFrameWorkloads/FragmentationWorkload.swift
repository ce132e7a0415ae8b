import MemoryPrimitives
import PageFrames
import WorkloadSupport

/// Workload D2: blocks of orders 0 to 3 that take a share of memory; how much of the rest is left in large blocks?
enum Fragmentation {
    private static let steps = 1_000_000
    private static let largeOrder = 9

    @inline(never)
    static func run(percent: Int, _ machine: borrowing HostMachine<HostPlatform>) {
        // Half of the slots hold one frame, a quarter two, an eighth four, an eighth eight: 2.5 frames on average.
        let slots = percent * HostMachine<HostPlatform>.frameCount * 2 / 500
        var workload = MixedWorkload(QuarryFrames(frames: machine.frames), slots: slots, highestOrder: 3)
        workload.step(steps)
        let allocator = machine.frames
        let free = allocator.value.freeFrames
        // Down to the last frame: what a reserve holds back is not fragmented.
        var large = 0
        while allocator.value.allocate(order: largeOrder, flags: .kernel | .memoryReserves | .noWarn) != nil {
            large += 1
        }
        print("fragmentation\t\(percent)\t\(large << largeOrder)\t\(free)\t\(workload.refused)")
    }
}
