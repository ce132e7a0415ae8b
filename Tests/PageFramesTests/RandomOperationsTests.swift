import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// Long random sequences of calls on a machine with all three zones, holes and reserved frames.
@Suite struct RandomOperationsTests {
    private static let fourGiB: UInt = 1 << 20

    /// The model has the zone Normal right behind the section in which the others end.
    private static func folded(_ frame: UInt) -> UInt { frame < fourGiB ? frame : frame - fourGiB + 5120 }
    private static func unfolded(_ frame: UInt) -> UInt { frame < 5120 ? frame : frame + fourGiB - 5120 }

    private static let spans: [Range<Int>] = [0..<4096, 4096..<5120, 5120..<8192]

    private func makeMachine(_ options: PageFrameOptions) throws -> FrameMachine {
        let fourGiB = Self.fourGiB
        return try FrameMachine(
            memory: [3080..<4800, fourGiB..<fourGiB + 1500, fourGiB + 1700..<fourGiB + 2100],
            reserved: [3333..<3334, 4000..<4097], options: options)
    }

    private struct Block {
        var frame: PageFrameNumber
        var order: Int
        /// What it was asked for with.
        var flags = AllocationFlags.none
    }

    private func randomFlags(_ generator: inout SeededGenerator) -> AllocationFlags {
        let kind: AllocationFlags = [.kernel, .kernel, .atomic, .noWait].randomElement(using: &generator)!
        let place: AllocationFlags = [.none, .none, .dma32, .dma].randomElement(using: &generator)!
        let use: AllocationFlags = [.none, .none, .movable, .reclaimable].randomElement(using: &generator)!
        return kind | place | use | .noWarn
    }

