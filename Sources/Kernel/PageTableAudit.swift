import KernelMemory
import MemoryPrimitives
import Paging

/// Walks all that is mapped at the end of bring-up, and stops the boot where a page is writable and executable.
enum PageTableAudit {
    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let audit = memory.value.pageTables.value.audit()
        Log.info(
            """
            audit: \(audit.tables) tables, \(audit.pages1GiB) pages of 1 GiB, \(audit.pages2MiB) of 2 MiB, \
            \(audit.pages4KiB) of 4 KiB; \(audit.writablePages) writable, \(audit.executablePages) executable, \
            \(audit.writableExecutablePages) both, \(audit.userPages) for user code, \(audit.badEntries) bad entries
            """)
        if audit.passes { return }
        if audit.badEntries == 0, !memory.value.pageTables.value.features.noExecute {
            // Without NX no page can be kept from being executed: that was warned of.
            return Log.warning("audit: the CPU has no NX, all \(audit.executablePages) pages count as executable")
        }
        let first = audit.firstWritableExecutable ?? VirtualAddress(0)
        FatalReport.panic(
            """
            page-table audit failed: \(audit.writableExecutablePages) pages writable and executable, the first at \
            \(first); \(audit.badEntries) bad entries
            """, .auditFailed)
    }
}
