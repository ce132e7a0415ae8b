import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing
import VirtualMemory

@testable import KernelMemory

/// Every call that takes several steps, with memory running out at each of them in turn.
@Suite struct ExhaustionTests {
    /// Runs `call` with 0, 1 ... 40 frames left. It returns what undoes it, or nil where it failed; then every counter
    /// must be as before, without kmalloc being asked to shrink.
    private func exhaust(
        _ machine: KernelMachine, mayFillCaches: Bool = false, failsWithFewerThan needed: ClosedRange<UInt>,
        _ call: () -> (() -> Void)?
    ) throws {
        var firstSuccess: UInt?
        for left in 0...40 as ClosedRange<UInt> {
            machine.run { machine.drain() }
            let whole = machine.counters()
            try machine.withFramesLeft(left) {
                let before = machine.counters()
                if let undo = machine.run(call) {
                    if firstSuccess == nil { firstSuccess = left }
                    machine.run(undo)
                } else {
                    #expect(firstSuccess == nil, "failed with \(left) frames, and not with fewer")
                    // The note of an area that came to nothing may stay in kmalloc's magazine, with its slab.
                    if mayFillCaches { machine.run { machine.drain() } }
                    #expect(machine.counters() == before, "with \(left) frames left")
                }
                try machine.check()
            }
            machine.run { machine.drain() }
            #expect(machine.counters() == whole, "with \(left) frames left")
        }
        let first = try #require(firstSuccess, "it never succeeded")
        #expect(needed.contains(first), "it first succeeded with \(first) frames")
    }

    static let sizes: [UInt] = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192]

    @Test(arguments: sizes, [AllocationFlags.kernel, .dma])
    func objectsOfEachClass(size: UInt, flags: AllocationFlags) throws {
        let machine = try KernelMachine(.pc(bytes: 4 << 20))
        // A slab's frames, which must lie together; a page for headers of its size may be there.
        let frames: UInt = size <= 512 ? 1 : size == 1024 ? 2 : size == 2048 ? 4 : 8
        // What vmalloc and the stacks' reserve allocate for good has brought slabs of its classes since bring-up.
        let isThere = (size == 256 || size == 1024 || size == 2048) && flags == .kernel
        try exhaust(machine, failsWithFewerThan: isThere ? 0...0 : frames...40) {
            machine.kmalloc(size, flags).map { pointer in { machine.kfree(pointer) } }
        }
    }

    @Test(arguments: [1, 3, 20] as [UInt], [false, true])
    func areas(pages: UInt, populate: Bool) throws {
        let machine = try KernelMachine(.pc(bytes: 4 << 20))
        // A frame for each page, three tables, and the slab of the area's note, whose frames may be up to four.
        try exhaust(machine, mayFillCaches: true, failsWithFewerThan: pages + 3...pages + 8) {
            machine.vmalloc(pages * 4096, populate: populate).map { address in { machine.vfree(address) } }
        }
    }

    /// Across the boundary of two tables, so that the second can be the one that is missing.
    @Test(arguments: [false, true])
    func areasAcrossTables(populate: Bool) throws {
        let machine = try KernelMachine(.pc(bytes: 6 << 20))
        let filler = try #require(machine.run { machine.vmalloc(500 * 4096) })
        // 12 entries of the first table are left, a guard page among them.
        try exhaust(machine, mayFillCaches: true, failsWithFewerThan: 30 + 1...30 + 2) {
            machine.vmalloc(30 * 4096, populate: populate).map { address in { machine.vfree(address) } }
        }
        machine.run { machine.vfree(filler) }
        try machine.check()
    }

    @Test(arguments: [1, 4, 8] as [UInt])
    func stacks(pages: UInt) throws {
        let machine = try KernelMachine(.pc(bytes: 4 << 20))
        try exhaust(machine, mayFillCaches: true, failsWithFewerThan: pages + 3...pages + 8) {
            machine.makeStack(pages: pages).map { stack in { stack.free() } }
        }
    }

    /// A first touch takes the frame that was promised, with not one other left.
    @Test func promisedPagesCanBeTouchedWhenNothingIsLeft() throws {
        let machine = try KernelMachine(.pc(bytes: 4 << 20))
        machine.run { machine.drain() }
        let before = machine.counters()
        let area = try #require(machine.run { machine.vmalloc(100 * 4096) })
        try machine.withFramesLeft(0) {
            #expect(machine.run { machine.allocateFrames(0) } == nil)
            #expect(machine.run { machine.vmalloc(4096) } == nil)
            for page in 0..<100 as Range<UInt> {
                #expect(try machine.load(area + page * 4096) == 0)
                try machine.store(UInt64(page) + 1, area + page * 4096)
            }
            #expect(machine.run { machine.memory.value.frames.value.freeFrames } == before.promised)
            for page in 0..<100 as Range<UInt> { #expect(try machine.load(area + page * 4096) == UInt64(page) + 1) }
            try machine.check()
        }
        machine.run {
            machine.vfree(area)
            machine.drain()
        }
        #expect(machine.counters() == before)
    }
}
