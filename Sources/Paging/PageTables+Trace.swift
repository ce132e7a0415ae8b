import MemoryPrimitives

// Changes that are traced, once they are made; removals before anybody can have the memory again. Not those of pages whose
// frames lie anywhere (`mapFrames`, `takeFrames`): whoever makes those tells of the whole.
extension PageTables {
    @inline(never)
    func trace(_ change: RangeChange) {
        switch change.operation {
        case .map(let physical, let permissions):
            trace(.map, change.first, change.byteCount, physical.rawValue, permissions)
        case .unmap: trace(.unmap, change.first, change.byteCount, 0, .none)
        case .reserve, .protect, .adjust: break
        }
    }

    private func trace(
        _ kind: TraceKind, _ start: UInt, _ byteCount: UInt, _ physical: UInt, _ permissions: PagePermissions
    ) {
        var event = TraceEvent(
            kind, start, requested: byteCount, allocated: physical, flags: UInt32(permissions.rawValue))
        event.name = TraceName("tables")
        P.trace(event)
    }
}
