import MemoryPrimitives
import Testing

@testable import PageFrames

@Suite struct OwnerTests {
    let machine: FrameMachine

    init() throws { machine = try FrameMachine(mebibytes: 16) }

    @Test(arguments: [0, 1, 3, 10]) func everyFrameOfASlabLeadsToItsOwner(order: Int) throws {
        let before = machine.snapshot()
        let block = try #require(machine.allocate(order: order))
        let last = block + (1 << UInt(order) - 1)
        try machine.run { frames in
            frames.claim(block, order: order, as: .slab, owner: 0xffff_8880_1234_5678, tag: 77)
            for index in 0..<UInt(1) << UInt(order) {
                let owner = frames.owner(of: block + index)
                #expect(owner == 0xffff_8880_1234_5678)
            }
            #expect(frames.state(of: block) == .slab)
            #expect(frames.state(of: last) == (order == 0 ? .slab : .slabTail))
            #expect(frames.tag(of: block) == 77)
            if block.rawValue > 256 { #expect(frames.owner(of: PageFrameNumber(block.rawValue - 1)) == nil) }
            try frames.checkInvariants()

            frames.release(block, order: order, from: .slab)
            #expect(frames.state(of: block) == .allocatedHead)
            #expect(frames.owner(of: block) == 0)
            #expect(frames.tag(of: block) == 0)
            if order > 0 { #expect(frames.state(of: last) == .interior) }
            try frames.checkInvariants()
            frames.free(block, order: order)
            try frames.checkInvariants()
        }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func tagsOfLargeBlocks() throws {
        let block = try #require(machine.allocate(order: 2))
        machine.run { frames in
            frames.setTag(9, of: block)
            #expect(frames.tag(of: block) == 9)
            #expect(frames.state(of: block) == .allocatedHead)
            #expect(machine.takeKinds().isEmpty)
            frames.setTag(9, of: block + 1)
            frames.setTag(9, of: PageFrameNumber(1 << 40))
            #expect(machine.takeKinds() == [.corruption, .corruption])
            // A block that its owner has tagged is given back by its owner, who takes the tag off.
            frames.free(block, order: 2)
            #expect(machine.takeKinds() == [.wildFree])
            #expect(frames.tag(of: block) == 9)
            frames.setTag(0, of: block)
            frames.free(block, order: 2)
            #expect(machine.takeKinds().isEmpty)
            #expect(frames.tag(of: block) == nil)
            #expect(frames.owner(of: block) == nil)
        }
    }

    @Test func claimsOfWhatIsNotTheCallersAreRefused() throws {
        let block = try #require(machine.allocate(order: 2))
        let before = machine.snapshot()
        try machine.run { frames in
            frames.claim(block, order: 1, as: .slab, owner: 1)
            frames.claim(block + 1, order: 0, as: .slab, owner: 1)
            frames.claim(block + 4, order: 2, as: .slab, owner: 1)
            frames.claim(PageFrameNumber(1 << 40), order: 0, as: .table, owner: 1)
            frames.claim(block, order: 2, as: .free, owner: 1)
            frames.claim(block, order: 2, as: .allocatedHead, owner: 1)
            frames.release(block, order: 2, from: .slab)
            frames.release(block, order: 2, from: .allocatedHead)
            #expect(machine.takeKinds() == Array(repeating: .corruption, count: 8))
            frames.claim(block, order: 2, as: .slab, owner: 1)
            #expect(machine.takeKinds().isEmpty)
            frames.claim(block, order: 2, as: .slab, owner: 2)
            frames.release(block, order: 2, from: .table)
            #expect(machine.takeKinds() == [.corruption, .corruption])
            #expect(frames.owner(of: block) == 1)
            try frames.checkInvariants()
        }
        #expect(machine.snapshot() == before)
    }

    /// Somebody who does not know what the block is has a reference for a moment, or for longer than the slab lives.
    @Test(arguments: [0, 3], [FrameState.slab, .table]) func referencesOfOthersOutliveAClaim(
        order: Int, state: FrameState
    ) throws {
        let before = machine.snapshot()
        try machine.run { frames in
            let found = frames.allocate(order: order)
            let block = try #require(found)
            for isDroppedEarly in [true, false] {
                let isReferenced = frames.tryGetPage(block)
                #expect(isReferenced)
                frames.claim(block, order: order, as: state, owner: 1, tag: 7)
                #expect(frames.state(of: block) == state && frames.owner(of: block) == 1)
                let isReferencedAgain = frames.tryGetPage(block)
                #expect(!isReferencedAgain, "a claimed block takes no reference")
                #expect(frames.referenceCount(of: block) == 0)
                if isDroppedEarly { frames.putPage(block) }
                #expect(frames.tag(of: block) == 7)
                #expect(machine.takeKinds().isEmpty)
                if isDroppedEarly {
                    frames.putPage(block)
                    #expect(machine.takeKinds() == [.wildFree], "nobody has that reference")
                }
                frames.release(block, order: order, from: state)
                #expect(frames.referenceCount(of: block) == (isDroppedEarly ? 1 : 2))
                try frames.checkInvariants()
            }
            let free = frames.freeFrames
            frames.free(block, order: order)
            #expect(frames.freeFrames == free + (1 << UInt(order) - 1), "the reference keeps the first frame")
            frames.putPage(block)
            #expect(frames.freeFrames == free + (1 << UInt(order)))
            try frames.checkInvariants()
        }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }
}
