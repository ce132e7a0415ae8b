import MemoryPrimitives
import PageFrames
import Slab
import WorkloadSupport

// All that this program calls of the slab.

/// Quarry's calls.
@safe
struct KmallocCalls<P: Platform>: ObjectSource {
    private let kmalloc: Permanent<Kmalloc<P>>

    /// Brings kmalloc up.
    init(frames: Permanent<PageFrameAllocator<P>>) {
        guard let kmalloc = Kmalloc<P>(frames: frames) else { fatalError() }
        // Freshly allocated, and given back only by `end()`.
        unsafe self.kmalloc = Permanent(placing: kmalloc, at: UnsafeMutablePointer.allocate(capacity: 1))
    }

    @inline(never)
    func allocate(_ byteCount: UInt) -> UInt {
        unsafe UInt(bitPattern: kmalloc.value.kmalloc(byteCount, .GFP_KERNEL | .__GFP_NOWARN))
    }

    @inline(never)
    func free(_ object: UInt) { unsafe kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: object)) }

    /// Checks that kmalloc is as it must be, and ends it.
    func end() {
        do throws(InvariantViolation) {
            try kmalloc.value.checkInvariants()
        } catch {
            expect(false, error.rule)
        }
        // The workload that used it is over.
        unsafe kmalloc.destroy()
        unsafe kmalloc.address.deallocate()
    }
}
