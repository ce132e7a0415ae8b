import KernelMemory
import MemoryPrimitives
import X86

/// The table `debugger_layout`, from which a debugger learns where the allocators' values lie: see boot/layout.S and
/// `gdb/quarry`. Written once, when bring-up is done, and sealed after that.
///
///     debugger_layout_count    how many notes there are; 0 until all are written
///     debugger_layout          for each the address of its name, which ends with NUL, and its value
enum DebuggerLayout {
    static func write(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let start = debugger_layout_address()
        // What boot/layout.S sets aside for this.
        var notes = unsafe DebuggerNotes(
            in: UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: start), count: Int(debugger_layout_end_address() - start)))
        memory.value.writeDebuggerNotes(to: &notes)
        x86_store64(debugger_layout_count_address(), UInt64(notes.count))
    }
}
