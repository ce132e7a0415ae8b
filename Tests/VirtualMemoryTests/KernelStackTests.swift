import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import TestSupport
import Testing

@testable import VirtualMemory

/// A kernel stack, which cannot be copied, for arrays and the testing macros.
final class StackBox {
    private var stack: TestedStack?
    let limit: VirtualAddress
    let top: VirtualAddress

    init?(
        _ stacks: Permanent<TestedStacks>, pages: UInt? = nil, name: StaticString = "test"
    ) {
        guard let stack = TestedStack(pageCount: pages, name: name, from: stacks) else { return nil }
        limit = stack.limit
        top = stack.top
        self.stack = consume stack
    }

    var deepest: UInt { stack?.highWaterMark ?? 0 }
    var mapped: UInt { stack?.mappedByteCount ?? 0 }
    var pages: UInt { top.distance(from: limit) / 4096 }
    func remaining(_ stackPointer: VirtualAddress) -> UInt { stack?.stackRemaining(below: stackPointer) ?? 0 }
    func free() { stack.take()?.free() }
}

extension VmallocMachine {
    func makeStack(pages: UInt? = nil, name: StaticString = "test") -> StackBox? {
        run { StackBox(stacks, pages: pages, name: name) }
    }

    func free(_ stack: StackBox) { run { stack.free() } }

    /// What a scheduler does before a CPU goes on with another stack.
    func switchStacks(onCPU cpu: Int = 0) { run(onCPU: cpu) { stacks.value.refillReserve() } }

    @discardableResult
    func shrinkStacks() -> UInt { run { stacks.value.shrink() } }

    var stackFigures: StackFigures { run { stacks.value.figures } }
}

@Suite struct KernelStackTests {
    @Test(arguments: [1, 2, 4, 9] as [UInt])
    func paintShowsHowDeepAStackWent(pages: UInt) throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let stack = try #require(machine.makeStack(pages: pages))
        #expect(stack.top.distance(from: stack.limit) == pages * 4096)
        #expect(machine.run { stack.deepest } == 0)
        #expect(try machine.load(stack.top - 8) == TestedStack.paint)
        // All but the top page come when they are touched, up to as many as the reserve is sure to have.
        let due = min(pages, 4) - 1
        #expect(machine.run { stack.mapped } == (pages - due) * 4096)

        // Down word by word, with a gap as of a local array that was never written.
        for depth in [8, 16, 400, 4096] as [UInt] {
            try machine.store(0, stack.top - depth)
            #expect(machine.run { stack.deepest } == depth)
        }
        // The mark stays when the use goes back.
        try machine.store(1, stack.top - 8)
        #expect(machine.run { stack.deepest } == 4096)
        #expect(try machine.load(stack.limit) == (pages == 1 ? 0 : TestedStack.paint))
        try machine.store(0, stack.limit)
        #expect(machine.run { stack.deepest } == pages * 4096)

