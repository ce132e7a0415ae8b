import HostSupport
import WorkloadSupport

/// 100000 allocations of 64 bytes, then as many frees, twice; the second round is measured.
enum BatchWorkload {
    struct Labels {
        let allocations: StaticString
        let frees: StaticString
    }

    @inline(never)
    static func run(_ labels: Labels, _ kind: FreeOrder.Kind, _ source: some ObjectSource) {
        let count = DrawChecks.batchCount
        let byteCount = host_hide(64)
        let freeOrder = FreeOrder(kind, count: count)
        // Written by the allocations of a round before its frees read it; indices are below count.
        let objects = UnsafeMutablePointer<UInt>.allocate(capacity: count)
        for index in 0..<count { unsafe objects[index] = source.allocate(byteCount) }
        for index in 0..<count { unsafe source.free(objects[freeOrder[index]]) }
        measure(labels.allocations, operations: count) {
            for index in 0..<count { unsafe objects[index] = source.allocate(byteCount) }
        }
        for index in 0..<count { expect(unsafe objects[index] != 0, "a request of the batch was refused") }
        measure(labels.frees, operations: count) {
            for index in 0..<count { unsafe source.free(objects[freeOrder[index]]) }
        }
        unsafe objects.deallocate()
        freeOrder.deallocate()
    }
}
