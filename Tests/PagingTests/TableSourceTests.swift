import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

/// The real sources of tables, each until it has nothing more to give.
@Suite struct TableSourceTests {
    /// A boot allocator over the first `memory` bytes, with room for its lists.
    private func withBootAllocator(
        memory byteCount: UInt, _ body: (SimulatedMachine, UnsafeMutablePointer<BootAllocator>) throws -> Void
    ) rethrows {
        let machine = SimulatedMachine(memory: byteCount)
        let lists = (0..<2).map { _ in UnsafeMutableBufferPointer<Region>.allocate(capacity: 64) }
        let boot = UnsafeMutablePointer<BootAllocator>.allocate(capacity: 1)
        boot.initialize(to: BootAllocator(memoryStorage: lists[0], reservedStorage: lists[1]))
        defer {
            boot.deinitialize(count: 1)
            boot.deallocate()
            for list in lists { list.deallocate() }
        }
        boot.pointee.add(PhysicalRange(memory(0), memory(byteCount)))
        try machine.run { try body(machine, boot) }
        #expect(machine.takeViolations().isEmpty)
    }

    private func fill(_ machine: SimulatedMachine, _ frame: PhysicalAddress) {
        for index in 0..<512 { machine.entry(at: frame, index).store(.max) }
    }

    @Test func theBootAllocatorGivesClearedTablesBelowTheLimitAndTakesThemBack() throws {
        try withBootAllocator(memory: 2 * mib) { machine, boot in
            // Whatever lay in memory before must not become entries.
            for page in 0..<UInt(512) { fill(machine, PhysicalAddress(page * 4096)) }
            let limit = PhysicalAddress(64 * kib)
            var source = unsafe BootTableSource(
                allocator: boot, directMap: machine.arena.directMap, below: limit)
            let root = source.allocateTableFrame()!
            let reserved = boot.pointee.totalReserved
            let tables = PageTables<SimulatedPlatform>(
                root: root, directMap: machine.arena.directMap, features: .all)
            machine.loadRoot(root)
            try tables.map(page(areas), to: memory(mib), permissions: .readWrite, using: &source)
            #expect(boot.pointee.totalReserved == reserved + 3 * 4096)
            machine.word(memory(mib)).pointee = 21
            #expect(try machine.load(page(areas)) == 21 as UInt64)
            boot.pointee.forEachReserved { range, owner in #expect(owner == .pageTables && range.end <= limit) }
            // 16 frames below the limit, one of which is the page at 0; four are in use.
            #expect(throws: PagingError.outOfTables) {
                try tables.mapRange(
                    pages(areas + gib, 12 * 2 * mib), to: memory(mib + 4096), permissions: .readOnly, using: &source)
            }
            #expect(boot.pointee.totalReserved == reserved + 3 * 4096 && tables.tableCount == 3)
            try tables.checkInvariants()
            try tables.unmap(page(areas), using: &source)
            #expect(boot.pointee.totalReserved == reserved)
        }
    }

    @Test func thePageFramesGiveTablesThatNobodyElseCanFree() throws {
        try withBootAllocator(memory: 32 * mib) { machine, boot in
            let map = machine.arena.directMap
            var early = unsafe BootTableSource(allocator: boot, directMap: map, below: .limit)
            let root = early.allocateTableFrame()!
            let tables = PageTables<SimulatedPlatform>(root: root, directMap: map, features: .all)
            machine.loadRoot(root)
            try tables.map(page(areas), to: memory(mib), permissions: .readWrite, using: &early)
            let allocator = PageFrameAllocator<SimulatedPlatform>(takingOver: &boot.pointee, directMap: map)!
            let storage = UnsafeMutablePointer<PageFrameAllocator<SimulatedPlatform>>.allocate(capacity: 1)
            let frames = Permanent(placing: allocator, at: storage)
            defer {
                frames.destroy()
                storage.deallocate()
            }
            let free = frames.value.freeFrames
            var source = BuddyTableSource(frames: frames)
            try tables.map(page(areas + gib), to: memory(mib), permissions: .readWrite, using: &source)
            #expect(frames.value.freeFrames == free - 2)
            let table = source.allocateTableFrame()!
            #expect((0..<512).allSatisfy { machine.entry(at: table, $0).load() == 0 })
            #expect(frames.value.state(of: PageFrameNumber(containing: table)) == .table)
            frames.value.free(PageFrameNumber(containing: table), order: 0)
            #expect(machine.takeViolations().map(\.kind) == [.wildFree])
            source.freeTableFrame(table)
            #expect(frames.value.freeFrames == free - 2)
            // A range that needs more tables than there are frames takes none of them.
            #expect(throws: PagingError.outOfTables) {
                try tables.reserveDemand(pages(areas + 2 * gib, 20 * gib), permissions: .readWrite, using: &source)
            }
            #expect(frames.value.freeFrames == free - 2)
            try tables.checkInvariants()
            try tables.unmap(page(areas + gib), using: &source)
            #expect(frames.value.freeFrames == free)
            // The tables from before stay reserved, and nobody complains.
            try tables.unmap(page(areas), using: &source)
            #expect(frames.value.freeFrames == free && tables.tableCount == 0)
            try frames.value.checkInvariants()
        }
    }
}