    /// Without caches each block is just where the policy puts it, in the zone that the watermarks choose.
    @Test(arguments: [PageFrameOptions.exact, .reserved])
    func everyBlockIsWhereThePolicyPutsIt(options: PageFrameOptions) throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0002)
        let machine = try makeMachine(options)
        let free = machine.handedOver.map { Self.folded($0.lowerBound)..<Self.folded($0.upperBound) }
        var models = Self.spans.map { PlacementModel(frameCount: 8192, free: free, span: $0) }
        let marks = ZoneKind.allCases.map { machine.withZone($0) { $0.watermarks } }
        #expect((marks[2].min > 0) == (options.minimumFreeKiB == nil))

        func isAbove(_ mark: Watermarks.Mark, _ zone: Int, _ order: Int, _ flags: AllocationFlags) -> Bool {
            marks[zone].isAbove(
                mark, free: UInt(models[zone].freeFrames), order: order, highestZone: flags.highestZone, flags: flags)
        }
        var heldCount = 0
        func expected(_ order: Int, _ flags: AllocationFlags) -> Int? {
            let preferred = flags.highestZone.rawValue
            if models[preferred].isHeld(order: order, flags.mobility), isAbove(.low, preferred, order, flags) {
                heldCount += 1
                return models[preferred].takeHeld()
            }
            for mark: Watermarks.Mark in [.low, .min] {
                for zone in (0...preferred).reversed() {
                    models[zone].settle()
                    guard isAbove(mark, zone, order, flags) else { continue }
                    if let frame = models[zone].take(order: order, flags.mobility) { return frame }
                }
                // Whoever may wait looks for what is missing in each zone, and at last all look through the caches.
                if mark == .min || flags.mayWait { for zone in models.indices { models[zone].settle() } }
            }
            return nil
        }
        var live: [Block] = []
        /// The block freed just now, where the next request is to be for such a one.
        var again: Block?
        for step in 0..<2000 {
            // Phases that mostly fill and phases that mostly empty.
            let fills = UInt.random(in: 0..<10, using: &generator) < (step / 300 % 2 == 0 ? 7 : 3)
            if fills || live.isEmpty || again != nil {
                let random = min(Int.random(in: 0...10, using: &generator), Int.random(in: 0...10, using: &generator))
                let order = again?.order ?? random
                let flags = again?.flags ?? randomFlags(&generator)
                again = nil
                let place = expected(order, flags).map { PageFrameNumber(Self.unfolded(UInt($0))) }
                let found = machine.allocate(order: order, flags: flags)
                try #require(found == place, "step \(step), order \(order)")
                if let found { live.append(Block(frame: found, order: order, flags: flags)) }
            } else {
                let block = takeRandom(&live, &generator)
                if UInt.random(in: 0..<4, using: &generator) == 0 { again = block }
                machine.run { $0.free(block.frame, order: block.order) }
                let zone = ZoneKind(of: block.frame).rawValue
                models[zone].put(Int(Self.folded(block.frame.rawValue)), order: block.order)
            }
            for kind in ZoneKind.allCases {
                let held = machine.held(kind).map { (Int(Self.folded($0.frame)), $0.order) }
                let expected = models[kind.rawValue].held.map { ($0.frame, $0.order) }
                #expect(held?.0 == expected?.0 && held?.1 == expected?.1, "step \(step)")
            }
            if step % 16 != 0 { continue }
            for kind in ZoneKind.allCases {
                let zone = machine.statistics(kind)
                models[kind.rawValue].settle()
                #expect((0...10).map { zone.freeBlocks[$0] } == models[kind.rawValue].freeBlocks, "step \(step)")
            }
            try machine.run { try $0.checkInvariants() }
        }
        #expect(machine.takeKinds().isEmpty)
        #expect(heldCount > 20)
    }

    /// With all options: no frame has two owners, blocks are aligned, within their zone and the reserves, and all that
    /// was there in the beginning is there in the end.
    @Test(arguments: PageFrameOptions.combinations)
    func nothingIsHandedOutTwiceOrLost(options: PageFrameOptions) throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0007)
        let machine = try makeMachine(options)
        let before = machine.snapshot()
        var unused = ReferenceModel(
            frameCount: 8192, free: machine.handedOver.map { Self.folded($0.lowerBound)..<Self.folded($0.upperBound) })
        var live: [Block] = []
        for step in 0..<3000 {
            switch UInt.random(in: 0..<20, using: &generator) {
            case 0: machine.run { $0.drainFrameCaches() }
            case 1 where options.frameCaches: machine.run { $0.setFrameCaches(enabled: step % 3 != 0) }
            case 2..<(step / 400 % 2 == 0 ? 14 : 8):
                let order = min(Int.random(in: 0...10, using: &generator), Int.random(in: 0...6, using: &generator))
                let flags = randomFlags(&generator)
                guard let found = machine.allocate(order: order, flags: flags) else {
                    #expect(order > 0 || unused.freeFrames < 4200)
                    continue
                }
                #expect(found.rawValue % (1 << UInt(order)) == 0)
                #expect(ZoneKind(of: found).rawValue <= flags.highestZone.rawValue)
                let isUnused = unused.isFree(Int(Self.folded(found.rawValue)), order: order)
                try #require(isUnused, "step \(step)")
                unused.set(Self.folded(found.rawValue), order: order, free: false)
                live.append(Block(frame: found, order: order))
            default:
                if live.isEmpty { break }
                let block = takeRandom(&live, &generator)
                machine.run { $0.free(block.frame, order: block.order) }
                unused.set(Self.folded(block.frame.rawValue), order: block.order, free: true)
            }
            #expect(machine.run { $0.freeFrames } == UInt(unused.freeFrames))
            if step % 16 == 0 { try machine.run { try $0.checkInvariants() } }
        }
        machine.run { frames in for block in live { frames.free(block.frame, order: block.order) } }
        #expect(machine.snapshot() == before)
        try machine.run { try $0.checkInvariants() }
        #expect(machine.takeKinds().isEmpty)
    }

    private func takeRandom(_ live: inout [Block], _ generator: inout SeededGenerator) -> Block {
        let index = Int.random(in: 0..<live.count, using: &generator)
        live.swapAt(index, live.count - 1)
        return live.removeLast()
    }
}
