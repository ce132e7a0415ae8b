import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// Damage of every kind is found by `checkInvariants`, under the rule that it breaks.
@Suite struct InvariantTests {
    /// Sixteen frames: 0 allocated, 1 free, 2 ..< 4 free, 4 ..< 6 allocated, 6 ..< 8 and 8 ..< 16 free.
    private func makeMachine() throws -> SmallMachine {
        let small = try SmallMachine(frameCount: 16)
        #expect(small.allocate(order: 0) == 0)
        #expect(small.allocate(order: 1) == 2)
        #expect(small.allocate(order: 1) == 4)
        #expect(small.free(2, order: 1) == [])
        #expect(small.live.map(\.frame) == [0, 4])
        try small.machine.run { try $0.checkInvariants() }
        return small
    }

    /// The rule that `damage` breaks; the machine is whole again afterwards.
    private func rule(_ small: SmallMachine? = nil, _ damage: (SmallMachine) -> Void) throws -> String {
        let small = try small ?? makeMachine()
        let intact = small.save()
        damage(small)
        defer { small.restore(intact) }
        do throws(InvariantViolation) {
            try small.machine.permanent.value.checkInvariantsOnCPU0(of: small.machine)
            return "all is well"
        } catch {
            return "\(error.rule)"
        }
    }

    /// A block's bit in the tree.
    private func flip(_ small: SmallMachine, _ frame: UInt32, order: Int) {
        let node = PageBlock.node(of: frame, order: order)
        small.tree[Int(node >> 6)] ^= 1 << UInt64(node & 63)
    }

