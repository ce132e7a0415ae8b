import MemoryPrimitives
import PageFrames

// The calls that the rows of PageFrameBenchmarks measure: what a user writes, with an order that is known when it is
// compiled. Nothing else in this directory calls the page frames' allocator in what is measured.

typealias MeasuredFrames = Permanent<PageFrameAllocator<X86Platform>>

/// `alloc_pages(GFP_KERNEL, order)` and `__free_pages`.
struct AllocPages<let order: Int>: Benchmark {
    let frames: MeasuredFrames

    @inline(__always)
    func allocate() -> UInt? { frames.value.alloc_pages(.GFP_KERNEL, order)?.rawValue }

    @inline(__always)
    func free(_ frame: UInt) { frames.value.__free_pages(PageFrameNumber(frame), order) }
}

/// `alloc_pages(GFP_KERNEL | __GFP_ZERO, 0)` and `__free_pages`.
struct AllocZeroedPage: Benchmark {
    let frames: MeasuredFrames

    @inline(__always)
    func allocate() -> UInt? { frames.value.alloc_pages(.GFP_KERNEL | .__GFP_ZERO, 0)?.rawValue }

    @inline(__always)
    func free(_ frame: UInt) { frames.value.__free_pages(PageFrameNumber(frame), 0) }
}

/// `alloc_pages(GFP_ATOMIC, 0)` and `__free_pages`.
struct AllocPageAtomically: Benchmark {
    let frames: MeasuredFrames

    @inline(__always)
    func allocate() -> UInt? { frames.value.alloc_pages(.GFP_ATOMIC, 0)?.rawValue }

    @inline(__always)
    func free(_ frame: UInt) { frames.value.__free_pages(PageFrameNumber(frame), 0) }
}

/// `alloc_pages(GFP_KERNEL | GFP_DMA, 0)` and `__free_pages`.
struct AllocPageForDMA: Benchmark {
    let frames: MeasuredFrames

    @inline(__always)
    func allocate() -> UInt? { frames.value.alloc_pages(.GFP_KERNEL | .GFP_DMA, 0)?.rawValue }

    @inline(__always)
    func free(_ frame: UInt) { frames.value.__free_pages(PageFrameNumber(frame), 0) }
}

/// `__alloc_pages(GFP_KERNEL, 0, node, nodemask)` and `__free_pages`: there is one node.
struct AllocPageOfNode: Benchmark {
    let frames: MeasuredFrames

    @inline(__always)
    func allocate() -> UInt? { frames.value.__alloc_pages(.GFP_KERNEL, 0, 0, nil)?.rawValue }

    @inline(__always)
    func free(_ frame: UInt) { frames.value.__free_pages(PageFrameNumber(frame), 0) }
}

/// `get_free_page(GFP_KERNEL)` and `free_page`: the page by its address.
struct GetFreePage: Benchmark {
    let frames: MeasuredFrames

    @inline(__always)
    func allocate() -> UInt? { unsafe UInt(bitPattern: frames.value.get_free_page(.GFP_KERNEL)) }

    @inline(__always)
    func free(_ page: UInt) { unsafe frames.value.free_page(UnsafeMutableRawPointer(bitPattern: page)) }
}

/// Has blocks of orders 0 to 3 come from the buddy itself instead of the per-CPU caches, or from those again.
func setFrameCaches(of frames: MeasuredFrames, enabled: Bool) { frames.value.setFrameCaches(enabled: enabled) }
