import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// What becomes of promises, and of everything else when memory runs out.
@Suite struct PromiseTests {
    @Test(arguments: [VmallocMachine.onePage, VmallocOptions()])
    func everyPromisedPageCanBeTouchedWhenNothingElseIsLeft(touches: VmallocOptions) throws {
        let machine = VmallocMachine(touches: touches)
        let before = machine.snapshot()
        // As much as can be promised: a few frames go for the tables and the area's note.
        var pages = before.freeFrames
        var address: VirtualAddress?
        while address == nil, pages > 0 {
            address = machine.allocate(pages * 4096)
            if address == nil {
                #expect(machine.snapshot() == before)
                pages -= 1
            }
        }
        let start = try #require(address)
        #expect(pages > before.freeFrames - 20)
        // Now nothing is left for anybody else.
        machine.withFramesLeft(0) {
            #expect(machine.run { machine.frames.value.allocate(order: 0) } == nil)
            #expect(machine.allocate(4096) == nil)
            for page in 0..<pages {
                do {
                    try machine.store(UInt64(page), start + page * 4096)
                } catch {
                    Issue.record("page \(page) of \(pages) could not be touched: \(error)")
                    return
                }
            }
        }
        for page in 0..<pages { #expect(try machine.load(start + page * 4096) == UInt64(page)) }
        #expect(machine.snapshot().promisedFrames == before.promisedFrames)
        try machine.checkAll()
        machine.free(start)
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    /// With 0, 1, 2 ... frames left, each allocation of the call fails in turn; then the whole succeeds.
    @Test(arguments: [false, true], [1, 3, 700] as [UInt])
    func everyFailureLeavesEverythingAsBefore(populate: Bool, pages: UInt) throws {
        let machine = VmallocMachine(mebibytes: 16, touches: VmallocOptions())
        let before = machine.snapshot()
        var failures: UInt = 0
        // Of the many pages of a large area most fail alike: a few of those do.
        let steps = (0..<pages + 20).filter { $0 < 10 || $0 + 5 > pages || $0 % 97 == 0 }
        for left in steps {
            let succeeded = try machine.withFramesLeft(left) {
                let before = machine.snapshot()
                let address = machine.allocate(pages * 4096, populate: populate)
                if address == nil {
                    #expect(machine.snapshot() == before, "with \(left) frames left")
                }
                try machine.checkAll()
                if let address {
                    for page in 0..<pages { _ = try machine.load(address + page * 4096) }
                    machine.free(address)
                    #expect(machine.snapshot() == before)
                }
                return address != nil
            }
            if succeeded { break }
            failures = left + 1
        }
        // Tables and pages at least, one failure each.
        #expect(failures >= pages + 3)
        #expect(failures < pages + 20)
        #expect(machine.snapshot() == before)
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    @Test func anAreaThatCannotBeNotedDownFailsCleanly() throws {
        let machine = VmallocMachine()
        var spare = try #require(machine.run { machine.frames.value.allocate(order: 0) })
        defer { machine.run { machine.frames.value.free(spare, order: 0) } }
        try machine.withFramesLeft(0) {
            // Everything that kmalloc can still give for an area's note.
            var taken: [UnsafeMutableRawPointer] = []
            defer { machine.run { for memory in taken { machine.kmalloc.value.free(memory) } } }
            machine.run {
                while let memory = machine.kmalloc.value.allocate(UInt(MemoryLayout<AreaNode>.size)) {
                    taken.append(memory)
                }
            }
            // A frame to promise, and none for kmalloc besides.
            machine.run { machine.frames.value.free(spare, order: 0) }
            defer { spare = machine.run { machine.frames.value.allocate(order: 0) }! }
            let before = machine.snapshot()
            #expect(machine.run { machine.frames.value.promise(frames: 1) })
            machine.run { machine.frames.value.withdrawPromise(frames: 1) }
            #expect(machine.allocate(4096) == nil)
            #expect(machine.snapshot() == before)
            try machine.checkAll()
        }
    }

    @Test func stacksFailCleanly() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        var failures = 0
        for left in 0..<20 as Range<UInt> {
            let succeeded = try machine.withFramesLeft(left) {
                let before = machine.snapshot()
                let name = try machine.run { () -> String? in
                    guard let stack = TestedStack(name: "stack", from: machine.stacks) else { return nil }
                    try machine.vmalloc.value.checkInvariants()
                    let name = "\(stack.name)"
                    stack.free()
                    machine.stacks.value.shrink()
                    return name
                }
                #expect(machine.snapshot() == before)
                try machine.checkAll()
                return name != nil
            }
            if succeeded { break }
            failures += 1
        }
        // Its top page, the promises of the others, and three tables.
        #expect(failures >= 4 + 3)
        #expect(failures < 20)
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    @Test func aBrokenPromiseIsReportedAndNothingIsMiscounted() throws {
        let machine = VmallocMachine()
        let address = try #require(machine.allocate(4096))
        // Someone else withdraws what is not theirs.
        machine.run { machine.frames.value.withdrawPromise(frames: 1) }
        #expect(throws: InvariantViolation.self) {
            try machine.run { try machine.vmalloc.value.checkInvariants() }
        }
        #expect(throws: SimulatedFault.self) { try machine.load(address) }
        #expect(machine.lastFatal?.reason == .brokenPromise)
        #expect(machine.takeKinds() == [.brokenPromise])
        #expect(machine.statistics.areas.presentPages == 0)
        #expect(machine.run { machine.frames.value.promise(frames: 1) })
        try machine.checkAll()
        #expect(try machine.load(address) == 0)
    }
}
