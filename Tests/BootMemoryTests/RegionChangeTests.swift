import BootMemory
import MemoryPrimitives
import Testing

private let MiB: UInt = 1 << 20
private let GiB: UInt = 1 << 30

/// Adding, reserving, removing and freeing ranges: the cases of Linux's memblock simulator tests.
@Suite struct RegionChangeTests {
    // Linux merges reservations that touch, whoever made them; ours merge where they have one owner, as they do in these
    // cases. Who had a byte first keeps it. `neighboursOfDifferentOwnersStayApart` and `theFirstOwnerKeepsWhatItHas` show
    // the difference.

    /// A change to one of the two lists: what is there, what is done, what is there then.
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var before: [PhysicalRange]
        var change: PhysicalRange
        var after: [PhysicalRange]
        var testDescription: String { name }

        init(_ name: String, _ before: [PhysicalRange], _ change: PhysicalRange, _ after: [PhysicalRange]) {
            self.name = name
            self.before = before
            self.change = change
            self.after = after
        }
    }

    static let additions: [Case] = [
        Case("simple", [], bytes(GiB, 4 * MiB), [bytes(GiB, 4 * MiB)]),
        Case(
            "disjoint", [bytes(GiB, 8 * 1024)], bytes(GiB + 16 * 1024, 8 * 1024),
            [bytes(GiB, 8 * 1024), bytes(GiB + 16 * 1024, 8 * 1024)]),
        Case("overlap top", [bytes(512 * MiB, GiB)], bytes(256 * MiB, 512 * MiB), [bytes(256 * MiB, 1280 * MiB)]),
        Case("overlap bottom", [bytes(128 * MiB, 512 * MiB)], bytes(256 * MiB, GiB), [bytes(128 * MiB, 1152 * MiB)]),
        Case("within", [bytes(8 * MiB, 32 * MiB)], bytes(16 * MiB, MiB), [bytes(8 * MiB, 32 * MiB)]),
        Case("twice", [bytes(16 * 1024, 2 * MiB)], bytes(16 * 1024, 2 * MiB), [bytes(16 * 1024, 2 * MiB)]),
        Case("between", [bytes(GiB, MiB), bytes(GiB + 2 * MiB, MiB)], bytes(GiB + MiB, MiB), [bytes(GiB, 3 * MiB)]),
        Case(
            "around several", [bytes(2 * MiB, MiB), bytes(4 * MiB, MiB), bytes(6 * MiB, MiB)], bytes(MiB, 8 * MiB),
            [bytes(MiB, 8 * MiB)]),
        Case(
            "near the maximum address", [bytes(UInt.max - MiB, MiB)], bytes(UInt.max - 2 * MiB, MiB),
            [bytes(UInt.max - 2 * MiB, 2 * MiB)]),
        Case("empty", [bytes(MiB, MiB)], bytes(8 * MiB, 0), [bytes(MiB, MiB)]),
    ]

    static let removals: [Case] = [
        Case(
            "simple", [bytes(2 * 1024, 4 * MiB), bytes(128 * MiB, 4 * MiB)], bytes(2 * 1024, 4 * MiB),
            [bytes(128 * MiB, 4 * MiB)]),
        Case("absent", [bytes(512 * MiB, 4 * MiB)], bytes(64 * MiB, GiB / 4), [bytes(512 * MiB, 4 * MiB)]),
        Case("overlap top", [bytes(512 * MiB, 32 * MiB)], bytes(496 * MiB, 32 * MiB), [bytes(528 * MiB, 16 * MiB)]),
        Case("overlap bottom", [bytes(2 * MiB, 64 * MiB)], bytes(32 * MiB, 256 * MiB), [bytes(2 * MiB, 30 * MiB)]),
        Case("within", [bytes(MiB, 4 * MiB)], bytes(2 * MiB, MiB), [bytes(MiB, MiB), bytes(3 * MiB, 2 * MiB)]),
        Case("only region", [bytes(2 * 1024, 4 * MiB)], bytes(2 * 1024, 4 * MiB), []),
        Case(
            "near the maximum address", [bytes(UInt.max - 2 * MiB, 2 * MiB)], range(UInt.max - MiB, UInt.max),
            [bytes(UInt.max - 2 * MiB, MiB)]),
        Case(
            "overlap two", [bytes(16 * MiB, 32 * MiB), bytes(64 * MiB, 64 * MiB)], bytes(32 * MiB, 64 * MiB),
            [bytes(16 * MiB, 16 * MiB), bytes(96 * MiB, 32 * MiB)]),
        Case("all of several", [bytes(MiB, MiB), bytes(4 * MiB, MiB), bytes(8 * MiB, MiB)], bytes(0, 64 * MiB), []),
        Case("empty", [bytes(MiB, MiB)], range(MiB + 4096, MiB + 4096), [bytes(MiB, MiB)]),
    ]

    static func sum(_ ranges: [PhysicalRange]) -> UInt { ranges.reduce(0) { $0 + $1.byteCount } }

    @Test(arguments: additions, BootAllocator.Direction.allCases)
    func add(_ test: Case, direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.direction = direction
            for range in test.before { boot.add(range) }
            expect(boot.add(test.change))
            try boot.checkInvariants()
            let found = boot.memoryRanges
            let total = boot.totalMemory
            #expect(found == test.after)
            #expect(total == Self.sum(test.after))
        }
    }

    @Test(arguments: additions, BootAllocator.Direction.allCases)
    func reserve(_ test: Case, direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.direction = direction
            for range in test.before { boot.reserve(range, owner: .module) }
            expect(boot.reserve(test.change, owner: .module))
            try boot.checkInvariants()
            let found = boot.reservedRanges
            let total = boot.totalReserved
            #expect(found == test.after)
            #expect(total == Self.sum(test.after))
        }
    }

    @Test(arguments: removals, BootAllocator.Direction.allCases)
    func remove(_ test: Case, direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.direction = direction
            for range in test.before { boot.add(range) }
            expect(boot.remove(test.change))
            try boot.checkInvariants()
            let found = boot.memoryRanges
            let total = boot.totalMemory
            #expect(found == test.after)
            #expect(total == Self.sum(test.after))
        }
    }

    @Test(arguments: removals, BootAllocator.Direction.allCases)
    func free(_ test: Case, direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.direction = direction
            for range in test.before { boot.reserve(range, owner: .zones) }
            expect(boot.free(test.change))
            try boot.checkInvariants()
            let found = boot.reservedRanges
            let total = boot.totalReserved
            #expect(found == test.after)
            #expect(total == Self.sum(test.after))
        }
    }

    @Test func theFirstOwnerKeepsWhatItHas() throws {
        try withBootAllocator { boot in
            boot.reserve(range(0x2000, 0x4000), owner: .kernelImage)
            boot.reserve(range(0x6000, 0x7000), owner: .module)
            boot.reserve(range(0x1000, 0x8000), owner: .firmware)
            try boot.checkInvariants()
            let found = boot.reservations
            #expect(
                found == [
                    Region(range(0x1000, 0x2000), .firmware), Region(range(0x2000, 0x4000), .kernelImage),
                    Region(range(0x4000, 0x6000), .firmware), Region(range(0x6000, 0x7000), .module),
                    Region(range(0x7000, 0x8000), .firmware),
                ])
            let owners = [0x1fff, 0x2000, 0x3fff, 0x4000, 0x6000, 0x8000].map { boot.owner(of: PhysicalAddress($0)) }
            #expect(owners == [.firmware, .kernelImage, .kernelImage, .firmware, .module, nil])
        }
    }

    @Test func neighboursOfDifferentOwnersStayApart() throws {
        try withBootAllocator { boot in
            boot.reserve(range(0x1000, 0x2000), owner: .pageTables)
            boot.reserve(range(0x2000, 0x3000), owner: .zones)
            boot.reserve(range(0x3000, 0x4000), owner: .zones)
            let found = boot.reservations
            #expect(
                found == [Region(range(0x1000, 0x2000), .pageTables), Region(range(0x2000, 0x4000), .zones)])
        }
    }

    @Test(arguments: [
        // As Linux's memblock_trim_memory tests, with a granule of 64 KiB.
        ([bytes(0x10000, 0x20000), bytes(0x50000, 0x20000)], [bytes(0x10000, 0x20000), bytes(0x50000, 0x20000)]),
        ([bytes(0x10000, 0x20000), bytes(0x51000, 0x8000)], [bytes(0x10000, 0x20000)]),
        ([bytes(0x11000, 0x20000)], [range(0x20000, 0x30000)]),
        ([bytes(0x10000, 0x2f000)], [range(0x10000, 0x30000)]),
        ([bytes(0x1000, 0x100), bytes(0x18000, 0x10000), bytes(0x40000, 0x10000)], [bytes(0x40000, 0x10000)]),
    ])
    func trim(before: [PhysicalRange], after: [PhysicalRange]) throws {
        try withBootAllocator { boot in
            for range in before { boot.add(range) }
            boot.trim(to: 0x10000)
            try boot.checkInvariants()
            let found = boot.memoryRanges
            #expect(found == after)
        }
    }

    @Test func overlapQueries() throws {
        try withBootAllocator { boot in
            boot.add(range(0x4000, 0x8000))
            boot.add(range(0x9000, 0xa000))
            func check(_ query: PhysicalRange, overlaps: Bool, contained: Bool, _ note: Comment) {
                let found = (boot.overlapsMemory(query), boot.isMemory(query))
                #expect(found == (overlaps, contained), note)
            }
            check(range(0x1_0000, 0x2_0000), overlaps: false, contained: false, "far")
            check(range(0x3000, 0x4000), overlaps: false, contained: false, "neighbour below")
            check(range(0x8000, 0x9000), overlaps: false, contained: false, "neighbour above")
            check(range(0x3000, 0x4001), overlaps: true, contained: false, "partial, low end")
            check(range(0x7fff, 0x9000), overlaps: true, contained: false, "partial, high end")
            check(range(0x4000, 0x8000), overlaps: true, contained: true, "total")
            check(range(0x5000, 0x6000), overlaps: true, contained: true, "within")
            check(range(0x7000, 0xa000), overlaps: true, contained: false, "across a hole")
            boot.reserve(range(0x5000, 0x6000), owner: .other)
            let reserved = (
                boot.overlapsReserved(range(0x4000, 0x5000)), boot.overlapsReserved(range(0x4000, 0x5001))
            )
            #expect(reserved == (false, true))
            let bounds = (boot.lowestAddress, boot.highestAddress)
            #expect(bounds == (PhysicalAddress(0x4000), PhysicalAddress(0xa000)))
        }
    }

    @Test func fullListsRefuseAndChangeNothing() throws {
        try withBootAllocator(memoryCapacity: 2, reservedCapacity: 2) { boot in
            boot.add(range(0x10000, 0x20000))
            boot.add(range(0x30000, 0x40000))
            expect(!boot.add(range(0x50000, 0x60000)))
            let lost = boot.unrecordedMemory
            #expect(lost == 0x10000)
            // Closing a gap needs no room.
            expect(boot.add(range(0x20000, 0x30000)))
            let memory = boot.memoryRanges
            #expect(memory == [range(0x10000, 0x40000)])

            boot.reserve(range(0x11000, 0x14000), owner: .module)
            boot.reserve(range(0x15000, 0x16000), owner: .module)
            // It would be cut in two.
            expect(!boot.free(range(0x12000, 0x13000)))
            let refused = boot.allocate(byteCount: 0x1000, alignment: 0x1000, owner: .zones)
            #expect(refused == nil)
            let reserved = boot.reservedRanges
            #expect(reserved == [range(0x11000, 0x14000), range(0x15000, 0x16000)])
            expect(!boot.hasLostReservation)
            try boot.checkInvariants()
        }
    }

    @Test func aLostReservationStopsTheAllocator() throws {
        try withBootAllocator(reservedCapacity: 1) { boot in
            boot.add(range(0x10000, 0x20000))
            boot.reserve(range(0x11000, 0x12000), owner: .kernelImage)
            expect(!boot.reserve(range(0x14000, 0x15000), owner: .module))
            let state = (boot.hasLostReservation, boot.freeRanges.count, boot.totalFree)
            #expect(state == (true, 0, 0))
            // It could be recorded by widening the first, but it might lie in what was lost.
            let refused = boot.allocate(byteCount: 0x1000, alignment: 0x1000, owner: .kernelImage)
            #expect(refused == nil)
            try boot.checkInvariants()
        }
    }
}
