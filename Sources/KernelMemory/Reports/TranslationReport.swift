import BootMemory
import MemoryPrimitives
import Paging

extension KernelMemory {
    /// Writes how an address is translated: every level's entry decoded, and what comes of it.
    ///
    ///     PGD [273] 0x0000000001009067  table at 0x000001009000: present writable accessed, 1 entries in use
    ///     PUD [  0] 0x00800000010080e3  table at ...
    ///     PMD [ 31] 0x8000000003e001e3  2M page at 0x000003e00000: present writable accessed dirty large global no-execute
    ///     0xffff888003fc1040 is physical 0x000003fc1040: 2M page, rw-g-
    ///
    /// Takes no lock, and reads tables only where the boot loader's map has memory: it cannot fault, whatever an entry says.
    /// - Complexity: O(log ranges of memory). Any context.
    @inline(never)
    public func writeTranslation<Writer: ReportWriter>(of address: VirtualAddress, to writer: inout Writer) {
        if !pageTables.value.features.isCanonical(address.rawValue) {
            writer.write(pointer: address.rawValue)
            writer.write(": not a canonical address")
            return writer.endLine()
        }
        var step = pageTables.value.firstStep(to: address)
        var allowed = step.entry.permissions()
        writer.write(step)
        while step.leadsOn {
            let table = step.entry.tableAddress
            guard boot.value.isMemory(PhysicalRange(table, table + PageSize.byteCount)) else {
                writer.write("the entry is damaged: no memory is where it leads")
                return writer.endLine()
            }
            step = pageTables.value.step(after: step, to: address)
            writer.write(step)
            allowed.restrict(by: step)
        }
        writeResult(address, step, allowed, to: &writer)
    }

    @inline(never)
    private func writeResult<Writer: ReportWriter>(
        _ address: VirtualAddress, _ step: TranslationStep, _ allowed: PagePermissions, to writer: inout Writer
    ) {
        writer.write(pointer: address.rawValue)
        guard let size = step.pageSize else {
            writer.write(" leads to no memory")
            return writer.endLine()
        }
        let offset = address.rawValue & (size.byteCount &- 1)
        writer.write(" is physical 0x")
        writer.write(hex: step.entry.pageAddress(size: size).rawValue &+ offset, digits: 12)
        writer.write(size == .size4KiB ? ": 4K page, " : size == .size2MiB ? ": 2M page, " : ": 1G page, ")
        writer.write(allowed)
        writer.endLine()
    }
}

extension PagePermissions {
    /// Takes away what the next level does not allow. The last level alone says whether a page is global.
    fileprivate mutating func restrict(by step: TranslationStep) {
        let size = step.pageSize ?? .size4KiB
        var next = step.entry.permissions(size: size)
        if !contains(.write) { next.subtract(.write) }
        if !contains(.execute) { next.subtract(.execute) }
        if !contains(.user) { next.subtract(.user) }
        self = next
    }
}

extension ReportWriter {
    mutating func write(pointer address: UInt) {
        write("0x")
        write(hex: address, digits: 16)
    }

    /// What may be done with a page: `rw-g-`.
    mutating func write(_ permissions: PagePermissions) {
        write("r")
        write(permissions.contains(.write) ? "w" : "-")
        write(permissions.contains(.execute) ? "x" : "-")
        write(permissions.contains(.global) ? "g" : "-")
        write(permissions.contains(.user) ? "u" : "-")
    }
}
