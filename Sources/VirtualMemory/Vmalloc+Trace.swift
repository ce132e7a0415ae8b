import MemoryPrimitives
import PageFrames
import Paging

// Calls that are traced. What they ask of the other allocators is nested.
extension Vmalloc {
    @inline(never)
    func traceAllocation(
        of byteCount: UInt, _ start: VirtualAddress?, _ flags: AllocationFlags, _ caller: UInt, isPopulated: Bool
    ) {
        guard let start else { return }
        if isPopulated { tracePages(of: byteCount, start, caller) }
        var event = TraceEvent(
            .vmalloc, start.rawValue, requested: byteCount,
            allocated: pageCount(forBytes: byteCount) &<< PageSize.shift,
            flags: flags.rawValue)
        event.caller = caller
        event.name = TraceName(isPopulated ? "populated" : "on_demand")
        P.trace(event)
    }

    /// The pages that an area was given at once, one event for all: told of is the first one's frame.
    @inline(never)
    private func tracePages(of byteCount: UInt, _ start: VirtualAddress, _ caller: UInt) {
        guard let first = pageTables.value.translate(start) else { return }
        let outer = P.enterTracedCall()
        traceMap(
            of: first.physical, pageCount(forBytes: byteCount) &<< PageSize.shift, start, first.permissions, "vmalloc",
            caller)
        P.leaveTracedCall(outer)
    }

    /// Frames that lie anywhere: told of is the first.
    @inline(never)
    func traceMap(
        of frames: UnsafeBufferPointer<PageFrameNumber>, _ start: VirtualAddress?, _ permissions: PagePermissions,
        _ caller: UInt
    ) {
        guard let start, let first = unsafe frames.first else { return }
        traceMap(
            of: first.address, UInt(bitPattern: frames.count) &<< PageSize.shift, start, permissions, "vmap", caller)
    }

    @inline(never)
    func traceMap(
        of physical: PhysicalAddress, _ byteCount: UInt, _ start: VirtualAddress, _ permissions: PagePermissions,
        _ name: StaticString, _ caller: UInt
    ) {
        var event = TraceEvent(
            .map, start.rawValue, requested: byteCount, allocated: physical.rawValue,
            flags: UInt32(permissions.rawValue))
        event.caller = caller
        event.name = TraceName(name)
        P.trace(event)
    }

    @inline(never)
    private func traceFree(_ address: VirtualAddress, _ kind: AreaKind, _ call: StaticString) {
        var event = TraceEvent(kind == .vmalloc ? .vfree : .unmap, address.rawValue)
        if kind != .vmalloc { event.name = TraceName(call) }
        P.trace(event)
    }

    /// As `giveBack`.
    @inline(never)
    func freeTraced(_ address: VirtualAddress, _ kind: AreaKind, _ call: StaticString) {
        traceFree(address, kind, call)
        let outer = P.enterTracedCall()
        giveBack(address, kind: kind, call: call)
        P.leaveTracedCall(outer)
    }
}
