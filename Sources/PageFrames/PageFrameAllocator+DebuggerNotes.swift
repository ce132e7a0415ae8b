import MemoryPrimitives

extension PageFrameAllocator {
    /// Notes down for a debugger where the free blocks, the frames' descriptors and the CPUs' frame caches are.
    ///
    /// - Parameter notes: where they go.
    /// - Complexity: O(zones). During bring-up, one CPU.
    @inline(never)
    public func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        Self.note(zones[0], "zone0.state", "zone0.free_counts", to: &notes)
        Self.note(zones[1], "zone1.state", "zone1.free_counts", to: &notes)
        Self.note(zones[2], "zone2.state", "zone2.free_counts", to: &notes)
        noteZoneState(to: &notes)
        FreeCounts.writeDebuggerNotes(to: &notes)
        table.writeDebuggerNotes(to: &notes)
        FrameDescriptor.writeDebuggerNotes(to: &notes)
        noteFrameCaches(to: &notes)
    }

    @inline(never)
    private static func note(
        _ zone: Permanent<Zone<P>>, _ state: StaticString, _ counts: StaticString, to notes: inout DebuggerNotes
    ) {
        let (place, free) = zone.value.debuggerPlaces
        notes.note(state, place)
        notes.note(counts, free)
    }

    /// Offsets in a zone's state, all zones' alike.
    @inline(never)
    private func noteZoneState(to notes: inout DebuggerNotes) {
        let base = zones[0].value.debuggerPlaces.state
        zones[0].value.withUnsettledState { state in
            notes.noteOffset("zone.free", of: &state.freeFrames, from: base)
            notes.noteOffset("zone.promised", of: &state.promisedFrames, from: base)
            notes.noteOffset("zone.held_frame", of: &state.held.frame, from: base)
            notes.noteOffset("zone.held_order", of: &state.held.order, from: base)
            state.noteOwnOffsets(from: base, to: &notes)
        }
    }

    private func noteFrameCaches(to notes: inout DebuggerNotes) {
        notes.note("cpu.count", P.cpuCount)
        // Places of the caches' own; the second is only subtracted from.
        notes.note("frame_cache.first", unsafe UInt(bitPattern: caches.pointer(0)))
        notes.note(
            "frame_cache.stride", unsafe UInt(bitPattern: caches.pointer(1)) &- UInt(bitPattern: caches.pointer(0)))
        notes.note("frame_cache.ring_size", FrameCacheLayout.ringByteCount)
        notes.note("frame_cache.zones", ZoneKind.count)
        notes.note("frame_cache.mobilities", FrameCacheLayout.mobilityCount)
        notes.note("frame_cache.orders", FrameCacheLayout.orderCount)
    }
}

extension FrameDescriptor {
    @inline(never)
    fileprivate static func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        // Room for one of each, of which only addresses are taken.
        unsafe withUnsafeTemporaryAllocation(of: FrameDescriptor.self, capacity: 1) { room in
            guard let frame = room.baseAddress else { return }
            let base = UInt(bitPattern: frame)
            unsafe notes.noteOffset("frame.owner", of: &frame.pointee.owner, from: base)
            unsafe notes.noteOffset("frame.order", of: &frame.pointee.order, from: base)
            unsafe notes.noteOffset("frame.state", of: &frame.pointee.state, from: base)
            unsafe notes.noteOffset("frame.tag", of: &frame.pointee.tag, from: base)
            unsafe notes.noteOffset("frame.references", of: &frame.pointee.extraReferences, from: base)
        }
        unsafe withUnsafeTemporaryAllocation(of: FrameRing.self, capacity: 1) { room in
            guard let ring = room.baseAddress else { return }
            unsafe notes.noteOffset("ring.count", of: &ring.pointee.count, from: UInt(bitPattern: ring))
        }
    }
}
