import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Stacks with other permissions, stacks that grow while they are set up, and damaged tables: the accounts stay right.
@Suite struct StackTroubleTests {
    @Test func aStackWithOtherPermissionsIsTakenApartUnpainted() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let stack = try #require(machine.makeStack())
        try machine.store(7, stack.top - 8)
        try machine.store(7, stack.limit + 4096)
        let frame = try #require(machine.run { machine.tables.value.frame(at: stack.top - 4096) })
        machine.run {
            machine.vmalloc.value.notePermissionChange(in: VirtualRange(stack.top - 4096, stack.top))
        }
        machine.free(stack)
        // The direct map may not allow writes to such a frame.
        let words = unsafe machine.machine.arena.directMap.pointer(to: frame).assumingMemoryBound(to: UInt64.self)
        #expect(unsafe words[511] == 7)
        #expect(machine.stackFigures.ready == 0)
        #expect(machine.stackFigures.deepestFreed == 3 * 4096)
        #expect(machine.stackFigures.missingReserveFrames == 0)
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    /// A wild access has a stack grow before all of its pages are there, and then a frame is lacking.
    @Test func aStackThatGrewBeforeItWasMadeIsUndone() throws {
        let machine = VmallocMachine()
        // The tables' caches and the notes are there.
        machine.free(try #require(machine.makeStack()))
        machine.shrinkStacks()
        let before = machine.snapshot()
        machine.run {
            let vmalloc = machine.vmalloc
            var request = AreaRequest(.stack, pageCount: 4, guardPagesBelow: 1, guardPagesAbove: 1, name: "wild")
            let start = VmallocMachine.space.start + (1 << 30)
            request.bounds = VirtualRange(start, start + 6 * 4096)
            var growth: TestedStacks.Growth?
            let area = vmalloc.value.allocateStack(request, mapped: 2, flags: .kernel) { _ in
                growth = machine.stacks.value.grow(at: start + 4096, access: .write)
                // After the tables of the pages that are there.
                machine.frames.value.failAllocation(nth: 1)
            }
            #expect(growth == .grown)
            #expect(area == nil)
            #expect(vmalloc.value.grownStackPages.load(ordering: .relaxed) == 0)
        }
        machine.switchStacks()
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    /// Two pages are due, and have grown or not; where the table of the third was, there is a large page.
    @Test(arguments: [false, true], [0, 1] as [UInt])
    func damagedTablesOfAStackAreSaid(isReady: Bool, grown: UInt) throws {
        let machine = VmallocMachine(mebibytes: 16)
        let promised = machine.snapshot().promisedFrames
        let table = VmallocMachine.space.start + (1 << 30) + (2 << 20)
        let start = table - 2 * 4096
        machine.run {
            var request = AreaRequest(.stack, pageCount: 3, guardPagesBelow: 1, guardPagesAbove: 1, name: "damaged")
            request.bounds = VirtualRange(start - 4096, table + 2 * 4096)
            #expect(machine.vmalloc.value.allocateStack(request, mapped: 1, flags: .kernel) { _ in } != nil)
            #expect(machine.frames.value.promisedFrames == promised + 2)
            for _ in 0..<grown { #expect(machine.stacks.value.grow(at: start, access: .write) == .grown) }
            var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
            var left = VirtualRange(table, table + (2 << 20))
            #expect(throws: Never.self) {
                while !left.isEmpty { _ = try machine.tables.value.emptyPages(from: &left, using: &source) }
                try machine.tables.value.map(
                    table, to: PhysicalAddress(4 << 20), size: .size2MiB, permissions: .readWrite, using: &source)
            }
            if isReady {
                #expect(machine.vmalloc.value.freeReadyStack(start) == grown)
            } else {
                machine.vmalloc.value.freeStack(start)
            }
        }
        #expect(machine.takeKinds() == [.corruption])
        machine.switchStacks()
        #expect(machine.snapshot().promisedFrames == promised)
        #expect(machine.run { machine.vmalloc.value.grownStackPages.load(ordering: .relaxed) } == 0)
        try machine.run { try machine.stacks.value.checkInvariants() }
    }

    /// Frames of freed areas that wait for a purge are as good as free.
    @Test(arguments: [0, 1] as [UInt])
    func whatWaitsForAPurgeIsEnough(left: UInt) throws {
        let machine = VmallocMachine(purgeThreshold: PurgeTests.never)
        let area = try #require(machine.allocate(64 * 4096, populate: true))
        machine.withFramesLeft(left) {
            machine.free(area)
            #expect(machine.statistics.areas.retiredPages == 64)
            #expect(machine.makeStack() != nil)
            #expect(machine.statistics.areas.retiredPages == 0)
        }
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }
}
