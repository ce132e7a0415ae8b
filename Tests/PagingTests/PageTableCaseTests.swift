import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// The cases of the page-table tests of Asterinas' OSTD (ostd/src/mm/page_table/test.rs), one test by each of their names.
///
/// There a mapping replaces what was mapped, and a cursor protects what it meets; here both are refused, with nothing
/// changed: the tests say so. Cursors that jump are not here, because there are none: `find_next` is a walk. Tables of a
/// process and of the boot, which are other types there, are this one's.
@Suite struct PageTableCaseTests {
    /// One page further than user code's last.
    private let endOfUser: UInt = 1 << 47
    private let user: PagePermissions = .read | .write | .user
    private let bench = Bench()

    private func run(_ body: (borrowing PageTables<SimulatedPlatform>) throws -> Void) throws {
        try bench.machine.run { try body(bench.tables.value) }
        #expect(bench.machine.takeStaleTranslations() == [])
        try bench.machine.run { try bench.tables.value.checkInvariants() }
    }

    private func map(_ start: UInt, _ byteCount: UInt, to physical: UInt, _ permissions: PagePermissions) throws {
        try bench.tables.value.mapRange(
            pages(start, byteCount), to: memory(physical), permissions: permissions, using: &bench.source)
    }

    /// What is refused changes nothing.
    private func refused(_ error: PagingError, _ body: () throws -> Void) {
        let before = bench.snapshot()
        #expect(throws: error) { try body() }
        #expect(bench.snapshot() == before)
    }

    private func isMapped(_ address: UInt, to physical: UInt, _ permissions: PagePermissions) -> Bool {
        guard case .mapped(let found) = bench.tables.value.lookup(page(address)) else { return false }
        return found.physical == memory(physical) && found.permissions == permissions
    }

    @Test func range_check() throws {
        try run { _ in
            try map(0, 4096, to: gib, user)
            refused(.misaligned) { try map(8192, 4097, to: gib, user) }
            refused(.userPageInKernelHalf) { try map(0xffff_8880_0000_0000, 4096, to: gib, user) }
        }
    }

    @Test func boundary_conditions() throws {
        try run { _ in
            let before = bench.snapshot()
            try map(0, 0, to: gib, user)
            #expect(bench.snapshot() == before, "an empty range is nothing to do")
            refused(.userPageInKernelHalf) { try map(0xffff_8000_0000_0000, 0x1_0000, to: gib, user) }
            refused(.misaligned) { try map(1, 4096, to: gib, user) }
        }
    }

    @Test func start_boundary_mapping() throws {
        try run { _ in
            try map(0, 4096, to: gib, user)
            #expect(isMapped(0, to: gib, user) && isMapped(4095, to: gib + 4095, user))
            #expect(bench.reads(page(4088), from: memory(gib + 4088)))
        }
    }

    @Test func end_boundary_mapping() throws {
        try run { _ in
            try map(endOfUser - 4096, 4096, to: gib, user)
            #expect(isMapped(endOfUser - 4096, to: gib, user) && isMapped(endOfUser - 1, to: gib + 4095, user))
            #expect(bench.reads(page(endOfUser - 8), from: memory(gib + 4088)))
            #expect(bench.fault(at: page(endOfUser)) == .notCanonical)
        }
    }

    @Test func overflow_boundary_mapping() throws {
        try run { _ in
            refused(.misaligned) { try map(endOfUser - 2048, 4096, to: gib, user) }
            refused(.notCanonical) { try map(endOfUser - 4096, 8192, to: gib, user) }
            refused(.notCanonical) { try map(endOfUser, 4096, to: gib, user) }
            refused(.notCanonical) { try map(0 &- endOfUser &- 4096, 8192, to: gib, .readWrite) }
        }
    }

    @Test func map_preserves_page_property() throws {
        for bits in 0..<16 {
            for mode in [CacheMode.writeBack, .uncached] {
                var property: PagePermissions = .read.cached(mode)
                if bits & 1 != 0 { property.insert(.write) }
                if bits & 2 != 0 { property.insert(.execute) }
                if bits & 4 != 0 { property.insert(.user) }
                if bits & 8 != 0 { property.insert(.global) }
                try run { tables in
                    try map(4096, 4096, to: gib, property)
                    #expect(isMapped(4196, to: gib + 100, property))
                    try tables.unmap(page(4096), using: &bench.source)
                }
            }
        }
    }

