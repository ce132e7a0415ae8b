import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

/// Random operations, compared with a table of small units that says for each whether it is memory and whose it is.
@Suite struct BootAllocatorModelTests {
    struct Model {
        static let unit: UInt = 0x400
        static let count = 96
        /// The node of each unit that is memory.
        var nodes = [MemoryNode?](repeating: nil, count: count)
        var owners = [RegionOwner?](repeating: nil, count: count)

        /// Where a request must go, found by trying every place.
        func place(_ request: Request) -> UInt? {
            let fits = (0..<Model.count).filter { first in
                let start = UInt(first) * Model.unit
                let last = first + Int(request.byteCount / Model.unit)
                return start >= 0x1000 && start % request.alignment == 0 && start + request.byteCount <= request.below
                    && last <= Model.count
                    && (first..<last).allSatisfy { nodes[$0] != nil && nodes[$0] == nodes[first] && owners[$0] == nil }
            }
            // The wishes from the strongest to none: both, the limit alone, the node alone.
            let limited = fits.filter { UInt($0) * Model.unit >= request.from }
            let isOnNode = { (first: Int) in request.node == nil || nodes[first] == request.node }
            var choices = [limited.filter(isOnNode)]
            if !request.options.contains(.exactNode) { choices.append(limited) }
            if request.options.contains(.mayLieBelowLowerLimit) {
                choices.append(fits.filter(isOnNode))
                if !request.options.contains(.exactNode) { choices.append(fits) }
            }
            let chosen = choices.first { !$0.isEmpty } ?? []
            return (request.direction == .bottomUp ? chosen.first : chosen.last).map { UInt($0) * Model.unit }
        }
    }

    struct Request {
        var byteCount: UInt
        var alignment: UInt
        var from: UInt
        var below: UInt
        var node: MemoryNode?
        var options: PlacementOptions
        var direction: BootAllocator.Direction

        init(using generator: inout SeededGenerator) {
            byteCount = UInt.random(in: 1...6, using: &generator) * Model.unit
            alignment = Model.unit << UInt.random(in: 0...4, using: &generator)
            from = UInt.random(in: 0..<32, using: &generator) * Model.unit
            below = UInt.random(in: 16...96, using: &generator) * Model.unit
            // Of three nodes, the last has no memory.
            node = [nil, MemoryNode(rawValue: .random(in: 0..<3, using: &generator))].randomElement(using: &generator)!
            options = PlacementOptions(rawValue: .random(in: 0...3, using: &generator))
            direction = BootAllocator.Direction.allCases.randomElement(using: &generator)!
        }
    }

    static func compare(_ boot: borrowing BootAllocator, _ model: Model, _ note: Comment) {
        var free = [Bool](repeating: false, count: Model.count)
        boot.forEachFreeRange { range in
            for index in 0..<Model.count where range.contains(PhysicalAddress(UInt(index) * Model.unit)) {
                free[index] = true
            }
        }
        for index in 0..<Model.count {
            let address = PhysicalAddress(UInt(index) * Model.unit)
            let found = (boot.node(of: address), boot.owner(of: address), free[index])
            let expected = (
                model.nodes[index], model.owners[index], model.nodes[index] != nil && model.owners[index] == nil
            )
            if found != expected {
                Issue.record("\(note) unit \(index): found \(found), expected \(expected)")
                return
            }
        }
    }

    /// - Parameter capacity: of both lists at the start: small ones grow, into memory beyond what the model covers.
    @Test(arguments: [1, 3, 200])
    func randomOperations(capacity: Int) throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0001)
        let machine = SimulatedMachine(memory: 16 << 20)
        for round in 0..<40 {
            try withBootAllocator(memoryCapacity: capacity, reservedCapacity: capacity) { boot in
                var model = Model()
                boot.add(range(8 << 20, 12 << 20))
                boot.allowGrowth(through: machine.arena.directMap, below: PhysicalAddress(16 << 20))
                for step in 0..<150 {
                    let note: Comment = "seed \(generator.seed), round \(round), step \(step)"
                    try Self.step(&boot, &model, &generator, note)
                    Self.compare(boot, model, note)
                    expect(!boot.hasLostReservation, note)
                    do { try boot.checkInvariants() } catch {
                        Issue.record("\(note): \(error)")
                        throw error
                    }
                }
            }
        }
    }

    static func step(
        _ boot: inout BootAllocator, _ model: inout Model, _ generator: inout SeededGenerator, _ note: Comment
    ) throws {
        let unit = Model.unit
        let first = Int.random(in: 0..<Model.count, using: &generator)
        let last = min(Model.count, first + Int.random(in: 0...12, using: &generator))
        let chosen = range(UInt(first) * unit, UInt(last) * unit)
        let owner: RegionOwner = [.module, .zones, .firmware].randomElement(using: &generator)!
        switch Int.random(in: 0..<8, using: &generator) {
        case 0, 1:
            let node = MemoryNode(rawValue: .random(in: 0..<2, using: &generator))
            expect(boot.add(chosen, node: node), note)
            for index in first..<last where model.nodes[index] == nil { model.nodes[index] = node }
        case 2:
            expect(boot.remove(chosen), note)
            for index in first..<last { model.nodes[index] = nil }
        case 3:
            expect(boot.reserve(chosen, owner: owner), note)
            for index in first..<last where model.owners[index] == nil { model.owners[index] = owner }
        case 4, 5:
            expect(boot.free(chosen), note)
            for index in first..<last { model.owners[index] = nil }
        default:
            let request = Request(using: &generator)
            let expected = model.place(request)
            let found = boot.allocate(
                byteCount: request.byteCount, alignment: request.alignment, from: PhysicalAddress(request.from),
                below: PhysicalAddress(request.below), node: request.node, options: request.options,
                direction: request.direction, owner: owner)
            #expect(found?.rawValue == expected, note)
            if let expected {
                for index in Int(expected / unit)..<Int((expected + request.byteCount) / unit) {
                    model.owners[index] = owner
                }
            }
        }
    }
}
