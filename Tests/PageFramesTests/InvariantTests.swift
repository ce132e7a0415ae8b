import MemoryPrimitives
import Testing

@testable import PageFrames

/// Damage of every kind is found by `checkInvariants`, under the rule that it breaks.
@Suite struct InvariantTests {
    /// A zone of 16 frames: 0 allocated, 1 free, 2 ..< 4 free, 4 ..< 6 allocated, 6 ..< 8 and 8 ..< 16 free.
    private func makeZone() throws -> SmallZone {
        let zone = SmallZone(frameCount: 16)
        #expect(zone.allocate(order: 0) == 0)
        #expect(zone.allocate(order: 1) == 2)
        #expect(zone.allocate(order: 1) == 4)
        #expect(zone.free(2, order: 1) == nil)
        #expect(zone.live.map(\.frame) == [0, 4])
        try zone.state.pointee.checkInvariants()
        return zone
    }

    private func rule(_ damage: (SmallZone) -> Void) throws -> String {
        let zone = try makeZone()
        let intact = zone.save()
        damage(zone)
        defer { zone.restore(intact) }
        do throws(InvariantViolation) {
            try zone.state.pointee.checkInvariants()
            return "all is well"
        } catch {
            return "\(error.rule)"
        }
    }

    @Test func damageIsFound() throws {
        #expect(try rule { $0.descriptors[1].state = .allocatedHead } == "a listed block is free")
        #expect(try rule { $0.descriptors[1].order = 1 } == "a listed block has its list's order")
        #expect(try rule { $0.descriptors[2].next = 3 } != "all is well")
        #expect(try rule { $0.descriptors[1].next = 5000 } == "a free block's frame has a descriptor")
        #expect(try rule { $0.descriptors[1].previous = 9 } == "links lead there and back")
        #expect(try rule { $0.descriptors[2].next = 2 } != "all is well")
        #expect(try rule { $0.descriptors[3].state = .freeHead } == "a block's other frames say so")
        #expect(try rule { $0.descriptors[0].state = .interior } == "a block begins where one ends")
        #expect(try rule { $0.descriptors[0].state = FrameState(rawValue: 99) } == "a block begins where one ends")
        #expect(try rule { $0.descriptors[0].order = 1 } == "a block's other frames say so")
        #expect(try rule { $0.descriptors[4].order = 3 } == "a block is aligned to its size")
        #expect(try rule { $0.descriptors[0].order = 60 } == "a block is aligned to its size")
        #expect(
            try rule { $0.descriptors[0].state = .reserved } == "free and allocated frames make up the managed ones")
        #expect(try rule { $0.descriptors[4].state = .slab } == "a block's other frames say so")
        #expect(
            try rule {
                $0.descriptors[4].state = .slab
                $0.descriptors[5].state = .slabTail
                $0.descriptors[5].owner = 1
            } == "every frame of a slab names its owner")
        #expect(try rule { $0.state.pointee.promisedFrames = 14 } == "promised frames are free")
    }

    @Test func aBlockOutsideTheListsIsFound() throws {
        #expect(
            try rule { zone in
                // Its buddy is allocated, so that only the lists can tell.
                while zone.allocate(order: 1) != nil {}
                zone.descriptors[4] = FrameDescriptor(freeBlockOfOrder: 1, next: FrameDescriptor.none)
            } == "every free block is in a list")
    }

    @Test func buddiesThatDidNotMergeAreFound() throws {
        let zone = try makeZone()
        // Frame 0 is put into the lists while its buddy, frame 1, looks like a block of another order.
        zone.descriptors[1].order = 5
        zone.state.pointee.buddy.put(0, order: 0)
        zone.descriptors[1].order = 0
        let error = #expect(throws: InvariantViolation.self) { try zone.state.pointee.checkInvariants() }
        #expect(error.map { "\($0.rule)" } == "no two buddies are both free")
    }

    @Test func promisesThatDoNotAddUpAreFound() throws {
        let machine = try FrameMachine(mebibytes: 16)
        #expect(machine.promise(3))
        machine.permanent.value.outstandingPromises.store(2, ordering: .relaxed)
        let error = #expect(throws: InvariantViolation.self) { try machine.run { try $0.checkInvariants() } }
        #expect(error.map { "\($0.rule)" } == "the zones' promises are those outstanding")
        machine.permanent.value.outstandingPromises.store(3, ordering: .relaxed)
        try machine.run { try $0.checkInvariants() }
    }
}