    @Test func overlapping_mappings() throws {
        try run { _ in
            try map(4096, 4096, to: gib, user)
            refused(.alreadyMapped) { try map(4096, 8192, to: 2 * gib, user) }
            #expect(isMapped(4106, to: gib + 10, user), "the first is as it was")
            #expect(bench.tables.value.lookup(page(8192)) == .none)
        }
    }

    @Test func unaligned_map() throws {
        try run { _ in
            refused(.misaligned) { try map(4096 + 512, 4096, to: gib + 512, user) }
            refused(.misaligned) { try map(4096, 4096, to: gib + 512, user) }
            refused(.misaligned) { try map(4096 + 512, 4096, to: gib, user) }
        }
    }

    /// Two pages far from each other.
    @Test func find_next() throws {
        try run { tables in
            try map(7 * 4096, 4096, to: gib, user)
            try map(gib, 4096, to: 2 * gib, user)
            var found: [UInt] = []
            try tables.walk(from: page(0), through: page(gib + 4095)) {
                found.append($0.address.rawValue)
                return true
            }
            #expect(found == [7 * 4096, gib])
            found = []
            try tables.walk(from: page(8 * 4096), through: page(gib - 1)) {
                found.append($0.address.rawValue)
                return true
            }
            #expect(found == [])
        }
    }

    /// A page asked for from within, that an entry of a level above is.
    @Test func jump_from_end_and_query_huge_middle() throws {
        try run { tables in
            try map(2 * mib, 2 * mib, to: gib, user)
            #expect(tables.lookup(page(0)) == .none)
            #expect(isMapped(3 * mib, to: gib + mib, user) && tables.translate(page(3 * mib))?.size == .size2MiB)
        }
    }

    @Test func take_next_takes_something() throws {
        try run { tables in
            try map(4096, 4096, to: gib, user)
            #expect(try tables.unmap(page(4096), using: &bench.source) == memory(gib))
            #expect(tables.lookup(page(4096)) == .none && bench.fault(at: page(4096)) == .notPresent)
        }
    }

    /// A large range is taken with the tables below it, in which one page is.
    @Test func take_large_takes_subtree() throws {
        try run { tables in
            try map(513 * 4096, 4096, to: gib, user)
            #expect(bench.fault(at: page(513 * 4096)) == nil)
            #expect(tables.tableCount == 3)
            var taken: [PhysicalAddress] = []
            try tables.clear(pages(0, gib), using: &bench.source) { frame, _ in taken.append(frame) }
            #expect(taken == [memory(gib)] && tables.tableCount == 0 && bench.pool.inUse == 1)
            // And a large page may be where the subtree was.
            try map(0, gib, to: 2 * gib, user)
            #expect(tables.translate(page(513 * 4096))?.size == .size1GiB && tables.tableCount == 1)
        }
    }

    @Test func remap_yields_original() throws {
        try run { _ in
            try map(4096, 4096, to: gib, user)
            refused(.alreadyMapped) { try map(4096, 4096, to: 2 * gib, user) }
            #expect(isMapped(4096, to: gib, user))
        }
    }

    /// Pages of all sizes: the start is 4 KiB from nowhere, and the physical addresses are not those of large pages.
    @Test(arguments: [11_010 * 4096, 11_264 * 4096] as [UInt])
    func mixed_granularity_map_unmap(distance: UInt) throws {
        try run { tables in
            let first = 13_245 * 4096 as UInt
            let end = (512 * 512 + 23_456) * 4096 as UInt
            try map(first, end - first, to: first - distance, user)
            for index in 0..<100 as Range<UInt> {
                let address = first + index * 5096
                #expect(isMapped(address, to: address - distance, user))
            }
            // Where the distance is a multiple of 2 MiB there are large pages, which the range's one page splits.
            let isLarge = distance % (2 * mib) == 0
            #expect((tables.translate(page(first + 4 * mib))?.size == .size2MiB) == isLarge)
            let hole = 13_456 * 4096 as UInt
            try tables.unmapRange(pages(hole, 4096), splitting: true, using: &bench.source)
            #expect(tables.lookup(page(hole)) == .none && tables.lookup(page(hole + 4095)) == .none)
            for address in [hole - 4096, hole - 1, hole + 4096, end - 1] {
                #expect(isMapped(address, to: address - distance, user))
            }
            try tables.clear(pages(first, end - first), using: &bench.source) { _, _ in }
            #expect(bench.pool.inUse == 1)
        }
    }