        let remaining = machine.run {
            [
                stack.remaining(stack.top), stack.remaining(stack.limit + 24), stack.remaining(stack.limit),
                stack.remaining(stack.limit - 8), stack.remaining(stack.top + 8),
            ]
        }
        #expect(remaining == [pages * 4096, 24, 0, 0, 0])
        try machine.checkAll()
        machine.free(stack)
        machine.shrinkStacks()
        machine.switchStacks()
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.stackFigures.deepestFreed == pages * 4096)
        #expect(machine.takeKinds() == [])
    }

    @Test func aStackGrowsByThePagesThatAreTouched() throws {
        let machine = VmallocMachine()
        let stack = try #require(machine.makeStack())
        #expect(machine.run { stack.mapped } == 4096)
        let before = machine.snapshot()
        // Out of order: a large frame may come down to its end first.
        for (count, page) in [2, 0, 1].enumerated() as EnumeratedSequence<[UInt]> {
            #expect(try machine.load(stack.limit + page * 4096 + 2048) == TestedStack.paint)
            #expect(machine.run { stack.mapped } == UInt(count + 2) * 4096)
            #expect(machine.stackFigures.missingReserveFrames == count + 1)
            // Neither a free frame nor a promise goes: they did when the stack was made.
            #expect(machine.snapshot().freeFrames == before.freeFrames)
            #expect(machine.snapshot().promisedFrames == before.promisedFrames)
            #expect(machine.statistics.areas.stackPages == UInt(count + 2))
            try machine.checkAll()
        }
        #expect(machine.stackFigures.growths == 3)
        machine.switchStacks()
        #expect(machine.stackFigures.missingReserveFrames == 0)
        #expect(machine.snapshot().freeFrames == before.freeFrames - 3)
        #expect(machine.snapshot().promisedFrames == before.promisedFrames - 3)
        try machine.checkAll()
        machine.free(stack)
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    /// What no growth is for.
    @Test func otherFaultsAreSomebodyElses() throws {
        let machine = VmallocMachine()
        let stack = try #require(machine.makeStack())
        let area = try #require(machine.allocate(4 * 4096))
        func grow(_ address: VirtualAddress, _ access: FaultAccess) -> TestedStacks.Growth {
            machine.run { machine.stacks.value.grow(at: address, access: access) }
        }
        let space = VmallocMachine.space
        for address in [
            VirtualAddress(0), VirtualAddress(8), space.start - 8, space.end, VirtualAddress(.max - 7),
            VirtualAddress(0x8000_0000_0000), space.end - 8, stack.limit - 8, stack.top, area, area + 4 * 4096,
        ] {
            #expect(grow(address, .write) == .notDue)
        }
        for access in [.protection, .user, .execute, .reservedBit] as [FaultAccess] {
            #expect(grow(stack.limit, access) == .notDue)
            #expect(grow(stack.limit, [access, .write]) == .notDue)
        }
        #expect(throws: SimulatedFault.self) { try machine.run { try machine.machine.fetch(stack.limit) } }
        #expect(machine.lastFatal?.reason == .notExecutable)
        // Another CPU was quicker, or this one's walk out of date.
        #expect(grow(stack.top - 8, .write) == .spurious)
        #expect(grow(stack.limit, []) == .grown)
        #expect(grow(stack.limit, .write) == .spurious)
        try machine.store(1, area)
        #expect(grow(area, .write) == .spurious)
        machine.free(area)
        machine.free(stack)
        machine.shrinkStacks()
        #expect(grow(stack.limit, .write) == .notDue)
        try machine.checkAll()
    }

    @Test func aThousandIdleStacksCostAThousandPages() throws {
        let machine = VmallocMachine(mebibytes: 32)
        let first = try #require(machine.makeStack())
        let before = machine.snapshot()
        let stacks = machine.run { (0..<1000).compactMap { _ in StackBox(machine.stacks) } }
        #expect(stacks.count == 1000)
        let after = machine.snapshot()
        #expect(after.areas.stackPages - before.areas.stackPages == 1000)
        #expect(after.promisedFrames - before.promisedFrames == 3000)
        let tables = UInt(after.tables - before.tables)
        // Six pages of addresses each, 512 to a table.
        #expect(tables == 1000 * 6 / 512 || tables == 1000 * 6 / 512 + 1)
        // The rest is the notes of a thousand areas.
        let notes = before.freeFrames - after.freeFrames - 1000 - tables
        #expect(notes <= 1000 * 256 / 4096, "\(notes) frames of notes")
        try machine.check()
        for stack in stacks { machine.free(stack) }
        machine.free(first)
        try machine.checkAll()
        #expect(machine.stackFigures.ready == 10)
        #expect(machine.shrinkStacks() == 10)
        #expect(machine.snapshot().areas.stackPages == 0)
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    /// Promised pages come however short memory is.
    @Test func everyStackGrowsToItsEndWhenNothingIsLeft() throws {
        let machine = VmallocMachine()
        var stacks: [StackBox] = []
        while let stack = machine.makeStack() { stacks.append(stack) }
        #expect(stacks.count > 100)
        machine.withFramesLeft(0) {
            #expect(machine.run { machine.frames.value.allocate(order: 0) } == nil)
            for (number, stack) in stacks.enumerated() {
                machine.switchStacks()
                for page in (0..<4 as Range<UInt>).reversed() {
                    do {
                        try machine.store(UInt64(number), stack.limit + page * 4096)
                    } catch {
                        Issue.record("page \(page) of stack \(number) could not be touched: \(error)")
                        return
                    }
                }
            }
            machine.switchStacks()
            #expect(machine.stackFigures.missingReserveFrames == 0)
        }
        for (number, stack) in stacks.enumerated() { #expect(try machine.load(stack.limit) == UInt64(number)) }
        try machine.checkAll()
        for stack in stacks { machine.free(stack) }
        machine.shrinkStacks()
        machine.switchStacks()
        try machine.checkAll()
        #expect(machine.snapshot().areas.areas == 0)
        #expect(machine.takeKinds() == [])
    }

    @Test func aReserveThatIsDryIsSaidAndNothingIsLost() throws {
        let machine = VmallocMachine(cpuCount: 2)
        let stacks = (0..<4).compactMap { _ in machine.makeStack() }
        machine.switchStacks(onCPU: 1)
        var grown = 0
        var refused: VirtualAddress?
        for stack in stacks {
            for page in 0..<3 as Range<UInt> {
                let address = stack.limit + page * 4096
                switch machine.run({ machine.stacks.value.grow(at: address, access: .write) }) {
                case .grown: grown += 1
                case .reserveIsEmpty: refused = address
                case .spurious, .notDue: Issue.record("neither")
                }
            }
        }
        // The other CPU's frames, too.
        #expect(grown == 8)
        try machine.checkAll()
        machine.switchStacks()
        try machine.store(1, try #require(refused))
        try machine.checkAll()
        for stack in stacks { machine.free(stack) }
        try machine.checkAll()
    }

    @Test(arguments: StackOptions.pageCounts)
    func sizes(pages: UInt) throws {
        var options = StackOptions()
        options.pageCount = pages
        options.guardPageCount = UInt16(pages)
        let machine = VmallocMachine(stacks: options)
        let stack = try #require(machine.makeStack())
        #expect(stack.pages == pages)
        #expect(machine.run { stack.mapped } == 4096)
        for page in (0..<pages).reversed() { try machine.store(1, stack.limit + page * 4096) }
        #expect(machine.stackFigures.missingReserveFrames == Int(pages) - 1)
        let bounds = try #require(machine.run { machine.vmalloc.value.stack(around: stack.limit) })
        #expect(bounds.guardBelow.byteCount == pages * 4096 && bounds.guardAbove.byteCount == 4096)
        for page in 1...pages {
            #expect(throws: SimulatedFault.self) { try machine.store(1, stack.limit - page * 4096) }
        }
        try machine.checkAll()
        machine.free(stack)
        let other = try #require(machine.makeStack(pages: pages + 1))
        #expect(machine.run { other.mapped } == 2 * 4096)
        machine.free(other)
        // Of another size: not kept.
        #expect(machine.stackFigures.ready == 1)
        try machine.checkAll()
        #expect(machine.makeStack(pages: 0) == nil)
        #expect(machine.makeStack(pages: .max) == nil)
    }
}
