import HostSupport
import WorkloadSupport

/// Pairs of an allocation and its free.
enum HotWorkload {
    static var pairs: Int { countsInstructions ? 100_000 : 4_000_000 }

    @inline(never)
    static func run(_ label: StaticString, _ source: some FrameSource) {
        let order = Int(bitPattern: host_hide(0))
        measure(label, operations: pairs) {
            for _ in 0..<pairs { source.free(source.allocate(order: order), order: order) }
        }
    }
}
