import MemoryPrimitives

// Linux's spellings of the flags. Where Linux has renamed a flag, both names are here and mean the same.
extension AllocationFlags {
    // MARK: Modifiers, as Linux 6.1 has them

    @inline(__always) public static var __GFP_DMA: AllocationFlags { .dma }
    @inline(__always) public static var __GFP_HIGHMEM: AllocationFlags { .highMemory }
    @inline(__always) public static var __GFP_DMA32: AllocationFlags { .dma32 }
    @inline(__always) public static var __GFP_MOVABLE: AllocationFlags { .movable }
    @inline(__always) public static var __GFP_RECLAIMABLE: AllocationFlags { .reclaimable }
    @inline(__always) public static var __GFP_HIGH: AllocationFlags { .high }
    @inline(__always) public static var __GFP_IO: AllocationFlags { .io }
    @inline(__always) public static var __GFP_FS: AllocationFlags { .fs }
    @inline(__always) public static var __GFP_ZERO: AllocationFlags { .zero }
    @inline(__always) public static var __GFP_ATOMIC: AllocationFlags { .tryHarder }
    @inline(__always) public static var __GFP_DIRECT_RECLAIM: AllocationFlags { .directReclaim }
    @inline(__always) public static var __GFP_KSWAPD_RECLAIM: AllocationFlags { .wakeReclaimer }
    @inline(__always) public static var __GFP_RECLAIM: AllocationFlags { .reclaim }
    @inline(__always) public static var __GFP_WRITE: AllocationFlags { .write }
    @inline(__always) public static var __GFP_NOWARN: AllocationFlags { .noWarn }
    @inline(__always) public static var __GFP_RETRY_MAYFAIL: AllocationFlags { .retryMayFail }
    @inline(__always) public static var __GFP_NOFAIL: AllocationFlags { .noFail }
    @inline(__always) public static var __GFP_NORETRY: AllocationFlags { .noRetry }
    @inline(__always) public static var __GFP_MEMALLOC: AllocationFlags { .memoryReserves }
    @inline(__always) public static var __GFP_COMP: AllocationFlags { .compound }
    @inline(__always) public static var __GFP_NOMEMALLOC: AllocationFlags { .noMemoryReserves }
    @inline(__always) public static var __GFP_HARDWALL: AllocationFlags { .hardWall }
    @inline(__always) public static var __GFP_THISNODE: AllocationFlags { .thisNode }
    @inline(__always) public static var __GFP_ACCOUNT: AllocationFlags { .account }

    // MARK: Modifiers under the names of older kernels

    @inline(__always) public static var __GFP_WAIT: AllocationFlags { .reclaim }
    @inline(__always) public static var __GFP_REPEAT: AllocationFlags { .retryMayFail }
    @inline(__always) public static var __GFP_COLD: AllocationFlags { .cold }
    @inline(__always) public static var __GFP_NOLEAKTRACE: AllocationFlags { .noLeakTrace }

    // MARK: Types

    /// `.atomic`.
    @inline(__always) public static var GFP_ATOMIC: AllocationFlags { .atomic }
    /// `.kernel`.
    @inline(__always) public static var GFP_KERNEL: AllocationFlags { .kernel }
    /// `.kernel`, charged to the process that asked: accepted.
    @inline(__always) public static var GFP_KERNEL_ACCOUNT: AllocationFlags { .kernel | .account }
    /// `.noWait`.
    @inline(__always) public static var GFP_NOWAIT: AllocationFlags { .noWait }
    /// `.noIO`.
    @inline(__always) public static var GFP_NOIO: AllocationFlags { .noIO }
    /// `.noFS`.
    @inline(__always) public static var GFP_NOFS: AllocationFlags { .noFS }
    /// `.user`.
    @inline(__always) public static var GFP_USER: AllocationFlags { .user }
    /// `.dma`; with `GFP_KERNEL` beside it where the caller may sleep.
    @inline(__always) public static var GFP_DMA: AllocationFlags { .dma }
    /// `.dma32`; with `GFP_KERNEL` beside it where the caller may sleep.
    @inline(__always) public static var GFP_DMA32: AllocationFlags { .dma32 }
    /// `.highUser`.
    @inline(__always) public static var GFP_HIGHUSER: AllocationFlags { .highUser }
    /// `.highUserMovable`.
    @inline(__always) public static var GFP_HIGHUSER_MOVABLE: AllocationFlags { .highUserMovable }
    /// A huge page for a process, without reclaiming for it.
    @inline(__always) public static var GFP_TRANSHUGE_LIGHT: AllocationFlags {
        AllocationFlags(
            rawValue: (highUserMovable | .compound | .noMemoryReserves | .noWarn).rawValue & ~reclaim.rawValue)
    }
    /// A huge page for a process, reclaiming for it.
    @inline(__always) public static var GFP_TRANSHUGE: AllocationFlags { .GFP_TRANSHUGE_LIGHT | .directReclaim }
}
