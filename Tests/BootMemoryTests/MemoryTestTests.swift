import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

private let KiB: UInt = 1 << 10
private let MiB: UInt = 1 << 20

/// A simulated machine's memory, some words of which have bits that are stuck.
struct FaultyMemory: MemoryUnderTest {
    struct Event: Equatable {
        var range: PhysicalRange
        var pattern: UInt64

        init(_ range: PhysicalRange, _ pattern: UInt64) {
            self.range = range
            self.pattern = pattern
        }
    }

    let directMap: DirectMap
    /// Bits that always read as 1, by the address of their word, and bits that always read as 0.
    var stuckHigh: [UInt: UInt64] = [:]
    var stuckLow: [UInt: UInt64] = [:]
    /// What was tested and what was found, in order.
    var tested: [Event] = []
    var found: [Event] = []
    var stores = 0
    var loads = 0

    init(_ machine: SimulatedMachine) { directMap = machine.arena.directMap }

    mutating func store(_ word: UInt64, at address: PhysicalAddress) {
        stores += 1
        directMap.pointer(to: address).storeBytes(of: word, as: UInt64.self)
    }

    mutating func load(_ address: PhysicalAddress) -> UInt64 {
        loads += 1
        let word = directMap.pointer(to: address).load(as: UInt64.self)
        let isHigh = stuckHigh[address.rawValue, default: 0]
        return (word | isHigh) & ~stuckLow[address.rawValue, default: 0]
    }

    mutating func testBegins(of range: PhysicalRange, pattern: UInt64) { tested.append(Event(range, pattern)) }

    mutating func foundBad(_ range: PhysicalRange, pattern: UInt64) { found.append(Event(range, pattern)) }
}

/// `memtest=N` over memory with faults.
@Suite struct MemoryTestTests {
    static let memory = bytes(MiB, 256 * KiB)

