import MemoryPrimitives

/// What kind of memory an allocation is.
public enum WatchedKind: UInt8, Sendable {
    /// A block of page frames, by its address in the direct map.
    case block
    /// An object from a slab, or a large block of kmalloc's.
    case object
    /// Memory that is contiguous in virtual addresses only; pages of it may be missing.
    case area
    /// A kernel stack with its guard pages.
    case stack
}

/// Who is told of each allocation and each free while it is registered: a leak detector.
///
/// The calls come from any context and any CPU, perhaps with interrupts disabled and with the page tables' lock held, but
/// with no lock of the page frames or of a slab cache. An allocation is told of before its user has it, a free before
/// anybody else can get the memory.
public protocol AllocationWatcher: ~Copyable {
    /// Memory is about to be handed out.
    /// - Parameters:
    ///   - start: its virtual address.
    ///   - byteCount: its size.
    ///   - kind: what it is a piece of.
    ///   - trace: who asked for it.
    borrowing func allocated(_ start: UInt, byteCount: UInt, _ kind: WatchedKind, _ trace: borrowing StackTrace)

    /// Memory is no longer its user's: all that was allocated at once, or a part of it, or memory never told of.
    borrowing func freed(_ start: UInt, byteCount: UInt)
}

/// How a watcher is called whose type is not known. The closures capture nothing: all that they need is `watcher`.
@safe
struct WatcherCalls {
    let watcher: UnsafeRawPointer
    let allocated: (UnsafeRawPointer, UInt, UInt, WatchedKind, borrowing StackTrace) -> Void
    let freed: (UnsafeRawPointer, UInt, UInt) -> Void

    /// Where calls are that `PageFrameAllocator.setWatcher` has placed.
    @inline(__always)
    static func at(_ address: UInt) -> UnsafePointer<WatcherCalls> {
        // Only addresses of calls that stay for good are asked for.
        unsafe UnsafePointer<WatcherCalls>(bitPattern: address).unsafelyUnwrapped
    }
}
