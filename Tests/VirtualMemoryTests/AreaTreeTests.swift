import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// The tree alone, against a sorted array.
@Suite struct AreaTreeTests {
    static let space = VirtualRange(
        VirtualAddress(0xffff_c900_0000_0000), VirtualAddress(0xffff_c900_0000_0000 + (1 << 24)))

    /// The plain model: ranges in address order.
    struct Model {
        var ranges: [VirtualRange] = []

        func overlaps(_ range: VirtualRange) -> Bool { ranges.contains { $0.overlaps(range) } }

        /// Free runs in address order, empty ones left out.
        var gaps: [VirtualRange] {
            var lowestFree = AreaTreeTests.space.start
            var result: [VirtualRange] = []
            for range in ranges {
                if lowestFree < range.start { result.append(VirtualRange(lowestFree, range.start)) }
                lowestFree = range.end
            }
            if lowestFree < AreaTreeTests.space.end {
                result.append(VirtualRange(lowestFree, AreaTreeTests.space.end))
            }
            return result
        }

        func distance(_ range: VirtualRange, _ address: VirtualAddress) -> UInt {
            if address < range.start { return range.start.rawValue - address.rawValue }
            return address < range.end ? 0 : address.rawValue - range.end.rawValue
        }
    }

    /// A tree without areas, on the heap; what it holds in the end is given back with it.
    final class Tree {
        var areas: AreaTree
        private let head: AreaReference

        init() {
            head = makeNode(VirtualRange(AreaTreeTests.space.start, AreaTreeTests.space.start))
            areas = AreaTree(space: AreaTreeTests.space, head: head)
        }

        deinit {
            while let node = areas.first { remove(node) }
            head.memory.deallocate()
        }

        func insert(_ range: VirtualRange) throws {
            let below = try #require(areas.tree.last(upTo: range.start.rawValue))
            areas.insert(makeNode(range), after: below)
        }

        func remove(_ node: AreaReference) {
            areas.remove(node)
            node.memory.deallocate()
        }

        func check(_ space: VirtualRange = AreaTreeTests.space) throws { try areas.checkInvariants(in: space) }
    }

    static func makeNode(_ range: VirtualRange) -> AreaReference {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<AreaNode>.size, alignment: 16)
        return AreaReference(
            Area(
                kind: .vmalloc, state: .live, isOnDemand: false, guardPagesBelow: 0, guardPagesAbove: 1, range: range,
                name: "test", caller: 0, presentPages: 0), in: memory)
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func agreesWithASortedArray(seed: UInt64) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        let tree = Tree()
        var model = Model()

        for step in 0..<2500 {
            // Grows in the first half, shrinks in the second.
            let grows = Int.random(in: 0..<10, using: &random) < (step < 1250 ? 7 : 3)
            if grows {
                let pages = UInt.random(in: 1...12, using: &random)
                let start = Self.space.start + UInt.random(in: 0..<4096 - pages, using: &random) * 4096
                let range = VirtualRange(start, start + pages * 4096)
                if model.overlaps(range) { continue }
                try tree.insert(range)
                let index = model.ranges.firstIndex { $0.start > start } ?? model.ranges.endIndex
                model.ranges.insert(range, at: index)
            } else if let index = model.ranges.indices.randomElement(using: &random) {
                let range = model.ranges.remove(at: index)
                let inside = range.start + UInt.random(in: 0..<range.byteCount, using: &random)
                let node = try #require(tree.areas.find(containing: inside))
                #expect(node.start == range.start)
                tree.remove(node)
            }
            try tree.check()
            try compare(tree.areas, model, &random)
        }
        #expect(tree.areas.count == model.ranges.count)
    }

    func compare(_ tree: AreaTree, _ model: Model, _ random: inout SeededGenerator) throws {
        let size = UInt.random(in: 1...64, using: &random) * 4096
        let gaps = model.gaps
        #expect(
            tree.areaBeforeGap(of: size, from: Self.space.start)?.end == gaps.first { $0.byteCount >= size }?.start,
            "the lowest gap of \(size) bytes")
        #expect(tree.tree.root?.node.largestGap == gaps.map(\.byteCount).max() ?? 0)

        // From an address in the middle on, which may lie in a gap or in an area.
        let lowest = Self.space.start + UInt.random(in: 0..<4096, using: &random) * 4096
        let best = gaps.first { $0.end > lowest && $0.end.rawValue - max($0.start, lowest).rawValue >= size }
        #expect(tree.areaBeforeGap(of: size, from: lowest)?.end == best?.start, "the lowest gap above \(lowest)")

        let address = Self.space.start + UInt.random(in: 0..<Self.space.byteCount, using: &random)
        let holder = model.ranges.first { $0.contains(address) }
        #expect(tree.find(containing: address)?.start == holder?.start)

        let shortest = model.ranges.map { model.distance($0, address) }.min()
        let nearest = tree.nearest(to: address)
        #expect((nearest == nil) == model.ranges.isEmpty)
        if let nearest { #expect(model.distance(nearest.node.area.range, address) == shortest) }
    }

    @Test(arguments: [false, true])
    func staysLowWhenAreasComeInOrder(descending: Bool) throws {
        let tree = Tree()
        for index in 0..<1024 {
            let page = UInt(descending ? 1023 - index : index)
            let start = Self.space.start + page * 8192
            try tree.insert(VirtualRange(start, start + 4096))
        }
        try tree.check()
        let height = try #require(tree.areas.tree.root).node.height
        #expect(height <= 11)  // 1023 nodes fill ten levels, and the head is one more.
        // Every second area out: one large step of removals without insertions.
        for index in stride(from: 0, to: 1024, by: 2) {
            let node = try #require(tree.areas.find(containing: Self.space.start + UInt(index) * 8192))
            tree.remove(node)
            try tree.check()
        }
        #expect(tree.areas.count == 512)
    }

    @Test func theCheckerSeesDamage() throws {
        let tree = Tree()
        for index in 0..<64 {
            let start = Self.space.start + UInt(index) * 16384
            try tree.insert(VirtualRange(start, start + 4096))
        }
        try tree.check()
        let root = try #require(tree.areas.tree.root)

        let gap = root.node.largestGap
        root.node.largestGap = gap + 4096
        #expect(throws: InvariantViolation.self) { try tree.check() }
        root.node.largestGap = gap

        let height = root.node.height
        root.node.height += 1
        #expect(throws: InvariantViolation.self) { try tree.check() }
        root.node.height = height

        let after = root.node.gap
        root.node.gap = after + 4096
        #expect(throws: InvariantViolation.self) { try tree.check() }
        root.node.gap = after

        let next = root.node.next
        root.node.next = root
        #expect(throws: InvariantViolation.self) { try tree.check() }
        root.node.next = next

        let child = try #require(root.node.left)
        child.node.parent = child
        #expect(throws: InvariantViolation.self) { try tree.check() }
        child.node.parent = root
        try tree.check()

        let small = VirtualRange(Self.space.start, Self.space.start + 4096)
        #expect(throws: InvariantViolation.self) { try tree.check(small) }
    }
}
