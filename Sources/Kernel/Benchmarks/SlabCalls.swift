import MemoryPrimitives
import PageFrames
import Slab
import X86

// The calls that the rows of SlabBenchmarks measure: what a user writes. Nothing else in this directory calls kmalloc.

typealias MeasuredKmalloc = Measured<Kmalloc<X86Platform>>

extension MeasuredKmalloc {
    @inline(__always)
    fileprivate func allocate(_ byteCount: UInt, _ flags: AllocationFlags = .GFP_KERNEL) -> UInt? {
        unsafe UInt(bitPattern: found.value.kmalloc(byteCount, flags))
    }

    @inline(__always)
    fileprivate func free(_ object: UInt) { unsafe found.value.kfree(UnsafeMutableRawPointer(bitPattern: object)) }

    func shrink() { found.value.shrink() }
}

/// `kmalloc(size, GFP_KERNEL)` and `kfree`, with a size that is known when it is compiled.
struct KmallocOfKnownSize<let size: Int>: Benchmark {
    let kmalloc: MeasuredKmalloc

    @inline(__always)
    func allocate() -> UInt? { kmalloc.allocate(UInt(size)) }

    @inline(__always)
    func free(_ object: UInt) { kmalloc.free(object) }
}

/// `kmalloc(size, GFP_KERNEL)` and `kfree`, with a size that is known when it runs.
struct KmallocOfAnySize: Benchmark, SizedBenchmark {
    let kmalloc: MeasuredKmalloc
    var size: UInt = 0

    @inline(__always)
    func allocate() -> UInt? { kmalloc.allocate(x86_hide(size)) }

    @inline(__always)
    func allocate(byteCount: UInt) -> UInt? { kmalloc.allocate(byteCount) }

    @inline(__always)
    func free(_ object: UInt) { kmalloc.free(object) }
}

/// `kzalloc(size, GFP_KERNEL)` and `kfree`.
struct KzallocOfKnownSize<let size: Int>: Benchmark {
    let kmalloc: MeasuredKmalloc

    @inline(__always)
    func allocate() -> UInt? {
        unsafe UInt(bitPattern: kmalloc.found.value.kzalloc(UInt(size), .GFP_KERNEL))
    }

    @inline(__always)
    func free(_ object: UInt) { kmalloc.free(object) }
}

/// `kmalloc(64, GFP_ATOMIC)` and `kfree`.
struct KmallocAtomically: Benchmark {
    let kmalloc: MeasuredKmalloc

    @inline(__always)
    func allocate() -> UInt? { kmalloc.allocate(64, .GFP_ATOMIC) }

    @inline(__always)
    func free(_ object: UInt) { kmalloc.free(object) }
}

/// `kmalloc(64, GFP_KERNEL_ACCOUNT)` and `kfree`.
struct KmallocAccounted: Benchmark {
    let kmalloc: MeasuredKmalloc

    @inline(__always)
    func allocate() -> UInt? { kmalloc.allocate(64, .GFP_KERNEL_ACCOUNT) }

    @inline(__always)
    func free(_ object: UInt) { kmalloc.free(object) }
}

/// `ksize` of an object of 64 bytes.
struct Ksize: SingleCall {
    let kmalloc: MeasuredKmalloc

    func prepare() -> UInt? { kmalloc.allocate(64) }

    @inline(__always)
    func call(_ object: UInt) -> UInt? { unsafe kmalloc.found.value.ksize(UnsafeRawPointer(bitPattern: object)) }

    func finish(_ object: UInt, _ size: UInt) { kmalloc.free(object) }
}

/// `krealloc(object, new, GFP_KERNEL)` of an object of `old` bytes.
struct Krealloc: SingleCall {
    let kmalloc: MeasuredKmalloc
    let old: UInt
    let new: UInt

    func prepare() -> UInt? { kmalloc.allocate(old) }

    @inline(__always)
    func call(_ object: UInt) -> UInt? {
        let object = unsafe UnsafeMutableRawPointer(bitPattern: object)
        return unsafe UInt(bitPattern: kmalloc.found.value.krealloc(object, x86_hide(new), .GFP_KERNEL))
    }

    func finish(_ object: UInt, _ moved: UInt) { kmalloc.free(moved) }
}
