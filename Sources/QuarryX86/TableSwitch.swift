import KernelMemory
import MemoryPrimitives
import Paging
import X86

/// The observer of a bring-up that has nothing to log: loads the new page tables, which is the one thing that must be done.
///
/// From there on only the layout's regions are mapped: the boot tables' direct map and the identity map are gone.
public struct TableSwitch<P: Platform>: BringUpObserver {
    public init() {}

    public mutating func activate(_ tables: borrowing PageTables<P>) {
        x86_write_cr3(UInt64(tables.root.rawValue))
    }
}
