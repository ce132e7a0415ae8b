import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import VirtualMemory

// Areas, and what is mapped by itself.
extension Replay {
    func allocateArea(_ event: TraceEvent) -> ReplayOutcome {
        freedAreas[event.address] = nil
        areas[event.address] = nil
        if event.isNested { return remember(VirtualAddress(0), event, .nested) }
        let start = machine.vmalloc.value.allocate(
            event.size, flags: flags(event), populate: event.name.isEqual(to: "populated"))
        guard let start else { return .refused }
        return remember(start, event, .vmalloc)
    }

    private func remember(_ start: VirtualAddress, _ event: TraceEvent, _ kind: LiveArea.Kind) -> ReplayOutcome {
        areas[event.address] = LiveArea(start: start, byteCount: event.size, kind: kind)
        return kind == .nested ? .passedOver : .done
    }

    func map(_ event: TraceEvent) -> ReplayOutcome {
        if event.name.isEqual(to: "tables") { return event.isNested ? .passedOver : mapTables(event) }
        freedAreas[event.address] = nil
        if event.isNested { return remember(VirtualAddress(0), event, .nested) }
        let permissions = PagePermissions(rawValue: UInt16(truncatingIfNeeded: event.flags))
        if event.name.isEqual(to: "ioremap") {
            // Where no RAM of this machine is.
            let physical = PhysicalAddress(event.extent | 1 << 40)
            let start = try? machine.vmalloc.value.mapDevice(
                physical, byteCount: event.size, cacheMode: permissions.cacheMode)
            return start.map { remember($0, event, .device) } ?? .refused
        }
        // More than that no kernel has a list of.
        guard event.size <= Self.largestMap else { return .refused }
        let frames = Array(repeating: machine.standIn, count: Int(clamping: event.size >> PageSize.shift))
        // The array outlives the call.
        let start = unsafe frames.withUnsafeBufferPointer {
            unsafe machine.vmalloc.value.mapFrames($0, permissions: permissions)
        }
        return start.map { remember($0, event, .map) } ?? .refused
    }

    func freeArea(_ event: TraceEvent) -> ReplayOutcome {
        if event.name.isEqual(to: "tables") { return event.isNested ? .passedOver : unmapTables(event) }
        guard let area = areas.removeValue(forKey: event.address) ?? (event.isNested ? nil : freedAreas[event.address])
        else { return .passedOver }
        if area.kind == .nested { return .passedOver }
        freedAreas[event.address] = area
        switch area.kind {
        case .vmalloc, .nested: machine.vmalloc.value.free(area.start)
        case .map: machine.vmalloc.value.unmapFrames(area.start)
        case .device: machine.vmalloc.value.unmapDevice(area.start)
        }
        return .done
    }

    private static var largestMap: UInt { 1 << 34 }

    private func mapTables(_ event: TraceEvent) -> ReplayOutcome {
        var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
        guard let range = VirtualRange(VirtualAddress(event.address), byteCount: event.size) else {
            return .refused
        }
        do throws(PagingError) {
            try machine.ownTables.value.mapRange(
                range, to: PhysicalAddress(event.extent),
                permissions: PagePermissions(rawValue: UInt16(truncatingIfNeeded: event.flags)), using: &source)
            return .done
        } catch {
            // The trace may be of several tables.
            return .refused
        }
    }

    private func unmapTables(_ event: TraceEvent) -> ReplayOutcome {
        var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
        guard let range = VirtualRange(VirtualAddress(event.address), byteCount: event.size) else {
            return .refused
        }
        do throws(PagingError) {
            try machine.ownTables.value.unmapRange(range, splitting: true, using: &source)
            return .done
        } catch {
            return .refused
        }
    }

    func touch(_ event: TraceEvent) -> ReplayOutcome {
        guard !event.isNested else { return .passedOver }
        for (start, area) in areas where event.address &- start < area.byteCount && area.kind == .vmalloc {
            let place = area.start + (event.address &- start)
            var access = FaultAccess(errorCode: UInt64(event.size))
            // A touch of a neighbour may have brought the page.
            if machine.tables.value.translate(place) != nil { access.insert(.protection) }
            switch machine.vmalloc.value.handleFault(at: place, access: access) {
            case .resolved, .spurious: return .done
            case .fatal: return .refused
            }
        }
        return .passedOver
    }
}
