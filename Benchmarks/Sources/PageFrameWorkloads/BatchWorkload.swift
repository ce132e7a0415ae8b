import HostSupport
import WorkloadSupport

/// 100000 allocations, then as many frees, twice; the second round is measured.
enum BatchWorkload {
    static let count = DrawChecks.batchCount

    struct Labels {
        let allocations: StaticString
        let frees: StaticString
    }

    @inline(never)
    static func run(_ labels: Labels, _ kind: FreeOrder.Kind, _ source: some FrameSource) {
        let order = Int(bitPattern: host_hide(0))
        let freeOrder = FreeOrder(kind, count: count)
        // Written by the allocations of a round before its frees read it; indices are below count.
        let frames = UnsafeMutablePointer<UInt>.allocate(capacity: count)
        for index in 0..<count { unsafe frames[index] = source.allocate(order: order) }
        for index in 0..<count { unsafe source.free(frames[freeOrder[index]], order: order) }
        measure(labels.allocations, operations: count) {
            for index in 0..<count { unsafe frames[index] = source.allocate(order: order) }
        }
        measure(labels.frees, operations: count) {
            for index in 0..<count { unsafe source.free(frames[freeOrder[index]], order: order) }
        }
        unsafe frames.deallocate()
        freeOrder.deallocate()
    }
}
