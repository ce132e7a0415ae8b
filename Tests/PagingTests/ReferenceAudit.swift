import MemoryPrimitives
import SimulatedMachine

@testable import Paging

/// What an audit should find, entry by entry: nothing is skipped, and no two entries are looked at together.
struct ReferenceAudit {
    struct Page: Hashable {
        var physical: UInt
        var size: PageSize
        var permissions: PagePermissions
    }

    private(set) var pages: [UInt: Page] = [:]
    private(set) var tables: UInt = 0
    private(set) var aliased: UInt = 0
    private(set) var demand: UInt = 0
    private(set) var guards: UInt = 0
    private(set) var writable: UInt = 0
    private(set) var executable: UInt = 0
    private(set) var user: UInt = 0
    private(set) var writableExecutable: Set<UInt> = []
    private(set) var bad: UInt = 0

    private let machine: SimulatedMachine

    init(_ bench: Bench) {
        machine = bench.machine
        walk(bench.root, 3, 0, writes: true, executes: true, uses: true, isAliased: false)
    }

    private mutating func walk(
        _ table: PhysicalAddress, _ level: UInt, _ base: UInt, writes: Bool, executes: Bool, uses: Bool, isAliased: Bool
    ) {
        if !isAliased { tables += 1 }
        for index in 0..<512 {
            let raw = machine.entry(at: table, index).load()
            if raw == 0 { continue }
            var address = base | (UInt(index) << (12 + 9 * level))
            if level == 3 && index >= 256 { address |= UInt.max << 48 }
            let writes = writes && raw & 2 != 0
            let executes = executes && raw >> 63 == 0
            let uses = uses && raw & 4 != 0
            if raw & 1 == 0 {
                if isAliased { continue }
                let kind = raw >> 9 & 3
                if level <= 2 && kind == 1 || level == 0 && kind == 3 {
                    demand += 1
                } else if level == 0 && kind == 3 {
                    continue
                } else if level == 0 && kind == 2 {
                    guards += 1
                } else {
                    bad += 1
                }
            } else if level == 3 || level > 0 && raw & 0x80 == 0 {
                walk(
                    PhysicalAddress(raw & 0x000f_ffff_ffff_f000), level - 1, address, writes: writes,
                    executes: executes, uses: uses, isAliased: isAliased || raw & 1 << 10 != 0)
            } else {
                count(raw, PageSize(rawValue: UInt8(level))!, address, writes, executes, uses, isAliased)
            }
        }
    }

    private mutating func count(
        _ raw: UInt, _ size: PageSize, _ address: UInt, _ writes: Bool, _ executes: Bool, _ uses: Bool,
        _ isAliased: Bool
    ) {
        // What does not depend on the levels above is the entry's own.
        var permissions = PageTableEntry(rawValue: raw).permissions(size: size)
        permissions.subtract([.write, .execute, .user])
        if writes { permissions.insert(.write) }
        if executes { permissions.insert(.execute) }
        if uses { permissions.insert(.user) }
        let physical = raw & 0x000f_ffff_ffff_f000 & ~(size.byteCount - 1)
        pages[address] = Page(physical: physical, size: size, permissions: permissions)
        if writes && executes { writableExecutable.insert(address) }
        if isAliased {
            aliased += 1
            return
        }
        let low = raw & 0x000f_ffff_ffff_f000 & (size.byteCount - 1)
        if size == .size4KiB ? low != 0 : low & ~0x1000 != 0 { bad += 1 }
        if writes { writable += 1 }
        if executes { executable += 1 }
        if uses { user += 1 }
    }
}
