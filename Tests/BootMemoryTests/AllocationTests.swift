import BootMemory
import MemoryPrimitives
import Testing

private let base: UInt = 0x100000
private let memory = bytes(base, 0x8000)

/// Where allocations go: the cases of Linux's memblock simulator tests, each in both directions.
@Suite struct AllocationTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var reserved: [PhysicalRange]
        var byteCount: UInt
        var alignment: UInt = 64
        var from: UInt = 0
        var below: UInt = 1 << 52
        var topDown: UInt?
        var bottomUp: UInt?
        var testDescription: String { name }

        init(
            _ name: String, _ reserved: [PhysicalRange] = [], _ byteCount: UInt, alignment: UInt = 64, from: UInt = 0,
            below: UInt = 1 << 52, topDown: UInt?, bottomUp: UInt?
        ) {
            self.name = name
            self.reserved = reserved
            self.byteCount = byteCount
            self.alignment = alignment
            self.from = from
            self.below = below
            self.topDown = topDown
            self.bottomUp = bottomUp
        }
    }

    // Memory is base ..< base + 0x8000; results are offsets from base.
    static let cases: [Case] = [
        Case("simple", [], 2, topDown: 0x7fc0, bottomUp: 0),
        Case("disjoint", [bytes(base + 0x4000, 2)], 2, topDown: 0x7fc0, bottomUp: 0),
        Case("before", [range(base + 0x1000, base + 0x8000)], 0x1000, topDown: 0, bottomUp: 0),
        Case("after", [range(base, base + 0x7000)], 0x1000, topDown: 0x7000, bottomUp: 0x7000),
        Case(
            "second fit", [range(base + 0x800, base + 0x2000), range(base + 0x6000, base + 0x7800)], 0x1000,
            topDown: 0x5000, bottomUp: 0x2000),
        Case(
            "in between", [range(base, base + 0x3000), range(base + 0x4000, base + 0x8000)], 0x1000, topDown: 0x3000,
            bottomUp: 0x3000),
        Case(
            "small gaps", (0..<8).map { bytes(base + $0 * 0x1000 + 0x800, 0x800) }, 0x801, topDown: nil, bottomUp: nil),
        Case("all reserved", [memory], 64, topDown: nil, bottomUp: nil),
        Case("no space", [range(base, base + 0x7f00)], 0x200, topDown: nil, bottomUp: nil),
        Case(
            "exactly fits", [range(base, base + 0x7000)], 0x1000, alignment: 0x1000, topDown: 0x7000, bottomUp: 0x7000),
        Case("all of it", [], 0x8000, topDown: 0, bottomUp: 0),
        Case("one byte too much", [], 0x8001, topDown: nil, bottomUp: nil),
        Case("more than there are addresses", [], .max, topDown: nil, bottomUp: nil),
        Case(
            "aligned away", [bytes(base, 1), bytes(base + 0x7fff, 1)], 0x1000, alignment: 0x4000, topDown: 0x4000,
            bottomUp: 0x4000),
        Case("alignment beyond memory", [], 64, alignment: 1 << 40, topDown: nil, bottomUp: nil),
        Case("largest alignment", [], 64, alignment: 1 << 63, topDown: nil, bottomUp: nil),
        Case("no bytes", [], 0, topDown: nil, bottomUp: nil),
        Case("no alignment", [], 64, alignment: 0, topDown: nil, bottomUp: nil),
        Case("not a power of two", [], 64, alignment: 96, topDown: nil, bottomUp: nil),
        Case(
            "between limits", [], 0x1000, from: base + 0x2000, below: base + 0x6000, topDown: 0x5000, bottomUp: 0x2000),
        Case(
            "just between limits", [], 0x1000, from: base + 0x2000, below: base + 0x3000, topDown: 0x2000,
            bottomUp: 0x2000),
        Case("limits too narrow", [], 0x1001, from: base + 0x2000, below: base + 0x3000, topDown: nil, bottomUp: nil),
        Case(
            "unaligned limits", [], 0x1000, alignment: 0x1000, from: base + 0x2001, below: base + 0x5fff,
            topDown: 0x4000, bottomUp: 0x3000),
        Case("limits below memory", [], 64, from: 0, below: base, topDown: nil, bottomUp: nil),
        Case("limits above memory", [], 64, from: base + 0x8000, topDown: nil, bottomUp: nil),
        Case("limits crossed", [], 64, from: base + 0x4000, below: base + 0x2000, topDown: nil, bottomUp: nil),
        Case("limits around", [], 0x1000, from: 0x1000, below: base + 0x10_0000, topDown: 0x7000, bottomUp: 0),
        Case(
            "reserved at the lower limit", [bytes(base + 0x2000, 0x1000)], 0x1000, from: base + 0x2000,
            below: base + 0x6000, topDown: 0x5000, bottomUp: 0x3000),
        Case(
            "reserved at the upper limit", [bytes(base + 0x5000, 0x1000)], 0x1000, from: base + 0x2000,
            below: base + 0x6000, topDown: 0x4000, bottomUp: 0x2000),
    ]

    @Test(arguments: cases, BootAllocator.Direction.allCases)
    func allocate(_ test: Case, direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.add(memory)
            boot.direction = direction
            for range in test.reserved { boot.reserve(range, owner: .module) }
            let reservedBefore = boot.totalReserved
            let found = boot.allocate(
                byteCount: test.byteCount, alignment: test.alignment, from: PhysicalAddress(test.from),
                below: PhysicalAddress(test.below), owner: .zones)
            let offset = direction == .topDown ? test.topDown : test.bottomUp
            #expect(found == offset.map { PhysicalAddress(base + $0) })
            try boot.checkInvariants()
            let grown = boot.totalReserved - reservedBefore
            #expect(grown == (found == nil ? 0 : test.byteCount))
            if let found {
                let owners = [boot.owner(of: found), boot.owner(of: found + (test.byteCount - 1))]
                #expect(owners == [.zones, .zones])
            }
        }
    }

    @Test(arguments: BootAllocator.Direction.allCases)
    func threeMergeIntoOne(direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.add(memory)
            boot.reserve(range(base, base + 0x3000), owner: .zones)
            boot.reserve(range(base + 0x4000, base + 0x8000), owner: .zones)
            let found = boot.allocate(byteCount: 0x1000, alignment: 64, direction: direction, owner: .zones)
            #expect(found == PhysicalAddress(base + 0x3000))
            let reserved = boot.reservations
            #expect(reserved == [Region(memory, .zones)])
        }
    }

    /// Where Linux merges neighbours we do not: each keeps its owner. The total is the same.
    @Test(arguments: BootAllocator.Direction.allCases)
    func threeOwnersStayThree(direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.add(memory)
            boot.direction = direction
            boot.reserve(range(base, base + 0x3000), owner: .kernelImage)
            boot.reserve(range(base + 0x4000, base + 0x8000), owner: .module)
            let found = boot.allocate(byteCount: 0x1000, alignment: 64, owner: .zones)
            #expect(found == PhysicalAddress(base + 0x3000))
            let (reserved, total) = (boot.reservations, boot.totalReserved)
            #expect(
                reserved == [
                    Region(range(base, base + 0x3000), .kernelImage),
                    Region(range(base + 0x3000, base + 0x4000), .zones),
                    Region(range(base + 0x4000, base + 0x8000), .module),
                ])
            #expect(total == memory.byteCount)
        }
    }

    @Test(arguments: BootAllocator.Direction.allCases)
    func withoutMemoryNothingIsFound(direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            let found = boot.allocate(byteCount: 64, alignment: 64, direction: direction, owner: .zones)
            #expect(found == nil)
            let state = (boot.totalReserved, boot.highestAddress, boot.lowestAddress)
            #expect(state == (0, .zero, .zero))
        }
    }

    @Test(arguments: BootAllocator.Direction.allCases)
    func theFirstPageIsNeverHandedOut(direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.add(range(0, 0x2000))
            let first = boot.allocate(byteCount: 0x1000, alignment: 64, direction: direction, owner: .zones)
            let second = boot.allocate(byteCount: 64, alignment: 64, direction: direction, owner: .zones)
            #expect(first == PhysicalAddress(0x1000))
            #expect(second == nil)
        }
    }

    @Test func allocationsSpanNoHole() throws {
        try withBootAllocator { boot in
            boot.add(range(0x10000, 0x18000))
            boot.add(range(0x19000, 0x20000))
            let found = boot.allocate(byteCount: 0x8000, alignment: 0x1000, owner: .zones)
            #expect(found == PhysicalAddress(0x10000))
            let next = boot.allocate(byteCount: 0x8000, alignment: 0x1000, owner: .zones)
            #expect(next == nil)
        }
    }

    @Test func freeRangesAreMemoryThatIsNotReserved() throws {
        try withBootAllocator { boot in
            boot.add(range(0x1000, 0x8000))
            boot.add(range(0x10000, 0x20000))
            boot.reserve(range(0, 0x2000), owner: .lowMemory)
            boot.reserve(range(0x4000, 0x5000), owner: .module)
            boot.reserve(range(0x7000, 0x11000), owner: .kernelImage)
            boot.reserve(range(0x1f000, 0x30000), owner: .firmware)
            let free = boot.freeRanges
            #expect(free == [range(0x2000, 0x4000), range(0x5000, 0x7000), range(0x11000, 0x1f000)])
            let total = boot.totalFree
            #expect(total == 0x2000 + 0x2000 + 0xe000)
        }
    }

    @Test func freedMemoryIsFoundAgain() throws {
        try withBootAllocator { boot in
            boot.add(memory)
            var taken: [PhysicalAddress] = []
            while let address = boot.allocate(byteCount: 0x800, alignment: 0x800, owner: .frameTable) {
                taken.append(address)
            }
            #expect(taken.count == 16)
            for address in taken { boot.free(bytes(address.rawValue, 0x800)) }
            try boot.checkInvariants()
            let state = (boot.totalReserved, boot.totalFree)
            #expect(state == (0, 0x8000))
        }
    }
}
