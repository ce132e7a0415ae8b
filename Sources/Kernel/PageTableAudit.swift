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
        checkAliases(memory)
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

    /// The first thing that `run` would stop the boot for; nil where there is none.
    static func firstFinding(
        _ memory: Permanent<KernelMemory<X86Platform>>
    ) -> (rule: StaticString, address: VirtualAddress)? {
        let tables = memory.value.pageTables
        let audit = tables.value.audit()
        if let guardPage = firstMappedGuardPage(memory) { return ("a guard page is mapped", guardPage) }
        if audit.badEntries > 0 { return ("an entry of a page table is damaged", VirtualAddress(0)) }
        // Without NX all memory is code.
        if !tables.value.features.noExecute { return nil }
        if !audit.passes {
            return ("a page is writable and executable", audit.firstWritableExecutable ?? VirtualAddress(0))
        }
        let aliases = tables.value.auditAliases()
        if aliases.passes { return nil }
        return ("code can be written, or a page of the kernel is for users", aliases.first ?? VirtualAddress(0))
    }

    /// No alias of code that can be written, no page of the kernel's for user code, nothing where guard pages are.
    private static func checkAliases(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let tables = memory.value.pageTables
        if let guardPage = firstMappedGuardPage(memory) {
            FatalReport.panic("page-table audit failed: guard page \(guardPage) is mapped", .auditFailed)
        }
        // Without NX all memory is code, and its aliases with it.
        if !tables.value.features.noExecute { return }
        let aliases = tables.value.auditAliases()
        if aliases.passes { return }
        let first = aliases.first ?? VirtualAddress(0)
        FatalReport.panic(
            """
            page-table audit failed: \(aliases.writableAliases) pages through which code can be written, the first at \
            \(first); \(aliases.userPagesOfKernel) of the kernel's pages are for user code
            """, .auditFailed)
    }

    private static func firstMappedGuardPage(_ memory: Permanent<KernelMemory<X86Platform>>) -> VirtualAddress? {
        for index in 0..<8 {
            guard let page = memory.value.image.value.guardPages[index] else { continue }
            if memory.value.pageTables.value.translate(page) != nil { return page }
        }
        return nil
    }
}
