import MemoryPrimitives
import PageFrames
import Slab
import WorkloadSupport

/// A machine on which kmalloc has just been brought up.
@safe
struct SlabMachine<P: Platform> {
    let host: HostMachine<P>
    let objects: KmallocCalls<P>
    private let place: UnsafeMutablePointer<Kmalloc<P>>

    init() { self.init(on: HostMachine()) }

    /// - Parameter host: a machine of which nothing has been allocated.
    init(on host: HostMachine<P>) {
        self.host = host
        unsafe place = UnsafeMutablePointer.allocate(capacity: 1)
        // Freshly allocated, and given back only by `end()`.
        unsafe objects = KmallocCalls(frames: host.frames, at: place)
    }

    /// Checks that the workload left the allocators as they must be, and gives everything back.
    func end() {
        objects.end()
        unsafe place.deallocate()
        host.end()
    }
}
