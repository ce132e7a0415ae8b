import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Many pages whose frames lie anywhere, mapped and taken away a table at a time.
@Suite struct MapFramesTests {
    private static let features = PagingFeatures(noExecute: true, gigabytePages: false, globalPages: true)

    private func frames(_ numbers: [UInt]) -> [PageFrameNumber] { numbers.map { PageFrameNumber(0x4_0000 + $0) } }

    private func map(
        _ bench: Bench, _ start: UInt, _ frames: [PageFrameNumber], _ permissions: PagePermissions = .readWrite
    ) throws(PagingError) {
        do {
            try frames.withUnsafeBufferPointer { buffer in
                try bench.tables.value.mapFrames(
                    from: page(start), to: buffer, permissions: permissions, using: &bench.source)
            }
        } catch let error as PagingError {
            throw error
        } catch {
            fatalError("mapFrames throws nothing else")
        }
    }

    /// Takes all of a range, `room` frames at a time.
    private func takeAll(_ bench: Bench, _ range: VirtualRange, room: Int) throws -> [PageFrameNumber] {
        var left = range
        var all: [PageFrameNumber] = []
        var buffer = [PageFrameNumber](repeating: PageFrameNumber(0), count: room)
        while !left.isEmpty {
            let before = left.start
            let count = try buffer.withUnsafeMutableBufferPointer { buffer in
                try bench.tables.value.takeFrames(from: &left, into: buffer, using: &bench.source)
            }
            #expect(left.start > before, "it comes to an end")
            all += buffer.prefix(count)
        }
        return all
    }