    /// From 2 MiB below a border of 1 GiB on: pages of 2 MiB, and two of 4 KiB at the end.
    @Test func mixed_granularity_protect_query() throws {
        try run { tables in
            let first = gib - 2 * mib
            let byteCount = gib + 4 * mib + 8192
            let distance = 2 * mib
            try map(first, byteCount, to: first - distance, user)
            var sizes: [UInt] = []
            try tables.walk(from: page(first), through: page(first + byteCount - 1)) {
                sizes.append($0.byteCount)
                return true
            }
            #expect(sizes == Array(repeating: 2 * mib, count: 514) + [4096, 4096])
            try tables.protectRange(
                pages(first + 18 * 4096, 8192), permissions: user.subtracting(.write), splitting: true,
                using: &bench.source)
            for index in 16..<22 as Range<UInt> {
                let address = first + index * 4096
                let isProtected = (18..<20).contains(index)
                #expect(isMapped(address, to: address - distance, isProtected ? user.subtracting(.write) : user))
                #expect(tables.translate(page(address))?.size == .size4KiB)
                #expect((bench.fault(at: page(address), .store) == nil) == !isProtected)
            }
            #expect(tables.translate(page(first + 2 * mib))?.size == .size2MiB, "the next is whole")
        }
    }

    @Test func base_protect_query() throws {
        try run { tables in
            try map(4096, 999 * 4096, to: gib, user)
            for index in 1..<1000 as Range<UInt> {
                #expect(isMapped(index * 4096, to: gib + (index - 1) * 4096, user))
            }
            try tables.protectRange(
                pages(18 * 4096, 8192), permissions: user.subtracting(.write), using: &bench.source)
            for index in 17...20 as ClosedRange<UInt> {
                let expected = (18..<20).contains(index) ? user.subtracting(.write) : user
                #expect(isMapped(index * 4096, to: gib + (index - 1) * 4096, expected))
            }
        }
    }

    @Test func test_protect_next_empty_entry() throws {
        try run { tables in
            refused(.notMapped) {
                try tables.protectRange(pages(4096, 4096), permissions: user, using: &bench.source)
            }
        }
    }

    @Test func test_protect_next_touches_empty_range() throws {
        try run { tables in
            try map(4096, 4096, to: gib, user)
            refused(.notMapped) {
                try tables.protectRange(pages(4096, 8192), permissions: .read | .user, using: &bench.source)
            }
            #expect(isMapped(4096, to: gib, user), "all or nothing")
        }
    }

    @Test func map_base_page() throws {
        try run { tables in
            try tables.map(page(4096), to: memory(8192), permissions: .readWrite, using: &bench.source)
            #expect(isMapped(4097, to: 8193, .readWrite))
        }
    }

    @Test func map_base_page_already_mapped() throws {
        try run { tables in
            try tables.map(page(4096), to: memory(8192), permissions: .readWrite, using: &bench.source)
            refused(.alreadyMapped) {
                try tables.map(page(4096), to: memory(12_288), permissions: .readWrite, using: &bench.source)
            }
        }
    }

    @Test func protect_base_page_unmapped() throws {
        try run { tables in
            refused(.notMapped) { try tables.protect(page(8192), permissions: .readOnly, using: &bench.source) }
        }
    }

    @Test func map_protect() throws {
        try run { tables in
            try tables.map(page(8192), to: memory(8192), permissions: .readWrite, using: &bench.source)
            try tables.protect(page(8192), permissions: .readExecute, using: &bench.source)
            #expect(isMapped(8193, to: 8193, .readExecute))
            let uncached = PagePermissions.readExecute.cached(.uncached)
            try tables.map(page(12_288), to: memory(12_288), permissions: uncached, using: &bench.source)
            #expect(isMapped(12_290, to: 12_290, uncached))
            try tables.protect(
                page(12_288), permissions: .readWrite.cached(.uncached), using: &bench.source)
            #expect(isMapped(12_290, to: 12_290, .readWrite.cached(.uncached)))
            #expect(bench.fault(at: page(12_288), .fetch) == .protection)
        }
    }
}
