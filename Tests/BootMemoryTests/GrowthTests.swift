import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

private let KiB: UInt = 1 << 10
private let MiB: UInt = 1 << 20

/// Region lists that are full move into memory of the allocator's own.
@Suite struct GrowthTests {
    @Test func listsGrowAndStayReserved() throws {
        let machine = SimulatedMachine(memory: 64 * MiB)
        try withBootAllocator(memoryCapacity: 4, reservedCapacity: 4) { boot in
            boot.add(range(MiB, 16 * MiB))
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(64 * MiB))
            for index in 0..<1000 {
                expect(boot.reserve(bytes(2 * MiB + UInt(index) * 8 * KiB, 4 * KiB), owner: .module))
                expect(boot.add(bytes(1 << 32 + UInt(index) * 8 * KiB, 4 * KiB)))
                try boot.checkInvariants()
            }
            let modules = boot.reservations.filter { $0.owner == .module }.map(\.range)
            #expect(modules == (0..<1000).map { bytes(2 * MiB + $0 * 8 * KiB, 4 * KiB) })
            let memory = boot.memoryRanges
            #expect(memory == [range(MiB, 16 * MiB)] + (0..<1000).map { bytes(1 << 32 + $0 * 8 * KiB, 4 * KiB) })
            // Old arrays are given back: what stays are the two in use, each of 1, 2, 4 and at last 8 pages.
            let arrays = boot.reservations.filter { $0.owner == .regionLists }.reduce(0) { $0 + $1.range.byteCount }
            #expect(arrays == 2 * 8 * 4 * KiB)
        }
    }

    /// Linux's `memblock_reserve_many_may_conflict_check`: the list grows because of a reservation, wherever that is,
    /// and the new array keeps off it.
    @Test(arguments: 0..<40)
    func aNewArrayKeepsOffThePendingReservation(position: UInt) throws {
        let machine = SimulatedMachine(memory: 16 * MiB)
        try withBootAllocator(memoryCapacity: 4, reservedCapacity: 8) { boot in
            // 40 pages of memory, and room for one array of a page in each of them.
            boot.add(bytes(MiB, 160 * KiB))
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(16 * MiB))
            // Reservations outside memory fill the list.
            for index in 0..<8 { boot.reserve(bytes(4 * MiB + UInt(index) * 8 * KiB, 4 * KiB), owner: .firmware) }
            let pending = bytes(MiB + position * 4 * KiB, 4 * KiB)
            expect(boot.reserve(pending, owner: .kernelImage))
            try boot.checkInvariants()
            let image = boot.reservations.filter { $0.owner == .kernelImage }
            #expect(image.map(\.range) == [pending])
            // The highest page that is free: the last one, and where that is the pending one, the one before it.
            let arrays = boot.reservations.filter { $0.owner == .regionLists }
            #expect(arrays.map(\.range) == [bytes(MiB + (position == 39 ? 38 : 39) * 4 * KiB, 4 * KiB)])
            let count = boot.reservedRangeCount
            #expect(count == 10)
        }
    }

    /// Linux's `memblock_reserve_all_locations_check`: a gap between reservations is closed, wherever it is, by a
    /// reservation of which the list has no room for more than its merging.
    @Test(arguments: 0..<8)
    func everyGapCanBeClosedInAFullList(gap: UInt) throws {
        try withBootAllocator(reservedCapacity: 8) { boot in
            for index in 0..<8 { boot.reserve(bytes(MiB + UInt(index) * 8 * KiB, 4 * KiB), owner: .zones) }
            expect(boot.reserve(bytes(MiB + gap * 8 * KiB + 4 * KiB, 4 * KiB), owner: .zones))
            try boot.checkInvariants()
            let count = boot.reservedRangeCount
            #expect(count == (gap == 7 ? 8 : 7))
        }
    }

    @Test func aFullMemoryListGrowsWhileTheOtherIsFullToo() throws {
        let machine = SimulatedMachine(memory: 16 * MiB)
        try withBootAllocator(memoryCapacity: 2, reservedCapacity: 2) { boot in
            boot.add(bytes(MiB, MiB))
            boot.add(bytes(4 * MiB, MiB))
            boot.reserve(bytes(MiB, 4 * KiB), owner: .module)
            boot.reserve(bytes(MiB + 8 * KiB, 4 * KiB), owner: .module)
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(16 * MiB))
            expect(boot.add(bytes(8 * MiB, MiB)))
            try boot.checkInvariants()
            let memory = boot.memoryRanges
            #expect(memory == [bytes(MiB, MiB), bytes(4 * MiB, MiB), bytes(8 * MiB, MiB)])
            let reserved = boot.reservations
            // Two arrays of a page each, beside one another.
            #expect(
                reserved == [
                    Region(bytes(MiB, 4 * KiB), .module), Region(bytes(MiB + 8 * KiB, 4 * KiB), .module),
                    Region(bytes(5 * MiB - 8 * KiB, 8 * KiB), .regionLists),
                ])
        }
    }

    @Test func arraysStayBelowWhatIsMapped() throws {
        let machine = SimulatedMachine(memory: 16 * MiB)
        try withBootAllocator(reservedCapacity: 1) { boot in
            boot.add(bytes(MiB, 64 * MiB))
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(2 * MiB))
            boot.reserve(bytes(32 * MiB, 4 * KiB), owner: .module)
            expect(boot.reserve(bytes(40 * MiB, 4 * KiB), owner: .module))
            let arrays = boot.reservations.filter { $0.owner == .regionLists }
            #expect(arrays.map(\.range) == [range(2 * MiB - 4 * KiB, 2 * MiB)])
        }
    }

    @Test func aListThatCannotGrowRefuses() throws {
        let machine = SimulatedMachine(memory: 16 * MiB)
        try withBootAllocator(reservedCapacity: 2) { boot in
            // The only page there is, is the one that the reservation wants.
            boot.add(bytes(MiB, 4 * KiB))
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(16 * MiB))
            boot.reserve(bytes(4 * MiB, 4 * KiB), owner: .module)
            boot.reserve(bytes(5 * MiB, 4 * KiB), owner: .module)
            let allocated = boot.allocate(byteCount: 4 * KiB, alignment: 4 * KiB, owner: .zones)
            #expect(allocated == nil)
            expect(!boot.hasLostReservation, "an allocation that fails loses nothing")
            expect(!boot.reserve(bytes(MiB, 4 * KiB), owner: .kernelImage))
            expect(boot.hasLostReservation)
            try boot.checkInvariants()
        }
    }
}
