import PageFrames

/// The names of allocation flags that a trace may have, those that `ReportWriter.write(_:)` writes, for reading them back.
struct FlagName {
    let text: StaticString
    let flags: AllocationFlags

    private init(_ text: StaticString, _ flags: AllocationFlags) {
        self.text = text
        self.flags = flags
    }

    static var count: Int { 38 }

    /// The name at a place below `count`.
    static func name(_ index: Int) -> FlagName { index < 13 ? combination(index) : modifier(index) }

    private static func combination(_ index: Int) -> FlagName {
        switch index {
        case 0: FlagName("GFP_TRANSHUGE", .GFP_TRANSHUGE)
        case 1: FlagName("GFP_TRANSHUGE_LIGHT", .GFP_TRANSHUGE_LIGHT)
        case 2: FlagName("GFP_HIGHUSER_MOVABLE", .GFP_HIGHUSER_MOVABLE)
        case 3: FlagName("GFP_HIGHUSER", .GFP_HIGHUSER)
        case 4: FlagName("GFP_USER", .GFP_USER)
        case 5: FlagName("GFP_KERNEL_ACCOUNT", .GFP_KERNEL_ACCOUNT)
        case 6: FlagName("GFP_KERNEL", .GFP_KERNEL)
        case 7: FlagName("GFP_NOFS", .GFP_NOFS)
        case 8: FlagName("GFP_ATOMIC", .GFP_ATOMIC)
        case 9: FlagName("GFP_NOIO", .GFP_NOIO)
        case 10: FlagName("GFP_NOWAIT", .GFP_NOWAIT)
        case 11: FlagName("GFP_DMA", .GFP_DMA)
        default: FlagName("GFP_DMA32", .GFP_DMA32)
        }
    }

    private static func modifier(_ index: Int) -> FlagName {
        switch index {
        case 13: FlagName("__GFP_HIGHMEM", .__GFP_HIGHMEM)
        case 14: FlagName("__GFP_HIGH", .__GFP_HIGH)
        case 15: FlagName("__GFP_ATOMIC", .__GFP_ATOMIC)
        case 16: FlagName("__GFP_IO", .__GFP_IO)
        case 17: FlagName("__GFP_FS", .__GFP_FS)
        case 18: FlagName("__GFP_NOWARN", .__GFP_NOWARN)
        case 19: FlagName("__GFP_RETRY_MAYFAIL", .__GFP_RETRY_MAYFAIL)
        case 20: FlagName("__GFP_NOFAIL", .__GFP_NOFAIL)
        case 21: FlagName("__GFP_NORETRY", .__GFP_NORETRY)
        case 22: FlagName("__GFP_COMP", .__GFP_COMP)
        case 23: FlagName("__GFP_ZERO", .__GFP_ZERO)
        case 24: FlagName("__GFP_NOMEMALLOC", .__GFP_NOMEMALLOC)
        case 25: FlagName("__GFP_MEMALLOC", .__GFP_MEMALLOC)
        case 26: FlagName("__GFP_HARDWALL", .__GFP_HARDWALL)
        case 27: FlagName("__GFP_THISNODE", .__GFP_THISNODE)
        case 28: FlagName("__GFP_RECLAIMABLE", .__GFP_RECLAIMABLE)
        case 29: FlagName("__GFP_MOVABLE", .__GFP_MOVABLE)
        case 30: FlagName("__GFP_ACCOUNT", .__GFP_ACCOUNT)
        case 31: FlagName("__GFP_WRITE", .__GFP_WRITE)
        case 32: FlagName("__GFP_RECLAIM", .__GFP_RECLAIM)
        case 33: FlagName("__GFP_DIRECT_RECLAIM", .__GFP_DIRECT_RECLAIM)
        case 34: FlagName("__GFP_KSWAPD_RECLAIM", .__GFP_KSWAPD_RECLAIM)
        case 35: FlagName("__GFP_COLD", .__GFP_COLD)
        case 36: FlagName("__GFP_NOLEAKTRACE", .__GFP_NOLEAKTRACE)
        default: FlagName("__GFP_DMA", .__GFP_DMA)
        }
    }
}