    /// Runs `body` with an allocator of 256 KiB, and memory without faults yet.
    static func with(
        reservedCapacity: Int = 64, _ body: (inout BootAllocator, inout FaultyMemory) throws -> Void
    ) throws {
        let machine = SimulatedMachine(memory: 4 * MiB)
        try withBootAllocator(reservedCapacity: reservedCapacity) { boot in
            boot.add(memory)
            boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(4 * MiB))
            var faulty = FaultyMemory(machine)
            try withExtendedLifetime(machine) { try body(&boot, &faulty) }
        }
    }

    static func badPages(_ boot: borrowing BootAllocator) -> [PhysicalRange] {
        boot.reservations.filter { $0.owner == .badMemory }.map(\.range)
    }

    @Test func thePatternsAreThoseOfLinux() {
        let expected: [UInt64] = [
            0, .max, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, 0x1111_1111_1111_1111, 0x2222_2222_2222_2222,
            0x4444_4444_4444_4444, 0x8888_8888_8888_8888, 0x3333_3333_3333_3333, 0x6666_6666_6666_6666,
            0x9999_9999_9999_9999, 0xcccc_cccc_cccc_cccc, 0x7777_7777_7777_7777, 0xbbbb_bbbb_bbbb_bbbb,
            0xdddd_dddd_dddd_dddd, 0xeeee_eeee_eeee_eeee, 0x7a6c_7258_554e_494c,
        ]
        #expect(MemoryTest.patternCount == UInt(expected.count))
        #expect((0..<17).map { MemoryTest.pattern($0) } == expected)
        #expect((17..<34).map { MemoryTest.pattern($0) } == expected)
    }

    @Test func goodMemoryIsLeftZeroAndFree() throws {
        try Self.with { boot, memory in
            boot.reserve(bytes(MiB + 0x2000, 0x1800), owner: .module)
            let module = PhysicalAddress(MiB + 0x37f8)
            memory.store(0x1234, at: module)
            memory.stores = 0
            let bad = boot.testFreeMemory(passes: 3, on: &memory)
            #expect(bad == 0)
            let free = [range(MiB, MiB + 0x2000), range(MiB + 0x3800, MiB + 256 * KiB)]
            #expect(
                memory.tested == MemoryTestTests.events(free, [0x5555_5555_5555_5555, .max, 0]))
            #expect(memory.found == [])
            let words = Int((256 * KiB - 0x1800) / 8)
            #expect(memory.stores == 3 * words && memory.loads == 3 * words)
            #expect(memory.load(module) == 0x1234, "what somebody owns is not touched")
            #expect((0..<0x400).allSatisfy { memory.load(PhysicalAddress(MiB + $0 * 8)) == 0 })
            let state = (boot.freeRanges, boot.direction)
            #expect(state == (free, .topDown))
        }
    }

    static func events(_ ranges: [PhysicalRange], _ patterns: [UInt64]) -> [FaultyMemory.Event] {
        patterns.flatMap { pattern in ranges.map { FaultyMemory.Event($0, pattern) } }
    }

    @Test func noPassesTouchNothing() throws {
        try Self.with { boot, memory in
            memory.stuckHigh[MiB] = 1
            let bad = boot.testFreeMemory(passes: 0, on: &memory)
            #expect(bad == 0)
            #expect(memory.tested == [] && memory.stores == 0 && memory.loads == 0)
        }
    }

    /// Each single bit that is stuck, either way, is found by four passes, and one that is stuck high by the first.
    @Test(arguments: 0..<64, [false, true])
    func aStuckBitIsFound(bit: UInt64, isHigh: Bool) throws {
        try Self.with { boot, memory in
            let address = MiB + 0x5010
            if isHigh { memory.stuckHigh[address] = 1 << bit } else { memory.stuckLow[address] = 1 << bit }
            let first = boot.testFreeMemory(passes: 1, on: &memory)
            #expect(first == (isHigh ? 0x1000 : 0), "zeros alone do not show what is stuck at zero")
            _ = boot.testFreeMemory(passes: 4, on: &memory)
            let pages = Self.badPages(boot)
            #expect(pages == [bytes(MiB + 0x5000, 0x1000)])
            #expect(memory.found.map(\.range) == [bytes(address, 8)])
        }
    }

    @Test func wordsThatFollowEachOtherAreOneFinding() throws {
        try Self.with { boot, memory in
            // Across a page boundary, at both ends of memory, and two words apart from each other in one page.
            let words =
                [MiB + 0x2ff0, MiB + 0x2ff8, MiB + 0x3000, MiB, MiB + 256 * KiB - 8, MiB + 0x9000, MiB + 0x9100]
            for word in words { memory.stuckHigh[word] = 0x8000 }
            let bad = boot.testFreeMemory(passes: 2, on: &memory)
            #expect(bad == 5 * 0x1000)
            let pages = Self.badPages(boot)
            #expect(
                pages == [
                    bytes(MiB, 0x1000), bytes(MiB + 0x2000, 0x2000), bytes(MiB + 0x9000, 0x1000),
                    bytes(MiB + 255 * KiB - 3 * KiB, 0x1000),
                ])
            // In the second pass, of zeros: the first one's ones do not show them. A page is found once.
            #expect(
                memory.found == [
                    FaultyMemory.Event(bytes(MiB, 8), 0), FaultyMemory.Event(bytes(MiB + 0x2ff0, 24), 0),
                    FaultyMemory.Event(bytes(MiB + 0x9000, 8), 0),
                    FaultyMemory.Event(bytes(MiB + 256 * KiB - 8, 8), 0),
                ])
        }
    }

    @Test func whatIsBadIsNotTestedAgain() throws {
        try Self.with { boot, memory in
            memory.stuckLow[MiB + 0x4000] = .max
            _ = boot.testFreeMemory(passes: 2, on: &memory)
            #expect(
                memory.tested.map(\.range) == [
                    Self.memory, bytes(MiB, 0x4000), range(MiB + 0x5000, MiB + 256 * KiB),
                ])
        }
    }

    @Test func rangesThatDoNotBeginWithAWord() throws {
        try Self.with { boot, memory in
            boot.reserve(bytes(MiB, 0x1003), owner: .module)
            boot.reserve(range(MiB + 0x1ffd, MiB + 256 * KiB), owner: .module)
            memory.stuckHigh[MiB + 0x1008] = 1
            let bad = boot.testFreeMemory(passes: 1, on: &memory)
            #expect(memory.tested.map(\.range) == [range(MiB + 0x1008, MiB + 0x1ff8)])
            // The page's first and last bytes stay with who has them.
            #expect(bad == 0xffa)
            let reserved = boot.reservations
            #expect(
                reserved == [
                    Region(bytes(MiB, 0x1003), .module), Region(range(MiB + 0x1003, MiB + 0x1ffd), .badMemory),
                    Region(range(MiB + 0x1ffd, MiB + 256 * KiB), .module),
                ])
        }
    }

    /// The list of reservations moves into the very memory that is being tested, again and again.
    @Test func theListGrowsMeanwhile() throws {
        try Self.with(reservedCapacity: 1) { boot, memory in
            // A page has room for 170 regions: the list moves twice.
            boot.add(bytes(MiB + 256 * KiB, 2816 * KiB))
            let pages = (0..<300).map { MiB + 0x3000 + UInt($0) * 0x2000 }
            for page in pages { memory.stuckHigh[page + 0x10] = 4 }
            let bad = boot.testFreeMemory(passes: 4, on: &memory)
            let found = Self.badPages(boot)
            #expect(found == pages.map { bytes($0, 0x1000) })
            #expect(bad == 300 * 0x1000)
            let lists = boot.reservations.filter { $0.owner == .regionLists }
            #expect(lists.map(\.range.byteCount) == [0x2000])
            expect(!boot.hasLostReservation)
        }
    }

    @Test func memoryThatIsAllBad() throws {
        try Self.with { boot, memory in
            for word in 0..<(256 * KiB / 8) { memory.stuckHigh[MiB + word * 8] = 1 }
            let bad = boot.testFreeMemory(passes: 2, on: &memory)
            #expect(bad == 256 * KiB)
            let free = boot.totalFree
            #expect(free == 0)
            #expect(memory.found == [FaultyMemory.Event(Self.memory, 0)])
        }
    }

    @Test func badMemoryThatCannotBeRecordedStopsTheAllocator() throws {
        let machine = SimulatedMachine(memory: 2 * MiB)
        try withBootAllocator(reservedCapacity: 1) { boot in
            boot.add(Self.memory)
            var memory = FaultyMemory(machine)
            memory.stuckHigh[MiB + 0x4000] = 1
            memory.stuckHigh[MiB + 0x8000] = 1
            _ = boot.testFreeMemory(passes: 2, on: &memory)
            expect(boot.hasLostReservation)
            let free = boot.totalFree
            #expect(free == 0)
        }
    }
}
