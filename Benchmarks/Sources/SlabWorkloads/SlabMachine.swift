import MemoryPrimitives
import WorkloadSupport

/// A machine on which kmalloc has just been brought up.
struct SlabMachine<P: Platform> {
    let host: HostMachine<P>
    let objects: KmallocCalls<P>

    init() { self.init(on: HostMachine()) }

    /// - Parameter host: a machine of which nothing has been allocated.
    init(on host: HostMachine<P>) {
        self.host = host
        objects = KmallocCalls(frames: host.frames)
    }

    /// Checks that the workload left the allocators as they must be, and gives everything back.
    func end() {
        objects.end()
        host.end()
    }
}
