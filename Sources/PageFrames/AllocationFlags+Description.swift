import MemoryPrimitives

extension ReportWriter {
    /// Writes flags as Linux's `%pGg` does: `GFP_KERNEL|__GFP_ZERO`. The largest combination that the flags contain comes
    /// first, then what is left of them; bits without a name come last, in hexadecimal. No flags are no text.
    @inline(never)
    public mutating func write(_ flags: AllocationFlags) {
        var names = FlagNames(rest: flags.rawValue)
        names.takeCombinations(to: &self)
        names.takeModifiers(to: &self)
        names.takeRest(to: &self)
    }

    /// Writes flags as Linux's reports of failed allocations do: `0xa20(GFP_ATOMIC)`.
    @inline(never)
    public mutating func write(mode flags: AllocationFlags) {
        write("0x")
        write(hex: UInt(flags.rawValue))
        write("(")
        write(flags)
        write(")")
    }
}

/// What of a set of flags has not been written yet. The order in which names are tried is that of Linux 6.1: those that
/// contain others come before them.
private struct FlagNames {
    var rest: UInt32
    private var isFirst = true

    init(rest: UInt32) { self.rest = rest }

    @inline(never)
    mutating func takeCombinations(to writer: inout some ReportWriter) {
        take(.GFP_TRANSHUGE, "GFP_TRANSHUGE", to: &writer)
        take(.GFP_TRANSHUGE_LIGHT, "GFP_TRANSHUGE_LIGHT", to: &writer)
        take(.GFP_HIGHUSER_MOVABLE, "GFP_HIGHUSER_MOVABLE", to: &writer)
        take(.GFP_HIGHUSER, "GFP_HIGHUSER", to: &writer)
        take(.GFP_USER, "GFP_USER", to: &writer)
        take(.GFP_KERNEL_ACCOUNT, "GFP_KERNEL_ACCOUNT", to: &writer)
        take(.GFP_KERNEL, "GFP_KERNEL", to: &writer)
        take(.GFP_NOFS, "GFP_NOFS", to: &writer)
        take(.GFP_ATOMIC, "GFP_ATOMIC", to: &writer)
        take(.GFP_NOIO, "GFP_NOIO", to: &writer)
        take(.GFP_NOWAIT, "GFP_NOWAIT", to: &writer)
        take(.GFP_DMA, "GFP_DMA", to: &writer)
    }

    @inline(never)
    mutating func takeModifiers(to writer: inout some ReportWriter) {
        take(.__GFP_HIGHMEM, "__GFP_HIGHMEM", to: &writer)
        take(.GFP_DMA32, "GFP_DMA32", to: &writer)
        take(.__GFP_HIGH, "__GFP_HIGH", to: &writer)
        take(.__GFP_ATOMIC, "__GFP_ATOMIC", to: &writer)
        take(.__GFP_IO, "__GFP_IO", to: &writer)
        take(.__GFP_FS, "__GFP_FS", to: &writer)
        take(.__GFP_NOWARN, "__GFP_NOWARN", to: &writer)
        take(.__GFP_RETRY_MAYFAIL, "__GFP_RETRY_MAYFAIL", to: &writer)
        take(.__GFP_NOFAIL, "__GFP_NOFAIL", to: &writer)
        take(.__GFP_NORETRY, "__GFP_NORETRY", to: &writer)
        take(.__GFP_COMP, "__GFP_COMP", to: &writer)
        take(.__GFP_ZERO, "__GFP_ZERO", to: &writer)
        take(.__GFP_NOMEMALLOC, "__GFP_NOMEMALLOC", to: &writer)
        take(.__GFP_MEMALLOC, "__GFP_MEMALLOC", to: &writer)
        take(.__GFP_HARDWALL, "__GFP_HARDWALL", to: &writer)
        take(.__GFP_THISNODE, "__GFP_THISNODE", to: &writer)
        take(.__GFP_RECLAIMABLE, "__GFP_RECLAIMABLE", to: &writer)
        take(.__GFP_MOVABLE, "__GFP_MOVABLE", to: &writer)
        take(.__GFP_ACCOUNT, "__GFP_ACCOUNT", to: &writer)
        take(.__GFP_WRITE, "__GFP_WRITE", to: &writer)
        take(.__GFP_RECLAIM, "__GFP_RECLAIM", to: &writer)
        take(.__GFP_DIRECT_RECLAIM, "__GFP_DIRECT_RECLAIM", to: &writer)
        take(.__GFP_KSWAPD_RECLAIM, "__GFP_KSWAPD_RECLAIM", to: &writer)
        take(.__GFP_COLD, "__GFP_COLD", to: &writer)
        take(.__GFP_NOLEAKTRACE, "__GFP_NOLEAKTRACE", to: &writer)
    }

    @inline(never)
    mutating func takeRest(to writer: inout some ReportWriter) {
        guard rest != 0 else { return }
        separate(&writer)
        writer.write("0x")
        writer.write(hex: UInt(rest))
    }

    /// Writes `name` where all bits of `flags` are left, and then they are not.
    @inline(never)
    private mutating func take(_ flags: AllocationFlags, _ name: StaticString, to writer: inout some ReportWriter) {
        guard rest & flags.rawValue == flags.rawValue else { return }
        rest &= ~flags.rawValue
        separate(&writer)
        writer.write(name)
    }

    private mutating func separate(_ writer: inout some ReportWriter) {
        if !isFirst { writer.write("|") }
        isFirst = false
    }
}
