import BootMemory
import MemoryPrimitives
import Testing

private let base: UInt = 0x100000
private let byteCount: UInt = 0x8000
private let line: UInt = 64

/// Limits that are wishes and nodes that are preferred: the cases of Linux's simulator tests of `memblock_alloc_from`,
/// `memblock_alloc_try_nid` and `memblock_alloc_exact_nid_raw`, each in both directions.
@Suite struct PlacementTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var reserved: [PhysicalRange] = []
        var size: UInt
        var from: UInt = 0
        var below: UInt = byteCount
        var node: UInt8?
        var topDown: UInt?
        var bottomUp: UInt?
        var testDescription: String { name }
    }

    /// Checks one case; all its addresses are offsets from `base`.
    static func check(
        _ test: Case, _ options: PlacementOptions, _ direction: BootAllocator.Direction,
        _ boot: inout BootAllocator
    ) throws {
        boot.direction = direction
        for range in test.reserved {
            boot.reserve(bytes(base + range.start.rawValue, range.byteCount), owner: .zones)
        }
        let before = boot.totalReserved
        let found = boot.allocate(
            byteCount: test.size, alignment: line, from: PhysicalAddress(base + test.from),
            below: PhysicalAddress(base + test.below), node: test.node.map { MemoryNode(rawValue: $0) },
            options: options, owner: .zones)
        let expected = direction == .topDown ? test.topDown : test.bottomUp
        #expect(found.map { $0.rawValue - base } == expected)
        let grown = boot.totalReserved - before
        #expect(grown == (expected == nil ? 0 : test.size))
        try boot.checkInvariants()
    }

    // MARK: Limits

    /// `alloc_nid_*` and `alloc_from_*` without a node.
    static let limits: [Case] = [
        Case(name: "simple", size: 128, from: 128, below: 640, topDown: 512, bottomUp: 128),
        Case(name: "end misaligned", size: 128, from: 128, below: 642, topDown: 512, bottomUp: 128),
        Case(name: "start misaligned", size: 128, from: 130, below: 640, topDown: 512, bottomUp: 192),
        Case(name: "exact address", size: 1024, from: 64, below: 1088, topDown: 64, bottomUp: 64),
        Case(name: "narrow range drops the lower limit", size: 256, from: 512, below: 576, topDown: 320, bottomUp: 0),
        Case(name: "low maximum", size: 1024, from: 0, below: 64, topDown: nil, bottomUp: nil),
        Case(
            name: "minimum reserved", reserved: [bytes(0x8000 - 192, 128)], size: 64, from: 0x8000 - 64,
            topDown: 0x8000 - 64, bottomUp: 0x8000 - 64),
        Case(
            name: "maximum reserved", reserved: [bytes(0x8000 - 64, 64)], size: 128, from: 0x8000 - 192,
            below: 0x8000 - 64, topDown: 0x8000 - 192, bottomUp: 0x8000 - 192),
        Case(
            name: "reserved with space", reserved: [bytes(0x7f80, 64), bytes(0x7e80, 128)], size: 64, from: 0x7f00,
            below: 0x7f80, topDown: 0x7f40, bottomUp: 0x7f00),
        Case(
            name: "reserved full merge", reserved: [bytes(0x7f80, 64), bytes(0x7ec0, 128)], size: 64, from: 0x7f40,
            below: 0x7f80, topDown: 0x7f40, bottomUp: 0x7f40),
        Case(
            name: "reserved no space", reserved: [bytes(0x7f80, 64), bytes(0x7ec0, 128)], size: 256, from: 0x7f40,
            below: 0x7f80, topDown: 0x7dc0, bottomUp: 0),
        Case(
            name: "all reserved", reserved: [bytes(0, 0x7000), bytes(0x7100, 0xf00)], size: 512, from: 0x7000,
            below: 0x7100, topDown: nil, bottomUp: nil),
        Case(name: "capped maximum", size: 1024, from: 0x4000, below: 0x10000, topDown: 0x7c00, bottomUp: 0x4000),
        Case(name: "minimum before memory", size: 1024, from: 0, below: 0x8000, topDown: 0x7c00, bottomUp: 0),
        Case(name: "high address", size: 128, from: 0x8000 - 64, topDown: 0x7f80, bottomUp: 0),
        Case(
            name: "no space above", reserved: [bytes(0x7f00, 0x100)], size: 64, from: 0x7f00, topDown: 0x7ec0,
            bottomUp: 0),
    ]

    @Test(arguments: limits, BootAllocator.Direction.allCases)
    func limitsThatAreWishes(_ test: Case, direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            boot.add(bytes(base, byteCount))
            try Self.check(test, .mayLieBelowLowerLimit, direction, &boot)
        }
    }

    /// The lower limit as `memblock_phys_alloc_range` takes it: nothing below it.
    @Test(arguments: limits, BootAllocator.Direction.allCases)
    func limitsThatHold(_ test: Case, direction: BootAllocator.Direction) throws {
        var test = test
        if let found = test.topDown, found < test.from { test.topDown = nil }
        if let found = test.bottomUp, found < test.from { test.bottomUp = nil }
        try withBootAllocator { boot in
            boot.add(bytes(base, byteCount))
            try Self.check(test, .none, direction, &boot)
        }
    }

    // MARK: Nodes

    /// The eight nodes of Linux's tests: their sizes in sixteenths of memory, one behind the other.
    static let nodeSizes: [UInt] = [4, 1, 2, 2, 1, 1, 4, 1]
    static let unit = byteCount / 16

    static func start(_ node: Int) -> UInt { nodeSizes[..<node].reduce(0, +) * unit }
    static func end(_ node: Int) -> UInt { start(node + 1) }

    static func addNodes(to boot: inout BootAllocator) {
        for node in nodeSizes.indices {
            boot.add(bytes(base + start(node), nodeSizes[node] * unit), node: MemoryNode(rawValue: UInt8(node)))
        }
    }

    /// `alloc_nid_numa_*`: what the node does not have, another has.
    static let nodes: [Case] = [
        Case(name: "simple", size: unit / 2, node: 3, topDown: end(3) - unit / 2, bottomUp: start(3)),
        Case(name: "small node", size: 2 * unit, node: 1, topDown: end(6) - 2 * unit, bottomUp: start(0)),
        Case(
            name: "node reserved", reserved: [bytes(start(2), 2 * unit)], size: 2 * unit, node: 2,
            topDown: end(6) - 2 * unit, bottomUp: start(0)),
        Case(
            name: "part reserved", reserved: [bytes(start(4), unit / 2)], size: unit / 8, node: 4,
            topDown: end(4) - unit / 8, bottomUp: start(4) + unit / 2),
        Case(
            name: "part reserved fallback", reserved: [bytes(start(4) + unit / 4, unit / 2)], size: unit / 2, node: 4,
            topDown: end(7) - unit / 2, bottomUp: start(0)),
        Case(
            name: "split range low", size: 512, from: end(2) - 256, below: end(2) + 256, node: 2,
            topDown: end(2) - 512, bottomUp: start(2)),
        Case(
            name: "split range high", size: 512, from: end(2) - 256, below: end(2) + 256, node: 3,
            topDown: end(2) - 512, bottomUp: start(0)),
        Case(
            name: "no overlap split", size: 512, from: start(6) - 256, below: start(6) + 256, node: 2,
            topDown: end(2) - 512, bottomUp: start(2)),
        Case(
            name: "no overlap low", size: 64, from: start(2), below: end(5), node: 0, topDown: end(5) - 64,
            bottomUp: start(2)),
        Case(
            name: "no overlap high", size: 64, from: start(2), below: end(5), node: 7, topDown: end(5) - 64,
            bottomUp: start(2)),
        Case(name: "large region", size: byteCount / 2, node: 3, topDown: nil, bottomUp: nil),
        Case(
            name: "reserved full merge", reserved: [bytes(start(7), 128), bytes(start(7) - 192, 128)], size: 64,
            from: start(7) - 64, below: start(7), node: 6, topDown: start(7) - 64, bottomUp: start(7) - 64),
        Case(
            name: "split all reserved", reserved: [bytes(0, start(7) - 128), bytes(start(7), unit)], size: 256,
            from: start(7) - 128, below: start(7), node: 6, topDown: nil, bottomUp: nil),
        Case(name: "no such node", size: 64, node: 9, topDown: byteCount - 64, bottomUp: 0),
        Case(name: "any node", size: 3 * unit, topDown: end(6) - 3 * unit, bottomUp: 0),
    ]

    @Test(arguments: nodes, BootAllocator.Direction.allCases)
    func nodesThatArePreferred(_ test: Case, direction: BootAllocator.Direction) throws {
        try withBootAllocator { boot in
            Self.addNodes(to: &boot)
            try Self.check(test, .mayLieBelowLowerLimit, direction, &boot)
        }
    }

    /// `alloc_exact_nid_numa_*`: what the node does not have is not to be had.
    @Test(arguments: nodes, BootAllocator.Direction.allCases)
    func nodesThatAreMeantExactly(_ test: Case, direction: BootAllocator.Direction) throws {
        guard let node = test.node else { return }
        var test = test
        if node > 7 {
            (test.topDown, test.bottomUp) = (nil, nil)
        } else if test.name == "no overlap low" {
            // The node lies below the lower limit, which is dropped before the node is.
            (test.topDown, test.bottomUp) = (Self.end(0) - 64, Self.start(0))
        } else {
            let own = Self.start(Int(node))..<Self.end(Int(node))
            if let found = test.topDown, !own.contains(found) { test.topDown = nil }
            if let found = test.bottomUp, !own.contains(found) { test.bottomUp = nil }
        }
        try withBootAllocator { boot in
            Self.addNodes(to: &boot)
            try Self.check(test, .exactNode | .mayLieBelowLowerLimit, direction, &boot)
        }
    }

    @Test func memoryOfTwoNodesStaysApart() throws {
        try withBootAllocator { boot in
            Self.addNodes(to: &boot)
            let count = boot.memoryRangeCount
            #expect(count == 8)
            let found = (0..<8).map { boot.node(of: PhysicalAddress(base + Self.start($0))) }
            #expect(found == (0..<8).map { MemoryNode(rawValue: $0) })
            let outside = boot.node(of: PhysicalAddress(base + byteCount))
            #expect(outside == nil)
            // What a node has already stays its own.
            boot.add(bytes(base - 0x1000, byteCount + 0x1000), node: MemoryNode(rawValue: 1))
            let (last, first) = (boot.node(of: PhysicalAddress(base)), boot.node(of: PhysicalAddress(base - 1)))
            #expect(last == .zero)
            #expect(first == MemoryNode(rawValue: 1))
        }
    }

    @Test func aCallMayChooseAnotherDirection() throws {
        try withBootAllocator { boot in
            boot.add(bytes(base, byteCount))
            boot.direction = .bottomUp
            let low = boot.allocate(byteCount: 64, alignment: line, owner: .zones)
            let high = boot.allocate(byteCount: 64, alignment: line, direction: .topDown, owner: .zones)
            #expect(low == PhysicalAddress(base))
            #expect(high == PhysicalAddress(base + byteCount - 64))
        }
    }
}