    @Test func damagedTreesAreFound() throws {
        // Frame 0 is in use; as a free one it is its buddy's.
        #expect(try rule { flip($0, 0, order: 0) } == "no two buddies are both free")
        #expect(try rule { flip($0, 12, order: 2) } == "no free block lies within another")
        #expect(try rule { flip($0, 3, order: 0) } == "no free block lies within another")
        // The only block of its order is lost, and one of two; blocks beyond the frames that there are.
        for (frame, order) in [(8, 3), (2, 1), (32, 3), (32, 5)] as [(UInt32, Int)] {
            #expect(try rule { flip($0, frame, order: order) } == "a page block counts its free blocks")
        }
        // Where the count agrees.
        #expect(
            try rule {
                flip($0, 32, order: 3)
                $0.notes().pointee.blockCounts[3] += 1
            } == "a free frame is not in use")
    }

    @Test func damagedNotesAreFound() throws {
        let words = "a page block's notes name the words that are not 0"
        #expect(try rule { $0.notes().pointee.words ^= 1 } == words)
        #expect(try rule { $0.notes().pointee.words ^= 1 << 8 } == words)
        let counts = "a page block counts its free blocks"
        #expect(try rule { $0.notes().pointee.blockCounts[3] = 0 } == counts)
        #expect(try rule { $0.notes().pointee.blockCounts[1] = 1 } == counts)
        #expect(try rule { $0.notes().pointee.blockCounts[7] = 1 } == counts)
        #expect(try rule { $0.notes(1).pointee.blockCounts[0] = 1 } == counts)
        #expect(try rule { $0.notes().pointee.blockCounts[10] = 1 } == "a free section is one block")
        #expect(
            try rule { $0.notes().pointee.mobility = .reclaimable }
                == "the index names the page blocks that have free blocks")
    }

    @Test func aDamagedIndexIsFound() throws {
        let found = "the index names the page blocks that have free blocks"
        // Of the zone's first page block, counted from the zone's.
        let block = UInt32((SmallMachine.firstFrame - 4096) >> 9)
        func index(_ small: SmallMachine, _ change: (borrowing FreeIndex) -> Void) {
            small.machine.withZone(.dma32) { change($0.buddy.index) }
        }
        #expect(try rule { index($0) { $0.remove(block, order: 3, .movable) } } == found)
        #expect(try rule { index($0) { $0.insert(block, order: 4, .movable) } } == found)
        #expect(try rule { index($0) { $0.insert(block, order: 3, .unmovable) } } == found)
        #expect(try rule { index($0) { $0.insert(block | 1, order: 3, .movable) } } == found)
    }

    /// Of an index with several levels, one that does not lead to what is below.
    @Test func aDamagedLevelOfTheIndexIsFound() {
        let blockCount: UInt = 64 * 64 * 2
        let byteCount = Int(FreeIndex.byteCount(blockCount: blockCount))
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        defer { memory.deallocate() }
        let index = FreeIndex(in: memory.baseAddress!, blockCount: blockCount)
        index.insert(5000, order: 2, .unmovable)
        func state() -> (holds: Bool, leads: Bool, first: UInt32?) {
            (
                index.contains(5000, order: 2, .unmovable), index.leads(to: 5000, order: 2, .unmovable),
                index.first(order: 2, .unmovable)
            )
        }
        #expect(state() == (true, true, 5000))
        let isElsewhere = index.contains(4999, order: 2, .unmovable) || index.contains(5000, order: 2, .movable)
        #expect(!isElsewhere)
        // Behind the line of measures every word that is not 0 is a level's.
        let words = memory[64...].bindMemory(to: UInt64.self)
        let levels = words.indices.filter { words[$0] != 0 }
        #expect(levels.count == 3)
        for level in levels {
            words[level] = 0
            let found = state()
            #expect(found.holds == (level != levels[2]) && !found.leads)
            // A search that is led astray ends.
            #expect(found.first == nil && index.first(orderAtLeast: 1, .unmovable) == nil)
            #expect(index.leadsAstray(order: 2, .unmovable) == (level != levels[0]))
            for other in levels { words[other] = 0 }
            index.insert(5000, order: 2, .unmovable)
            #expect(state() == (true, true, 5000))
        }
    }

    @Test func wrongCountsAreFound() throws {
        func counts(_ small: SmallMachine, _ change: (borrowing FreeCounts) -> Void) {
            small.machine.withZone(.dma32) { change($0.buddy.counts) }
        }
        #expect(try rule { counts($0) { $0.addBlocks(1, order: 3, .movable) } } == "free blocks are counted")
        #expect(try rule { counts($0) { $0.addBlocks(1, order: 9, .highAtomic) } } == "free blocks are counted")
        let aside = "free frames that are set aside are counted"
        #expect(try rule { counts($0) { $0.addFrames(1, .contiguous) } } == aside)
        #expect(try rule { counts($0) { $0.addFrames(1, .isolated) } } == aside)
        #expect(
            try rule { $0.machine.withZone(.dma32) { $0.promisedFrames = 14 } } == "promised frames are free")
    }

    @Test func damagedDescriptorsAreFound() throws {
        #expect(try rule { $0.descriptors[1].state = .allocatedHead } == "a free frame is not in use")
        #expect(try rule { $0.descriptors[10].state = .table } == "a free frame is not in use")
        #expect(try rule { $0.descriptors[1].state = .reserved } == "a free frame is not in use")
        #expect(try rule { $0.descriptors[0].state = .slabTail } == "a block begins where one ends")
        #expect(try rule { $0.descriptors[0].state = .free } == "a block begins where one ends")
        #expect(try rule { $0.descriptors[0].state = FrameState(rawValue: 99) } == "a block begins where one ends")
        #expect(try rule { $0.descriptors[0].order = 1 } == "a block in use has no free frame")
        #expect(try rule { $0.descriptors[5].state = .allocatedHead } == "a block's other frames say so")
        #expect(try rule { $0.descriptors[4].order = 3 } == "a block is aligned to its size")
        #expect(try rule { $0.descriptors[0].order = 60 } == "a block is aligned to its size")
        #expect(
            try rule { $0.descriptors[0].state = .reserved } == "free, used and cached frames make up the managed ones")
        // A block that nobody has and nobody knows to be free.
        #expect(
            try rule { $0.descriptors[0].state = .interior } == "frames that are neither free nor in use are cached")
        #expect(try rule { $0.descriptors[4].state = .slab } == "a block's other frames say so")
        #expect(
            try rule {
                $0.descriptors[4].state = .slab
                $0.descriptors[5].state = .slabTail
                $0.descriptors[5].owner = 1
            } == "every frame of a slab names its owner")
    }

    @Test func damagedRingsAreFound() throws {
        let small = try SmallMachine(frameCount: 16, ringDepth: 8)
        #expect(small.allocate(order: 0, flags: .kernel | .movable) == 0)
        #expect(small.cached.flatMap(\.frames).sorted() == [1, 2, 3])
        let caches = small.machine.permanent.value.caches
        let place = FrameCacheLayout.ring(zone: 1, .movable, order: 0)
        func change(_ body: @escaping (inout FrameRing) -> Void) -> (SmallMachine) -> Void {
            { small in small.machine.run { _ in body(&caches.pointer(0).pointee.rings[place]) } }
        }
        let first = UInt32(SmallMachine.firstFrame)
        let notNobodys = "a cached block is nobody's, and in its zone's ring"
        #expect(try rule(small) { _ in } == "all is well")
        #expect(try rule(small, change { $0.count = 0 }) == "frames that are neither free nor in use are cached")
        #expect(try rule(small, change { $0.count = 2 }) == "frames that are neither free nor in use are cached")
        // In use; free in the zone; below the zone; beyond all memory.
        for frame in [first, first + 8, 10, 1 << 31] {
            #expect(try rule(small, change { $0.frames[1] = frame }) == notNobodys)
        }
        // A block of two at an odd frame.
        let pair = FrameCacheLayout.ring(zone: 1, .movable, order: 1)
        #expect(
            try rule(small) { small in
                small.machine.run { _ in
                    caches.pointer(0).pointee.rings[place].count = 1
                    caches.pointer(0).pointee.rings[pair].count = 1
                    caches.pointer(0).pointee.rings[pair].frames[0] = first + 1
                }
            } == notNobodys)
    }

    @Test func watermarksThatDoNotAscendAreFound() throws {
        func marks(_ small: SmallMachine, _ change: (inout Watermarks) -> Void) {
            small.machine.withZone(.dma32) { change(&$0.watermarks) }
        }
        let rule = "the watermarks ascend"
        #expect(try self.rule { marks($0) { $0.min = 1 } } == rule)
        #expect(try self.rule { marks($0) { $0.low = 1 } } == rule)
        #expect(
            try self.rule {
                marks($0) {
                    $0.low = 1
                    $0.high = 2
                }
            } == "all is well")
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

extension PageFrameAllocator<SimulatedPlatform> {
    /// `checkInvariants` with its error's type, which rethrowing closures lose.
    fileprivate func checkInvariantsOnCPU0(of machine: FrameMachine) throws(InvariantViolation) {
        try machine.machine.run { () throws(InvariantViolation) in try checkInvariants() }
    }
}
