import MemoryPrimitives

// Instructions and the linker's addresses, for whoever imports this module.
@_exported import X86

/// A PC with one CPU, as floors 0 to 5 see it. What a kernel adds is what becomes of a `MemoryViolation`, and, where it likes,
/// of a `FailedAllocation`:
///
///     enum Machine: X86Uniprocessor {
///         static func report(_ violation: MemoryViolation) { ... }
///     }
///
/// A kernel that runs several CPUs writes a `Platform` of its own: flushes are messages to the other CPUs then.
public protocol X86Uniprocessor: Platform {}

/// What the CPU is known to be doing, and to be good at.
public enum X86State {
    /// How many spin locks the CPU holds and interrupts it is handling.
    nonisolated(unsafe) public static var atomicDepth: UInt32 = 0

    /// Whether string stores are the fast way to clear pages on this CPU. True until its features are known.
    nonisolated(unsafe) public static var hasFastStringStores = true
}

extension X86Uniprocessor {
    /// One.
    public static var cpuCount: Int { 1 }

    /// CPU 0, the only one.
    public static var currentCPU: Int { 0 }

    /// Disables interrupts. - Returns: the flags register, which says how they were.
    @inline(__always)
    public static func disableInterrupts() -> InterruptState {
        InterruptState(rawValue: UInt(x86_save_and_disable_interrupts()))
    }

    /// Whether the CPU takes interrupts now. - Complexity: O(1). Any context.
    public static var areInterruptsEnabled: Bool {
        let state = disableInterrupts()
        restoreInterrupts(state)
        // EFLAGS.IF.
        return state.rawValue & 1 << 9 != 0
    }

    /// Enables interrupts where they were enabled.
    @inline(__always)
    public static func restoreInterrupts(_ state: InterruptState) {
        // EFLAGS.IF: only what was on is put on again.
        if state.rawValue & 1 << 9 != 0 { x86_enable_interrupts() }
    }

    /// Whether no spin lock is held and no interrupt is being handled.
    @inline(__always)
    public static var mayWait: Bool { unsafe X86State.atomicDepth == 0 }

    /// Counts a lock that is taken, or an interrupt that is handled.
    @inline(__always)
    public static func enterAtomicContext() { unsafe X86State.atomicDepth &+= 1 }

    /// Counts its end.
    @inline(__always)
    public static func leaveAtomicContext() { unsafe X86State.atomicDepth &-= 1 }

    /// Forgets the page's translation.
    @inline(__always)
    public static func flushPage(_ address: VirtualAddress) { x86_invalidate_page(address.rawValue) }

    /// Forgets the translations of a range's pages, one by one.
    @inline(__always)
    public static func flushPages(in range: VirtualRange) {
        var page = range.start
        while page < range.end {
            x86_invalidate_page(page.rawValue)
            page = page + PageSize.byteCount
        }
    }

    /// Writing CR4 with another PGE drops global translations too (Intel SDM vol. 3, 4.10.4.1); without global pages
    /// reloading CR3 drops all there are.
    public static func flushAllPages() {
        let cr4 = x86_read_cr4()
        if cr4 & 1 << 7 != 0 {
            x86_write_cr4(cr4 & ~(1 << 7))
            x86_write_cr4(cr4)
        } else {
            x86_write_cr3(x86_read_cr3())
        }
    }

    // All the CPUs that there are.
    /// Forgets the page: all the CPUs that there are is one.
    @inline(__always)
    public static func flushOwnPage(_ address: VirtualAddress) { flushPage(address) }

    /// Forgets everything, as `flushAllPages()`.
    public static func flushAllOwnPages() { flushAllPages() }

    /// Clears the bytes by a string store.
    @inline(__always)
    public static func clear(_ start: UnsafeMutableRawPointer, byteCount: UInt) {
        // Bytes that the caller owns.
        unsafe x86_clear_by_strings(start, UInt64(byteCount))
    }

    /// Clears the pages by string stores, or by vectors where those are slow.
    @inline(__always)
    public static func clearPages(_ start: UnsafeMutableRawPointer, count: Int) {
        // Whole pages that the caller owns.
        if unsafe X86State.hasFastStringStores {
            unsafe x86_clear_by_strings(start, UInt64(count) << UInt64(PageSize.shift))
        } else {
            unsafe clear_pages_by_vectors(start, UInt64(count))
        }
    }

    /// Lets the CPU know that it waits in a loop.
    @inline(__always)
    public static func relax() { x86_pause() }

    /// The time stamp counter.
    public static var cycleCounter: UInt64 { x86_read_time_stamp() }

    /// Fills the buffer from `RandomSource`.
    public static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) { unsafe RandomSource.fill(buffer) }

    /// Says nothing: who asked is told by nil.
    public static func report(_ failure: FailedAllocation) {}
}
