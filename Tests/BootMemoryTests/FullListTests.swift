import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

private let KiB: UInt = 1 << 10
private let MiB: UInt = 1 << 20

/// A list of reservations of Linux's size that is full, and one reservation more: the scenarios of its simulator tests.
@Suite struct FullListTests {
    /// `INIT_MEMBLOCK_REGIONS`.
    static let capacity = 128

    /// The ranges of the scenarios: 32 KiB each, with as much between them.
    static func spot(_ index: Int) -> PhysicalRange { bytes(16 * MiB + UInt(index) * 64 * KiB, 32 * KiB) }

    static func isSorted(_ ranges: [PhysicalRange]) -> Bool {
        zip(ranges, ranges.dropFirst()).allSatisfy { $0.end <= $1.start }
    }

    /// `memblock_reserve_all_locations`: the reservation that is one too many goes to every place in the list in turn, and
    /// the list moves to a larger array and loses nothing.
    @Test(arguments: 0...capacity, BootAllocator.Direction.allCases)
    func reserveAllLocations(skipped: Int, direction: BootAllocator.Direction) throws {
        let machine = SimulatedMachine(memory: 4 * MiB)
        try withBootAllocator(reservedCapacity: Self.capacity) { boot in
            boot.direction = direction
            // Memory for the new array, and none where the reservations are.
            boot.add(bytes(MiB, MiB))
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(4 * MiB))
            for index in 0...Self.capacity where index != skipped { boot.reserve(Self.spot(index), owner: .module) }
            let full = (boot.reservedRangeCount, boot.totalReserved)
            #expect(full == (Self.capacity, UInt(Self.capacity) * 32 * KiB))

            expect(boot.reserve(Self.spot(skipped), owner: .module))
            try boot.checkInvariants()
            let found = boot.reservations
            let array = found.filter { $0.owner == .regionLists }.map(\.range)
            // Room for 256 regions, in whole pages, at the end of memory that the direction says.
            let arrayBytes = (UInt(2 * Self.capacity * MemoryLayout<Region>.stride) + 4095) / 4096 * 4096
            #expect(array == [bytes(direction == .topDown ? 2 * MiB - arrayBytes : MiB, arrayBytes)])
            #expect(found.filter { $0.owner == .module }.map(\.range) == (0...Self.capacity).map(Self.spot))
            let total = boot.totalReserved
            #expect(total == UInt(Self.capacity + 1) * 32 * KiB + arrayBytes)

            // The larger array is there to be used: as many reservations again fit without another.
            let last = 2 * Self.capacity - 2
            for index in Self.capacity + 1...last { expect(boot.reserve(Self.spot(index), owner: .module)) }
            let (all, arrays) = (
                boot.reservedRangeCount, boot.reservations.filter { $0.owner == .regionLists }.map(\.range)
            )
            #expect(all == 2 * Self.capacity)
            #expect(arrays == array)
        }
    }

    /// `memblock_reserve_many_may_conflict`: the first place that there is for the new array is the very reservation that
    /// makes it necessary.
    @Test(arguments: 0...capacity, BootAllocator.Direction.allCases)
    func reserveManyMayConflict(skipped: Int, direction: BootAllocator.Direction) throws {
        let machine = SimulatedMachine(memory: 32 * MiB)
        try withBootAllocator(reservedCapacity: Self.capacity) { boot in
            boot.direction = direction
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(32 * MiB))
            for index in 0...Self.capacity where index != skipped { boot.reserve(Self.spot(index), owner: .module) }
            // What is memory is the missing spot and 8 KiB on one side of it: the side that is tried last.
            let spot = Self.spot(skipped)
            let isTopDown = direction == .topDown
            let beside = bytes(isTopDown ? spot.start.rawValue - 8 * KiB : spot.end.rawValue, 8 * KiB)
            boot.add(spot)
            boot.add(beside)

            expect(boot.reserve(spot, owner: .module))
            try boot.checkInvariants()
            let found = boot.reservations
            #expect(found.filter { $0.owner == .module }.map(\.range) == (0...Self.capacity).map(Self.spot))
            #expect(Self.isSorted(found.map(\.range)))
            let array = found.filter { $0.owner == .regionLists }.map(\.range)
            #expect(array == [beside])
        }
    }
}
