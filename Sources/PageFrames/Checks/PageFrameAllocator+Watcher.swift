import MemoryPrimitives
import Synchronization

// One who is told of each allocation and each free. The page frames tell of their own on the ways that checks take; those
// who hand out memory above them tell of theirs, where they have a call to spare for it: see `isWatched`.
extension PageFrameAllocator {
    /// Bytes of memory that `setWatcher` needs, aligned to 8.
    public static var watcherByteCount: Int { MemoryLayout<WatcherCalls>.size }

    /// Tells `watcher` of each allocation and each free from now on. The frame caches are off meanwhile.
    ///
    /// - Parameters:
    ///   - watcher: who is told.
    ///   - memory: `watcherByteCount` bytes, aligned to 8, never given back.
    /// - Complexity: as `drainFrameCaches()`. For one CPU, before others use the allocators.
    public func setWatcher<W: AllocationWatcher & ~Copyable>(
        _ watcher: Permanent<W>, in memory: UnsafeMutableRawPointer
    ) {
        // Each closure gets the pointer that stands beside it, which is to a permanent W.
        unsafe memory.bindMemory(to: WatcherCalls.self, capacity: 1).initialize(
            to: WatcherCalls(
                watcher: UnsafeRawPointer(watcher.address),
                allocated: { watcher, start, byteCount, kind, trace in
                    unsafe watcher.assumingMemoryBound(to: W.self).pointee.allocated(
                        start, byteCount: byteCount, kind, trace)
                },
                freed: { watcher, start, byteCount in
                    unsafe watcher.assumingMemoryBound(to: W.self).pointee.freed(start, byteCount: byteCount)
                }))
        checks.watcher.store(UInt(bitPattern: memory), ordering: .releasing)
        applyFrameCaches()
    }

    /// Tells nobody any more. A call that is under way on another CPU comes to its end.
    /// - Complexity: as `drainFrameCaches()`. Callable from any context, with no lock of the page frames held.
    public func removeWatcher() {
        checks.watcher.store(0, ordering: .relaxed)
        applyFrameCaches()
    }

    /// Whether somebody is told of each allocation, for which allocators above have to come to `noteAllocation`.
    @inline(__always)
    public var isWatched: Bool { checks.watcher.load(ordering: .relaxed) != 0 }

    /// Tells the watcher, where there is one, that memory is being handed out, and who asked. Not for the short ways.
    ///
    /// - Parameters:
    ///   - start: the memory's virtual address.
    ///   - byteCount: its size.
    ///   - kind: what it is a piece of.
    ///   - flags: what it was asked for with; with `.noLeakTrace` nobody is told.
    @inline(__always)
    public func noteAllocation(_ start: UInt, byteCount: UInt, _ kind: WatchedKind, _ flags: AllocationFlags) {
        if isWatched, !flags.contains(.noLeakTrace) { tellOfAllocation(start, byteCount, kind) }
    }

    /// Tells the watcher, where there is one, that memory is no longer its user's. Not for the short ways.
    @inline(__always)
    public func noteFree(_ start: UInt, byteCount: UInt) {
        let calls = checks.watcher.load(ordering: .acquiring)
        // Placed by setWatcher.
        if calls != 0 {
            unsafe WatcherCalls.at(calls).pointee.freed(WatcherCalls.at(calls).pointee.watcher, start, byteCount)
        }
    }

    // Inlined, so that the trace begins with who tells.
    @inline(__always)
    private func tellOfAllocation(_ start: UInt, _ byteCount: UInt, _ kind: WatchedKind) {
        let calls = checks.watcher.load(ordering: .acquiring)
        if calls == 0 { return }
        var trace = StackTrace()
        P.captureTrace(into: &trace)
        // As above.
        unsafe WatcherCalls.at(calls).pointee.allocated(
            WatcherCalls.at(calls).pointee.watcher, start, byteCount, kind, trace)
    }

    /// As `noteAllocation`, for a block.
    @inline(__always)
    func noteBlock(_ frame: UInt32, frameCount: UInt, _ flags: AllocationFlags) {
        noteAllocation(direct(frame), byteCount: frameCount << PageSize.shift, .block, flags)
    }

    /// As `noteFree`, for a block or a part of one.
    @inline(__always)
    func noteBlockFree(_ frame: UInt32, order: Int) {
        noteFree(direct(frame), byteCount: PageSize.byteCount << UInt(order))
    }

    @inline(__always)
    private func direct(_ frame: UInt32) -> UInt {
        directMap.virtualAddress(of: PageFrameNumber(UInt(frame)).address).rawValue
    }
}