    /// Behind an address that no CPU takes there is nothing, and nothing is taken away.
    @Test func addressesThatCannotBeAreRefused() throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            try map(bench, areas, frames([1, 2]))
            // The same bits, but for those above that are translated.
            let twin = VirtualAddress(areas & 0x0000_ffff_ffff_ffff)
            #expect(bench.tables.value.frame(at: twin) == nil)
            #expect(bench.tables.value.frame(at: VirtualAddress(1 << 47)) == nil)
            let before = bench.snapshot()
            var buffer = [PageFrameNumber](repeating: PageFrameNumber(0), count: 4)
            let cases: [(VirtualRange, PagingError)] = [
                (VirtualRange(twin, twin + 8192), .notCanonical), (pages(areas + 8, 8192), .misaligned),
                (pages(areas, 8200), .misaligned),
            ]
            for (range, error) in cases {
                var left = range
                #expect(throws: error) {
                    try buffer.withUnsafeMutableBufferPointer {
                        _ = try bench.tables.value.takeFrames(from: &left, into: $0, using: &bench.source)
                    }
                }
                #expect(throws: error) { _ = try bench.tables.value.emptyPages(from: &left, using: &bench.source) }
                #expect(throws: error) { _ = try bench.tables.value.retireFrames(from: &left) }
                #expect(left == range)
            }
            #expect(bench.snapshot() == before)
            #expect(bench.tables.value.frame(at: page(areas)) == frames([1])[0])
        }
    }

    /// As `takeFrames`, without the frames.
    @Test func pagesCanBeEmptied() throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            let before = bench.snapshot()
            try map(bench, areas + 5 * 4096, frames((0..<500).map { $0 }))
            _ = try bench.machine.load(page(areas + 5 * 4096))
            var left = pages(areas, 1024 * 4096)
            var count = 0
            while !left.isEmpty { count += try bench.tables.value.emptyPages(from: &left, using: &bench.source) }
            #expect(count == 500)
            #expect(bench.fault(at: page(areas + 5 * 4096)) != nil, "it is flushed")
            #expect(bench.snapshot() == before)
            try bench.tables.value.checkInvariants()
        }
    }

    /// Retired pages keep their frames until every CPU was told.
    @Test func retiredPagesKeepTheirFrames() throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            let before = bench.snapshot()
            let wanted = frames([7, 1, 5, 3])
            try map(bench, areas + 510 * 4096, [wanted[0], wanted[1]])
            try map(bench, areas + 512 * 4096, [wanted[2], wanted[3]])
            let whole = pages(areas + 510 * 4096, 4 * 4096)
            var left = whole
            var count = 0
            while !left.isEmpty { count += try bench.tables.value.retireFrames(from: &left) }
            #expect(count == 4)
            #expect(bench.tables.value.lookup(page(areas + 511 * 4096)) == .none)
            #expect(bench.tables.value.frame(at: page(areas + 511 * 4096)) == nil)
            try bench.tables.value.checkInvariants()
            #expect(bench.tables.value.audit().retiredEntries == 4 && bench.tables.value.audit().badEntries == 0)
            // Nobody can map there meanwhile.
            #expect(throws: PagingError.alreadyMapped) { try map(bench, areas + 511 * 4096, frames([9])) }
            #expect(try takeAll(bench, whole, room: 3) == wanted)
            #expect(bench.snapshot() == before)
        }
    }

    @Test(arguments: [1, 7, 32, 33, 500], [1, 20, 64])
    func whatIsMappedIsTakenAway(count: Int, room: Int) throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            var random = SeededGenerator.fromEnvironment(default: 71)
            let wanted = frames((0..<UInt(count)).shuffled(using: &random))
            let before = bench.snapshot()
            try map(bench, areas + 3 * 4096, wanted)
            try bench.tables.value.checkInvariants()
            for index in 0..<count {
                let address = page(areas + UInt(3 + index) * 4096)
                #expect(bench.tables.value.translate(address)?.physical == wanted[index].address)
                #expect(bench.tables.value.frame(at: address + 5) == wanted[index])
                // Into the TLB.
                _ = try bench.machine.load(address)
            }
            #expect(bench.tables.value.frame(at: page(areas)) == nil)
            let taken = try takeAll(bench, pages(areas, 512 * 4096), room: room)
            #expect(taken == wanted)
            try bench.tables.value.checkInvariants()
            #expect(bench.snapshot() == before)
            for index in 0..<count {
                let address = page(areas + UInt(3 + index) * 4096)
                #expect(bench.tables.value.frame(at: address) == nil)
                #expect(bench.fault(at: address) != nil, "it is flushed")
            }
        }
    }

    @Test func rangesOfSeveralTablesWithHolesAreTakenTableByTable() throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            let span: UInt = 512 * 4096
            try map(bench, areas + span - 4 * 4096, frames([1, 2, 3, 4]))
            try map(bench, areas + 3 * span, frames([9]))
            try bench.tables.value.reserveDemand(
                pages(areas + 3 * span + 8192, 8192), permissions: .readWrite, using: &bench.source)
            let taken = try takeAll(bench, pages(areas, 5 * span), room: 64)
            #expect(taken == frames([1, 2, 3, 4, 9]))
            #expect(bench.tables.value.lookup(page(areas + 3 * span + 8192)) == .none)
            try bench.tables.value.checkInvariants()
        }
    }

    @Test func refusalsChangeNothing() throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            try map(bench, areas + 4 * 4096, frames([1]))
            try bench.tables.value.map(
                page(areas + (1 << 21)), to: memory(gib), size: .size2MiB, permissions: .readOnly, using: &bench.source)
            let before = bench.snapshot()
            #expect(throws: PagingError.alreadyMapped) { try map(bench, areas, frames([1, 2, 3, 4, 5])) }
            #expect(throws: PagingError.alreadyMapped) { try map(bench, areas + (1 << 21), frames([1])) }
            #expect(throws: PagingError.misaligned) { try map(bench, areas + 1, frames([1])) }
            #expect(throws: PagingError.misaligned) { try map(bench, areas + 511 * 4096, frames([1, 2])) }
            #expect(throws: PagingError.notCanonical) { try map(bench, 1 << 50, frames([1])) }
            #expect(throws: PagingError.beyondPhysicalLimit) {
                try map(bench, areas, [PageFrameNumber(1 << 40)])
            }
            #expect(throws: PagingError.userPageInKernelHalf) {
                try map(bench, areas, frames([1]), PagePermissions.readWrite.union(.user))
            }
            #expect(throws: PagingError.insideLargePage) {
                _ = try takeAll(bench, pages(areas + (1 << 21), 8192), room: 8)
            }
            #expect(bench.snapshot() == before)
            try bench.tables.value.checkInvariants()
        }
    }

    @Test(arguments: [0, 1, 2])
    func withoutTablesNothingIsMapped(budget: Int) throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            let before = bench.snapshot()
            bench.pool.limit(to: budget)
            #expect(throws: PagingError.outOfTables) { try map(bench, areas, frames([1, 2])) }
            bench.pool.limit(to: nil)
            #expect(bench.snapshot() == before)
            try bench.tables.value.checkInvariants()
        }
    }
}
