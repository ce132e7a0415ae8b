import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Notes down for a debugger where the caches are, and how a slab and its objects are found.
    ///
    /// - Parameter notes: where they go.
    /// - Complexity: O(1). During bring-up, one CPU.
    @inline(never)
    public func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        notes.note("caches.first", caches.firstAddress)
        notes.note("kmalloc.large_tag", UInt(LargeBlocks<P>.tag))
        SlabCache<P>.writeDebuggerNotes(cacheOfCaches.value, to: &notes)
        SlabHeader.writeDebuggerNotes(to: &notes)
    }
}

/// The first stored properties of `SlabCache`, in its order, so that their offsets can be asked for: of a type that is not
/// copyable they cannot. `DebuggerNotesTests` checks that they are the same.
private struct FirstOfSlabCache {
    var name: CacheName
    var flags: CacheFlags
    var layout: SlabLayout
    var isWatched: Bool
    var zone: AllocationFlags
    var magazines: UInt

    @inline(never)
    static func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        notes.note("cache.name_size", CacheName.largestByteCount)
        // Room for one, of which only addresses are taken.
        unsafe withUnsafeTemporaryAllocation(of: FirstOfSlabCache.self, capacity: 1) { room in
            guard let cache = room.baseAddress else { return }
            let base = UInt(bitPattern: cache)
            unsafe notes.noteOffset("cache.name", of: &cache.pointee.name, from: base)
            unsafe notes.noteOffset("cache.layout", of: &cache.pointee.layout, from: base)
            unsafe notes.noteOffset("cache.magazines", of: &cache.pointee.magazines, from: base)
        }
    }
}

/// The stored properties of `SlabLayout` in its order, as above.
private struct PropertiesOfSlabLayout {
    var objectSize: UInt
    var slotSize: UInt
    var objectOffset: UInt
    var order: Int
    var objectCount: Int

    @inline(never)
    static func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        // As above.
        unsafe withUnsafeTemporaryAllocation(of: PropertiesOfSlabLayout.self, capacity: 1) { room in
            guard let layout = room.baseAddress else { return }
            let base = UInt(bitPattern: layout)
            unsafe notes.noteOffset("slab_layout.object_size", of: &layout.pointee.objectSize, from: base)
            unsafe notes.noteOffset("slab_layout.slot_size", of: &layout.pointee.slotSize, from: base)
            unsafe notes.noteOffset("slab_layout.object_offset", of: &layout.pointee.objectOffset, from: base)
            unsafe notes.noteOffset("slab_layout.order", of: &layout.pointee.order, from: base)
            unsafe notes.noteOffset("slab_layout.object_count", of: &layout.pointee.objectCount, from: base)
        }
    }
}

extension SlabCache {
    @inline(never)
    fileprivate static func writeDebuggerNotes(
        _ cache: borrowing SlabCache<P>, to notes: inout DebuggerNotes
    ) {
        FirstOfSlabCache.writeDebuggerNotes(to: &notes)
        PropertiesOfSlabLayout.writeDebuggerNotes(to: &notes)
        notes.note("magazine.stride", Magazine<P>.byteCount)
        // The state lies behind each cache alike, and the registration behind that. Only addresses are taken.
        let address = cache.address
        notes.note("cache.state", unsafe UInt(bitPattern: cache.state) &- address)
        notes.noteOffset("cache.next", of: &cache.registration.next, from: address)
        notes.noteOffset("cache.users", of: &cache.registration.users, from: address)
        unsafe writeStateNotes(cache.state, to: &notes)
    }

    /// Only addresses are taken.
    @inline(never)
    private static func writeStateNotes(_ state: UnsafeMutablePointer<State>, to notes: inout DebuggerNotes) {
        let base = UInt(bitPattern: state)
        notes.note("cache_state.lists", MemoryLayout<State>.stride)
        notes.note("cache_state.depot_objects", unsafe state.pointee.depot.objectCountAddress &- base)
        unsafe notes.noteOffset("cache_state.free_objects", of: &state.pointee.freeObjects, from: base)
        unsafe notes.noteOffset("cache_state.fetched", of: &state.pointee.slabsFetched, from: base)
        unsafe notes.noteOffset("cache_state.returned", of: &state.pointee.slabsReturned, from: base)
    }
}

extension SlabHeader {
    @inline(never)
    fileprivate static func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        notes.note("slab.size", MemoryLayout<SlabHeader>.stride)
        // The first property, and the one before `next`: of constants no address can be taken. `DebuggerNotesTests`
        // checks both.
        notes.note("slab.negated_base", 0)
        // Room for one, of which only addresses are taken.
        unsafe withUnsafeTemporaryAllocation(of: SlabHeader.self, capacity: 1) { room in
            guard let header = room.baseAddress else { return }
            let base = UInt(bitPattern: header)
            let word = UInt(MemoryLayout<UInt>.size)
            unsafe notes.noteOffset("slab.magazines", of: &header.pointee.next, from: base &+ word)
            unsafe notes.noteOffset("slab.next", of: &header.pointee.next, from: base)
            unsafe notes.noteOffset("slab.free_count", of: &header.pointee.freeCount, from: base)
        }
        SlabList.writeDebuggerNotes(to: &notes)
        notes.note("slab_lists.count", SlabLists.count)
        notes.note("slab_lists.empty", SlabLists.empty)
    }
}
