import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

extension KernelMemory {
    /// Has each allocator note down for a debugger where what it knows can be read.
    ///
    /// - Parameter notes: where they go.
    /// - Complexity: O(1). Once, after bring-up, one CPU.
    @inline(never)
    public func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        notes.note("layout.direct_map_end", layout.directMap.end.rawValue)
        notes.note("layout.object_alias_end", layout.objectAlias.end.rawValue)
        notes.note("layout.areas_end", layout.areas.end.rawValue)
        notes.note("layout.frame_table_end", layout.frameTable.end.rawValue)
        notes.note("page_tables.root", pageTables.value.root.rawValue)
        notes.note("page_tables.levels", pageTables.value.levels)
        frames.value.writeDebuggerNotes(to: &notes)
        kmalloc.value.writeDebuggerNotes(to: &notes)
        vmalloc.value.writeDebuggerNotes(to: &notes)
        stacks.value.writeDebuggerNotes(to: &notes)
    }
}
