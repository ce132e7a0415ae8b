import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

// The calls that the rows of CacheBenchmarks measure: what a user writes.

/// A cache, as each call finds it anew.
struct MeasuredReference: MeasuredCache {
    let identifier: UInt

    init(identifier: UInt) { self.identifier = identifier }

    private static var kmalloc: Permanent<Kmalloc<X86Platform>> {
        // Set before the benchmarks run.
        unsafe Quarry.memory.unsafelyUnwrapped.value.kmalloc
    }

    @inline(__always)
    private var found: CacheReference<X86Platform> {
        // A reference's own identifier.
        unsafe CacheReference(identifier: x86_hide(identifier))
    }

    @inline(__always)
    static func create(byteCount: UInt) -> MeasuredReference? {
        unsafe kmalloc.value.kmem_cache_create("bench", byteCount, 0, .none, nil).map { reference in
            MeasuredReference(identifier: reference.identifier)
        }
    }

    @inline(__always)
    func destroy() { Self.kmalloc.value.kmem_cache_destroy(found) }

    @inline(__always)
    func allocate() -> UInt? { unsafe UInt(bitPattern: found.allocate(flags: .GFP_KERNEL)) }

    @inline(__always)
    func allocateZeroed() -> UInt? { unsafe UInt(bitPattern: found.allocate(flags: .GFP_KERNEL | .zero)) }

    @inline(__always)
    func free(_ object: UInt) { unsafe found.free(UnsafeMutableRawPointer(bitPattern: object)) }

    @inline(__always)
    func allocate(_ count: Int, into room: UInt) -> Int {
        // The benchmarks' own room.
        guard let objects = unsafe UnsafeMutablePointer<UnsafeMutableRawPointer?>(bitPattern: room) else { return 0 }
        return unsafe found.allocate(count, into: objects, flags: .GFP_KERNEL) ? count : 0
    }

    @inline(__always)
    func free(_ count: Int, at room: UInt) {
        // As above.
        guard let objects = unsafe UnsafePointer<UnsafeMutableRawPointer?>(bitPattern: room) else { return }
        unsafe found.free(objects, count: count)
    }
}
