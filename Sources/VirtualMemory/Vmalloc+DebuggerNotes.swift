import MemoryPrimitives
import Synchronization

extension Vmalloc {
    /// Notes down for a debugger where the areas are, and what is known of each.
    ///
    /// - Parameter notes: where they go.
    /// - Complexity: O(1). During bring-up, one CPU.
    @inline(never)
    public func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        // The empty area that the list begins with.
        notes.note("areas.head", unsafe UInt(bitPattern: ranges.unlockedState.tree.head.memory))
        AreaNode.writeDebuggerNotes(head: ranges.unlockedState.tree.head, to: &notes)
    }
}

extension AreaNode {
    /// - Parameter head: a node, of which only addresses are taken.
    @inline(never)
    fileprivate static func writeDebuggerNotes(head: AreaReference, to notes: inout DebuggerNotes) {
        let base = unsafe UInt(bitPattern: head.memory)
        notes.noteOffset("area.next", of: &head.node.next, from: base)
        notes.noteOffset("area.kind", of: &head.node.area.kind, from: base)
        notes.noteOffset("area.state", of: &head.node.area.state, from: base)
        notes.noteOffset("area.is_on_demand", of: &head.node.area.isOnDemand, from: base)
        notes.noteOffset("area.guards_below", of: &head.node.area.guardPagesBelow, from: base)
        notes.noteOffset("area.guards_above", of: &head.node.area.guardPagesAbove, from: base)
        notes.noteOffset("area.start", of: &head.node.area.range.start, from: base)
        notes.noteOffset("area.end", of: &head.node.area.range.end, from: base)
        notes.noteOffset("area.name", of: &head.node.area.name, from: base)
        notes.noteOffset("area.caller", of: &head.node.area.caller, from: base)
        notes.noteOffset("area.present_pages", of: &head.node.area.presentPages, from: base)
    }
}

extension KernelStacks {
    /// Notes down for a debugger where the reserve, the stacks that are ready and the counts are.
    ///
    /// - Parameter notes: where they go.
    /// - Complexity: O(1). During bring-up, one CPU.
    @inline(never)
    public func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        let (places, stride) = reserve.debuggerPlaces
        notes.note("stacks.reserve", places)
        notes.note("stacks.reserve_capacity", reserve.capacity)
        notes.note("stacks.reserve_stride", stride)
        notes.note("stacks.ready", cache.debuggerAddress)
        notes.note("stacks.ready_places", StackCache<P>.wordCount)
        // An atomic word is where it is: what is borrowed is no copy.
        notes.note("stacks.growths", unsafe withUnsafePointer(to: growths) { UInt(bitPattern: $0) })
        notes.note("stacks.deepest_freed", unsafe withUnsafePointer(to: deepestFreed) { UInt(bitPattern: $0) })
        notes.note("stacks.paint", UInt(StackPaint.word))
    }
}
