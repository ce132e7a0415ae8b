import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Single pages: what is refused, what is changed, and what the MMU makes of it.
@Suite struct MapTests {
    static let sizes: [PageSize] = [.size4KiB, .size2MiB, .size1GiB]

    @Test(arguments: sizes) func aMappedPageIsReadWrittenAndGone(size: PageSize) throws {
        let bench = Bench()
        try bench.machine.run {
            let frame = memory(gib)
            try bench.tables.value.map(
                page(areas), to: frame, size: size, permissions: .readWrite, using: &bench.source)
            let offset = size.byteCount - 8
            #expect(bench.reads(page(areas), from: frame))
            #expect(bench.reads(page(areas + offset), from: memory(gib + offset)))
            try bench.machine.store(UInt64(77), to: page(areas + offset))
            #expect(bench.machine.word(memory(gib + offset)).pointee == 77)
            #expect(bench.fault(at: page(areas), .fetch) == .protection)
            #expect(bench.fault(at: page(areas), .load, asUser: true) == .protection)
            #expect(bench.fault(at: page(areas + size.byteCount)) == .notPresent)
            #expect(
                bench.tables.value.translate(page(areas + offset + 3))
                    == Translation(physical: memory(gib + offset + 3), size: size, permissions: .readWrite))
            #expect(bench.pool.inUse == 4 - Int(size.rawValue))
            try bench.tables.value.checkInvariants()
            let removed = try bench.tables.value.unmap(page(areas), size: size, using: &bench.source)
            #expect(removed == frame)
            #expect(bench.fault(at: page(areas)) == .notPresent)
            #expect(bench.tables.value.lookup(page(areas)) == .none)
            #expect(bench.pool.inUse == 1 && bench.tables.value.tableCount == 0)
            try bench.tables.value.checkInvariants()
            #expect(bench.machine.takeStaleTranslations() == [])
        }
    }

    @Test func permissionsAreWhatTheMMUObeys() throws {
        let bench = Bench()
        try bench.machine.run {
            for bits in 0..<8 {
                var permissions: PagePermissions = .read
                if bits & 1 != 0 { permissions.insert(.write) }
                if bits & 2 != 0 { permissions.insert(.execute) }
                if bits & 4 != 0 { permissions.insert(.user) }
                let address = page(0x4000_0000 + UInt(bits) * 4096)
                try bench.tables.value.map(
                    address, to: memory(gib + UInt(bits) * 4096), permissions: permissions, using: &bench.source)
                for asUser in [false, true] {
                    let mayUse = !asUser || permissions.contains(.user)
                    #expect((bench.fault(at: address, .load, asUser: asUser) == nil) == mayUse)
                    #expect(
                        (bench.fault(at: address, .store, asUser: asUser) == nil)
                            == (mayUse && permissions.contains(.write)))
                    #expect(
                        (bench.fault(at: address, .fetch, asUser: asUser) == nil)
                            == (mayUse && permissions.contains(.execute)))
                }
            }
        }
    }

    @Test func mistakesAreRefusedAndChangeNothing() throws {
        let bench = Bench(
            features: PagingFeatures(noExecute: true, gigabytePages: false, globalPages: true, physicalAddressBits: 36))
        try bench.machine.run {
            try bench.tables.value.map(page(areas), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.map(
                page(areas + 2 * mib), to: memory(gib), size: .size2MiB, permissions: .readWrite, using: &bench.source)
            let before = bench.snapshot()
            func refused(
                _ error: PagingError, _ virtual: UInt, _ physical: UInt, _ size: PageSize = .size4KiB,
                _ permissions: PagePermissions = .readWrite, _ location: SourceLocation = #_sourceLocation
            ) {
                #expect(throws: error, sourceLocation: location) {
                    try bench.tables.value.map(
                        page(virtual), to: memory(physical), size: size, permissions: permissions, using: &bench.source)
                }
            }
            refused(.alreadyMapped, areas, gib)
            refused(.alreadyMapped, areas, gib, .size2MiB)
            refused(.alreadyMapped, areas + 2 * mib, gib)
            refused(.alreadyMapped, areas + 2 * mib, gib, .size2MiB)
            refused(.misaligned, areas + 4097, gib)
            refused(.misaligned, areas + 8192, gib + 1)
            refused(.misaligned, areas + 4 * mib, gib + mib, .size2MiB)
            refused(.misaligned, areas + 5 * mib, gib, .size2MiB)
            refused(.unsupportedPageSize, areas + gib, gib, .size1GiB)
            refused(.notCanonical, 0x0000_8000_0000_0000, gib)
            refused(.notCanonical, 0xffff_7fff_ffff_f000, gib)
            refused(.beyondPhysicalLimit, areas + 8192, 1 << 36)
            refused(.beyondPhysicalLimit, areas + 8192, UInt.max - 4095)
            refused(.userPageInKernelHalf, areas + 8192, gib, .size4KiB, [.read, .user])
            func refusedRemoval(
                _ error: PagingError, _ virtual: UInt, _ size: PageSize = .size4KiB,
                _ location: SourceLocation = #_sourceLocation
            ) {
                #expect(throws: error, sourceLocation: location) {
                    try bench.tables.value.unmap(page(virtual), size: size, using: &bench.source)
                }
                #expect(throws: error, sourceLocation: location) {
                    try bench.tables.value.protect(
                        page(virtual), size: size, permissions: .readOnly, using: &bench.source)
                }
            }
            refusedRemoval(.notMapped, areas + 4096)
            refusedRemoval(.notMapped, 0x1000)
            refusedRemoval(.misaligned, areas + 1)
            refusedRemoval(.insideLargePage, areas + 2 * mib)
            refusedRemoval(.insideSmallerPages, areas, .size2MiB)
            refusedRemoval(.notCanonical, 0x0000_8000_0000_0000)
            #expect(throws: PagingError.userPageInKernelHalf) {
                try bench.tables.value.protect(page(areas), permissions: [.read, .user], using: &bench.source)
            }
            #expect(bench.snapshot() == before)
            #expect(bench.tables.value.lookup(page(0x0000_8000_0000_0000)) == .none)
            #expect(bench.machine.pageFlushCount == 0)
            try bench.tables.value.checkInvariants()
        }
    }

    @Test(
        arguments: [
            0, 0x0000_7fff_ffff_f000, 0xffff_8000_0000_0000, 0xffff_ffff_ffff_f000,
        ] as [UInt])
    func theLastPagesOfBothHalvesWork(address: UInt) throws {
        let bench = Bench()
        try bench.machine.run {
            try bench.tables.value.map(page(address), to: memory(gib), permissions: .readWrite, using: &bench.source)
            #expect(bench.reads(page(address), from: memory(gib)))
            #expect(bench.reads(page(address + 4088), from: memory(gib + 4088)))
            try bench.tables.value.checkInvariants()
            var runs: [LeafRun] = []
            bench.tables.value.forEachLeafRun { runs.append($0) }
            #expect(runs.map(\.start) == [page(address)] && runs.map(\.last) == [page(address + 4095)])
            try bench.tables.value.protect(page(address), permissions: .readOnly, using: &bench.source)
            #expect(bench.fault(at: page(address), .store) == .protection)
            try bench.tables.value.unmap(page(address), using: &bench.source)
            #expect(bench.fault(at: page(address)) == .notPresent)
            #expect(bench.pool.inUse == 1)
        }
    }

    @Test func splittingKeepsEverythingElseAsItWas() throws {
        let bench = Bench()
        try bench.machine.run {
            try bench.tables.value.map(
                page(areas), to: memory(gib), size: .size1GiB, permissions: .readWrite.cached(.writeCombining),
                using: &bench.source)
            let hole = 7 * mib + 12 * kib
            #expect(bench.reads(page(areas + hole), from: memory(gib + hole)))
            try bench.tables.value.protect(
                page(areas + hole), permissions: .readExecute, splitting: true, using: &bench.source)
            try bench.tables.value.checkInvariants()
            #expect(bench.tables.value.tableCount == 3)
            #expect(bench.fault(at: page(areas + hole), .store) == .protection)
            #expect(bench.fault(at: page(areas + hole), .fetch) == nil)
            for offset in [0, hole - 4096, hole + 4096, 8 * mib, gib - 4096] {
                let translation = bench.tables.value.translate(page(areas + offset))
                #expect(translation?.physical == memory(gib + offset))
                #expect(translation?.permissions == .readWrite.cached(.writeCombining))
                #expect(bench.reads(page(areas + offset), from: memory(gib + offset)))
            }
            #expect(try bench.tables.value.unmap(page(areas + hole), using: &bench.source) == memory(gib + hole))
            #expect(
                try bench.tables.value.unmap(
                    page(areas + 512 * mib), size: .size2MiB, using: &bench.source) == memory(gib + 512 * mib))
            #expect(bench.fault(at: page(areas + 512 * mib)) == .notPresent)
            #expect(bench.reads(page(areas + 510 * mib), from: memory(gib + 510 * mib)))
            try bench.tables.value.checkInvariants()
            #expect(bench.machine.takeStaleTranslations() == [])
        }
    }

    @Test func onlyWhatChangedIsFlushed() throws {
        let bench = Bench()
        try bench.machine.run {
            func flushes(_ body: () throws -> Void) rethrows -> Int {
                let before = bench.machine.pageFlushCount
                try body()
                #expect(bench.machine.fullFlushCount == 0)
                return bench.machine.pageFlushCount - before
            }
            let range = pages(areas, 8 * 4096)
            let tables = bench.tables
            #expect(
                try flushes {
                    try tables.value.mapRange(range, to: memory(gib), permissions: .readWrite, using: &bench.source)
                } == 0)
            #expect(
                try flushes {
                    try tables.value.protectRange(range, permissions: .readWrite, using: &bench.source)
                } == 0)
            #expect(
                try flushes {
                    try tables.value.protectRange(range, permissions: .readOnly, using: &bench.source)
                } == 8)
            #expect(try flushes { try tables.value.unmap(page(areas), using: &bench.source) } == 1)
            #expect(
                try flushes {
                    try tables.value.reserveDemand(
                        pages(areas + mib, 4 * 4096), permissions: .readWrite, using: &bench.source)
                } == 0)
            #expect(
                try flushes {
                    try tables.value.clear(pages(areas + mib, 4 * 4096), using: &bench.source) { _, _ in }
                } == 0)
            // The last page goes, and with it three tables: its own flush serves for them.
            #expect(
                try flushes { try tables.value.unmapRange(pages(areas + 4096, 7 * 4096), using: &bench.source) } == 7)
            // A table of nothing but demand entries may be cached as a table.
            try tables.value.reserveDemand(range, permissions: .readWrite, using: &bench.source)
            #expect(try flushes { try tables.value.clear(range, using: &bench.source) { _, _ in } } == 1)
            // A page that was cut up is another page, even where nothing else is different.
            try tables.value.map(
                page(areas), to: memory(gib), size: .size2MiB, permissions: .readWrite, using: &bench.source)
            for (permissions, count) in [(PagePermissions.readWrite, 1), (.readOnly, 1)] {
                let found = try flushes {
                    try tables.value.protect(
                        page(areas), permissions: permissions, splitting: true, using: &bench.source)
                }
                #expect(found == count)
            }
            try tables.value.unmapRange(pages(areas, 2 * mib), using: &bench.source)
            let many = pages(areas, 100 * 4096)
            try tables.value.mapRange(many, to: memory(gib), permissions: .readWrite, using: &bench.source)
            let before = bench.machine.pageFlushCount
            try tables.value.unmapRange(many, using: &bench.source)
            #expect(bench.machine.fullFlushCount == 2 && bench.machine.pageFlushCount == before)
        }
    }
}
