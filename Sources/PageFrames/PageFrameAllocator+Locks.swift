import MemoryPrimitives

/// For tests of what can happen in the midst of a change.
extension PageFrameAllocator {
    /// Runs `body` with the lock of a zone held, as within a change of its free blocks. It must not call the allocator.
    public func withZoneLocked(_ kind: ZoneKind, _ body: () -> Void) {
        zones[kind.rawValue].value.withState { _ in body() }
    }

    /// Runs `body` with this CPU's frame cache locked. It must not call the allocator.
    public func withFrameCacheLocked(_ body: () -> Void) { withThisCPUsCache { _ in body() } }
}
