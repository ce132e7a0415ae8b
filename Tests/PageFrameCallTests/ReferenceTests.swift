import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

@Suite struct ReferenceTests {
    /// The loop of Linux's lib/test_free_pages.c: a block is freed while somebody has a reference to it.
    @Test(arguments: 0...10, [AllocationFlags.kernel, .kernel | .compound])
    func aReferenceThatOutlivesTheFreeLeaksNothing(order: Int, flags: AllocationFlags) throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let frames = machine.frames.value.directMap
            let before = machine.snapshot()
            for _ in 0..<100 {
                let pointer = try need(machine.frames.value.get_free_pages(flags, order))
                let page = machine.frames.value.virt_to_page(pointer)
                #expect(frames.pointer(to: page) == pointer)
                machine.frames.value.get_page(page)
                #expect(machine.frames.value.page_count(page) == 2)
                machine.frames.value.free_pages(pointer, order)
                #expect(machine.frames.value.page_count(page) == 1)
                machine.frames.value.put_page(page)
                #expect(machine.frames.value.page_count(page) == 0)
            }
            #expect(machine.snapshot() == before)
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func theTailIsFreeAtOnceAndTheHeadStays() throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let free = machine.frames.value.freeFrames
            let block = try need(machine.frames.value.allocate(order: 4))
            machine.frames.value.getPage(block)
            machine.frames.value.free(block, order: 4)
            #expect(machine.frames.value.freeFrames == free - 1)
            try machine.frames.value.checkInvariants()
            let head = try need(machine.frames.value.block(covering: block))
            #expect(head.order == 0 && head.state == .allocatedHead)
            #expect(machine.frames.value.block(covering: block + 1) == nil)
            // It is a block of one frame now, and nothing else.
            machine.frames.value.free(block, order: 4)
            #expect(machine.takeKinds() == [.wrongOrder])
            machine.frames.value.free(block, order: 0)
            #expect(machine.frames.value.freeFrames == free)
            machine.frames.value.putPage(block)
            #expect(machine.takeKinds() == [.doubleFree])
            #expect(machine.frames.value.freeFrames == free)
        }
    }

    @Test func aCompoundBlockStaysWhole() throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let free = machine.frames.value.freeFrames
            let block = try need(machine.frames.value.allocate(order: 4, flags: .kernel | .compound))
            machine.frames.value.getPage(block + 9)
            machine.frames.value.free(block, order: 4)
            #expect(machine.frames.value.freeFrames == free - 16)
            #expect(machine.frames.value.compound_order(block + 9) == 4)
            try machine.frames.value.checkInvariants()
            machine.frames.value.putPage(block + 15)
            #expect(machine.frames.value.freeFrames == free)
            #expect(machine.frames.value.compound_order(block + 9) == 0)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test(arguments: 0...10) func everyFrameOfACompoundBlockLeadsToItsHead(order: Int) throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let block = try need(machine.frames.value.allocate(order: order, flags: .kernel | .compound))
            for index in 0..<UInt(1) << UInt(order) {
                #expect(machine.frames.value.compound_head(block + index) == block)
                #expect(machine.frames.value.compound_order(block + index) == order)
                #expect(machine.frames.value.page_size(block + index) == 4096 << UInt(order))
            }
            let beyond = block + (1 << UInt(order))
            #expect(machine.frames.value.compound_head(beyond) == beyond)
            #expect(machine.frames.value.compoundBlock(of: beyond) == nil)
        }
    }

    @Test func freesOfCompoundBlocksThatAreWrongAreReported() throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let block = try need(machine.frames.value.allocate(order: 3, flags: .kernel | .compound))
            let free = machine.frames.value.freeFrames
            for order in [0, 1, 2, 4] where block.rawValue % (1 << UInt(order)) == 0 {
                machine.frames.value.free(block, order: order)
                #expect(machine.takeKinds() == [.wrongOrder])
            }
            machine.frames.value.free(block + 4, order: 2)
            #expect(machine.takeKinds() == [.freeOfTail])
            machine.frames.value.split(block, order: 3)
            #expect(machine.takeKinds() == [.wrongOrder])
            #expect(machine.frames.value.freeFrames == free)
            machine.frames.value.putPage(block + 7)
            #expect(machine.frames.value.freeFrames == free + 8)
            machine.frames.value.putPage(block + 7)
            #expect(machine.takeKinds() == [.doubleFree])
        }
    }

    @Test func referencesToWhatIsNotInUseAreRefused() throws {
        let machine = try Machine(memory: [256..<8192], reserved: [300..<310])
        try machine.run {
            let block = try need(machine.frames.value.allocate(order: 2))
            let gone = try need(machine.frames.value.allocate(order: 0))
            machine.frames.value.free(gone, order: 0)
            let slab = try need(machine.frames.value.allocate(order: 1))
            machine.frames.value.claim(slab, order: 1, as: .slab, owner: 1)
            let before = machine.counts()
            // A tail, free frames in a cache and in a zone, a slab, a reserved frame, no RAM, and no such memory.
            for frame in [block + 1, gone, block + 4, slab, slab + 1, 305, 100, 0x4000_0000, .max] {
                #expect(machine.frames.value.tryGetPage(frame) == false)
                #expect(machine.takeKinds().isEmpty)
                machine.frames.value.getPage(frame)
                #expect(machine.takeKinds() == [.badReference])
                machine.frames.value.putPage(frame)
                #expect(machine.takeKinds().count == 1)
            }
            #expect(machine.counts() == before)
            #expect(machine.frames.value.referenceCount(of: block) == 1)
            #expect(machine.frames.value.referenceCount(of: block + 1) == 0)
            try machine.frames.value.checkInvariants()
        }
    }

    @Test func referencesDoNotOverflow() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let block = try need(machine.frames.value.allocate(order: 0))
            // Where the allocator itself would need hours to get: the references beyond the first
            // are the high half of the use word.
            let count = UnsafeMutableRawPointer(try need(machine.frames.value.descriptor(of: block))) + 12
            count.storeBytes(of: UInt32.max - 2, as: UInt32.self)
            #expect(machine.frames.value.tryGetPage(block) == true)
            #expect(machine.frames.value.tryGetPage(block) == false)
            machine.frames.value.getPage(block)
            #expect(machine.takeKinds() == [.badReference])
            #expect(machine.frames.value.referenceCount(of: block) == .max)
            #expect(machine.frames.value.state(of: block) == .allocatedHead)
        }
    }

    @Test func theLastReferenceOfATaggedBlockStays() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let block = try need(machine.frames.value.allocate(order: 0))
            machine.frames.value.setTag(7, of: block)
            machine.frames.value.getPage(block)
            machine.frames.value.putPage(block)
            #expect(machine.takeKinds().isEmpty)
            machine.frames.value.putPage(block)
            #expect(machine.takeKinds() == [.wildFree])
            machine.frames.value.setTag(0, of: block)
            machine.frames.value.putPage(block)
            #expect(machine.takeKinds().isEmpty)
            try machine.frames.value.checkInvariants()
        }
    }

    /// CPUs take and drop references to one block at once; one frees it half-way.
    @Test(arguments: [AllocationFlags.kernel, .kernel | .compound]) func severalCPUsCountTogether(
        flags: AllocationFlags
    ) throws {
        let machine = try Machine(mebibytes: 32, cpuCount: 4)
        let (before, block) = try machine.run {
            let before = machine.counts()
            return (before, try need(machine.frames.value.allocate(order: 3, flags: flags)))
        }
        inParallel(4) { cpu in
            machine.run(onCPU: cpu) {
                for round in 0..<2000 {
                    if cpu == 0, round == 1000 { machine.frames.value.free(block, order: 3) }
                    if machine.frames.value.tryGetPage(block) { machine.frames.value.putPage(block) }
                }
            }
        }
        machine.run { #expect(machine.counts() == before) }
        #expect(machine.takeKinds().isEmpty)
    }
}

