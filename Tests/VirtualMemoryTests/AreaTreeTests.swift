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
        var tree = AreaTree()
        var model = Model()
        defer { while let node = tree.first { tree.remove(node); node.memory.deallocate() } }

        for step in 0..<2500 {
            // Grows in the first half, shrinks in the second.
            let grows = Int.random(in: 0..<10, using: &random) < (step < 1250 ? 7 : 3)
            if grows {
                let pages = UInt.random(in: 1...12, using: &random)
                let start = Self.space.start + UInt.random(in: 0..<4096 - pages, using: &random) * 4096
                let range = VirtualRange(start, start + pages * 4096)
                if model.overlaps(range) { continue }
                tree.insert(Self.makeNode(range))
                let index = model.ranges.firstIndex { $0.start > start } ?? model.ranges.endIndex
                model.ranges.insert(range, at: index)
            } else if let index = model.ranges.indices.randomElement(using: &random) {
                let range = model.ranges.remove(at: index)
                let inside = range.start + UInt.random(in: 0..<range.byteCount, using: &random)
                let node = try #require(tree.find(containing: inside))
                #expect(node.start == range.start)
                tree.remove(node)
                node.memory.deallocate()
            }
            try tree.checkInvariants(in: Self.space)
            try compare(tree, model, &random)
        }
        #expect(tree.count == model.ranges.count)
    }

    func compare(_ tree: AreaTree, _ model: Model, _ random: inout SeededGenerator) throws {
        let size = UInt.random(in: 1...64, using: &random) * 4096
        #expect(
            tree.lowestGap(of: size, in: Self.space) == model.gaps.first { $0.byteCount >= size }?.start,
            "the lowest gap of \(size) bytes")

        // Gaps between areas, without the outer two.
        if let first = model.ranges.first, let last = model.ranges.last {
            let inner = model.gaps.filter { $0.start >= first.start && $0.end <= last.end }
            #expect(tree.root?.node.largestGap == inner.map(\.byteCount).max() ?? 0)
        }

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
        var tree = AreaTree()
        defer { while let node = tree.first { tree.remove(node); node.memory.deallocate() } }
        for index in 0..<1024 {
            let page = UInt(descending ? 1023 - index : index)
            let start = Self.space.start + page * 8192
            tree.insert(Self.makeNode(VirtualRange(start, start + 4096)))
        }
        try tree.checkInvariants(in: Self.space)
        let height = try #require(tree.root).node.height
        #expect(height <= 11)  // 1023 areas fill ten levels.
        // Every second area out: one large step of removals without insertions.
        for index in stride(from: 0, to: 1024, by: 2) {
            let node = try #require(tree.find(containing: Self.space.start + UInt(index) * 8192))
            tree.remove(node)
            node.memory.deallocate()
            try tree.checkInvariants(in: Self.space)
        }
        #expect(tree.count == 512)
    }

    @Test func theCheckerSeesDamage() throws {
        var tree = AreaTree()
        defer { while let node = tree.first { tree.remove(node); node.memory.deallocate() } }
        for index in 0..<64 {
            let start = Self.space.start + UInt(index) * 16384
            tree.insert(Self.makeNode(VirtualRange(start, start + 4096)))
        }
        try tree.checkInvariants(in: Self.space)
        let root = try #require(tree.root)

        let gap = root.node.largestGap
        root.node.largestGap = gap + 4096
        #expect(throws: InvariantViolation.self) { try tree.checkInvariants(in: Self.space) }
        root.node.largestGap = gap

        let height = root.node.height
        root.node.height += 1
        #expect(throws: InvariantViolation.self) { try tree.checkInvariants(in: Self.space) }
        root.node.height = height

        let end = root.node.subtreeEnd
        root.node.subtreeEnd = end + 4096
        #expect(throws: InvariantViolation.self) { try tree.checkInvariants(in: Self.space) }
        root.node.subtreeEnd = end

        let child = try #require(root.node.left)
        child.node.parent = child
        #expect(throws: InvariantViolation.self) { try tree.checkInvariants(in: Self.space) }
        child.node.parent = root
        try tree.checkInvariants(in: Self.space)

        let small = VirtualRange(Self.space.start, Self.space.start + 4096)
        #expect(throws: InvariantViolation.self) { try tree.checkInvariants(in: small) }
    }
}