// A claim, by one CPU, of a block that others look at.
extension ReferenceTests {
    @Test(arguments: [0, 2]) func speculativeReferencesDoNotDisturbAClaim(order: Int) throws {
        let machine = try Machine(mebibytes: 16, cpuCount: 3)
        let before = machine.run { machine.counts() }
        let block = try machine.run { try need(machine.frames.value.allocate(order: order)) }
        let hasEnded = Counter()
        inParallel(3) { cpu in
            machine.run(onCPU: cpu) {
                if cpu == 0 {
                    for round in 0..<20_000 {
                        let state: FrameState = round & 1 == 0 ? .slab : .table
                        machine.frames.value.claim(block, order: order, as: state, owner: 1, tag: 3)
                        machine.frames.value.release(block, order: order, from: state)
                    }
                    hasEnded.add()
                } else {
                    while hasEnded.value == 0 {
                        if machine.frames.value.tryGetPage(block) { machine.frames.value.putPage(block) }
                    }
                }
            }
        }
        #expect(machine.takeKinds().isEmpty)
        machine.run {
            #expect(machine.frames.value.referenceCount(of: block) == 1)
            machine.frames.value.free(block, order: order)
            #expect(machine.counts() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }
}

extension PageFrameNumber: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: UInt) { self.init(value) }
    static var max: PageFrameNumber { PageFrameNumber(UInt.max) }
}
