import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

@testable import VirtualMemory

/// Stacks that are kept ready, failures, and several CPUs.
@Suite struct StackCacheTests {
    @Test func aFreedStackIsTheNextOnesAndAllPaint() throws {
        let machine = VmallocMachine()
        let stack = try #require(machine.makeStack(name: "first"))
        try machine.store(7, stack.limit + 4096)
        machine.free(stack)
        #expect(machine.stackFigures.ready == 1)
        let around = StackQuery(vmalloc: machine.vmalloc)
        #expect(machine.run { around(stack.limit).map { "\($0.name)" } } == "(ready)")
        let before = machine.snapshot()
        let again = try #require(machine.makeStack(name: "second"))
        #expect(again.limit == stack.limit && machine.stackFigures.ready == 0)
        #expect(machine.run { around(stack.limit).map { "\($0.name)" } } == "second")
        #expect(machine.snapshot() == before)
        // What the first had used is painted over; the pages by which it had grown are there.
        #expect(machine.run { again.deepest } == 0)
        #expect(machine.run { again.mapped } == 2 * 4096)
        for offset in stride(from: 4096 as UInt, to: 16384, by: 8) {
            #expect(try machine.load(again.limit + offset) == TestedStack.paint)
        }
        #expect(machine.stackFigures.deepestFreed == 3 * 4096)
        machine.free(again)
        try machine.checkAll()
    }

    @Test func memoryPressureTakesWhatIsReady() throws {
        let machine = VmallocMachine()
        #expect(machine.run { machine.frames.value.shrinkers.register(machine.stacks) } != nil)
        let stacks = (0..<12).compactMap { _ in machine.makeStack() }
        #expect(stacks.count == 12)
        for stack in stacks { machine.free(stack) }
        #expect(machine.stackFigures.ready == 10)
        // Of frames that are not promised: those of the stacks go to whoever needs them.
        var taken: [PageFrameNumber] = []
        while let frame = machine.run({ machine.frames.value.allocate(order: 0) }) { taken.append(frame) }
        #expect(machine.stackFigures.ready == 0)
        #expect(machine.makeStack() == nil)
        machine.run { for frame in taken { machine.frames.value.free(frame, order: 0) } }
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    /// With each request for frames failing in turn.
    @Test(arguments: [1, 4, 8] as [UInt])
    func everyFailureLeavesEverythingAsBefore(pages: UInt) throws {
        let machine = VmallocMachine()
        let frames = machine.frames
        let kmalloc = machine.kmalloc
        let point = FailurePoint(
            arm: { nth in machine.run { frames.value.failAllocation(nth: nth) } },
            left: { machine.run { frames.value.requestsUntilFailure } })
        let steps = try failEachInTurn(
            point,
            counters: {
                machine.shrinkStacks()
                machine.switchStacks()
                machine.run { _ = kmalloc.value.shrink() }
                return machine.snapshot()
            }, check: { try machine.checkAll() }
        ) {
            machine.makeStack(pages: pages).map { stack in { machine.free(stack) } }
        }
        // Top page, promise, three tables.
        #expect(steps.failed >= 5 && steps.survived == 0, "\(steps)")
        #expect(machine.takeKinds() == [])
    }

    @Test(arguments: [2, 4, 16] as [UInt])
    func anySequenceKeepsTheAccounts(pageCount: UInt) throws {
        var random = SeededGenerator.fromEnvironment(default: 0x57ac)
        var options = StackOptions()
        options.pageCount = pageCount
        let machine = VmallocMachine(mebibytes: 32, cpuCount: 2, stacks: options)
        let before = machine.snapshot()
        /// What is known of a stack: the page that was touched last, and the word written to each.
        var stacks: [(box: StackBox, words: [VirtualAddress: UInt64])] = []
        for step in 0..<3000 {
            let cpu = Int.random(in: 0..<2, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3 where stacks.count < 100:
                let pages = Bool.random(using: &random) ? nil : UInt.random(in: 1...20, using: &random)
                if let box = machine.run(onCPU: cpu, { StackBox(machine.stacks, pages: pages) }) {
                    #expect(machine.run { box.deepest } == 0)
                    stacks.append((box, [:]))
                }
            case 3 where !stacks.isEmpty:
                let (box, words) = stacks.remove(at: Int.random(in: 0..<stacks.count, using: &random))
                for (address, word) in words { #expect(try machine.load(address) == word) }
                machine.run(onCPU: cpu) { box.free() }
            case 4: _ = machine.shrinkStacks()
            case _ where !stacks.isEmpty:
                // A CPU goes on with a stack, and touches some of it.
                let index = Int.random(in: 0..<stacks.count, using: &random)
                machine.switchStacks(onCPU: cpu)
                let box = stacks[index].box
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    let address = box.limit + UInt.random(in: 0..<box.pages * 512, using: &random) * 8
                    let word = random.next() | 1
                    try machine.run(onCPU: cpu) { try machine.machine.store(word, to: address) }
                    stacks[index].words[address] = word
                }
                let lowest = try #require(stacks[index].words.keys.min())
                #expect(machine.run { box.deepest } == box.top.distance(from: lowest))
            default: break
            }
            if step % 50 == 0 { try machine.check() }
        }
        for (box, words) in stacks {
            for (address, word) in words { #expect(try machine.load(address) == word) }
            machine.free(box)
        }
        machine.shrinkStacks()
        for cpu in 0..<2 { machine.switchStacks(onCPU: cpu) }
        try machine.checkAll()
        machine.run {
            machine.vmalloc.value.ranges.giveUpResting()
            machine.kmalloc.value.shrink()
        }
        #expect(machine.snapshot().areas == before.areas)
        #expect(machine.snapshot().promisedFrames == before.promisedFrames)
        #expect(machine.takeKinds() == [])
    }

    /// Four CPUs make, grow and free stacks, whose entries share tables.
    @Test func cpusGrowAtOnce() throws {
        let machine = VmallocMachine(mebibytes: 16, cpuCount: 4)
        let errors = Counter()
        machine.machine.onAllCPUs { cpu in
            var random = SeededGenerator(seed: UInt64(cpu + 1))
            var held: [StackBox] = []
            for step in 0..<300 {
                if held.count < 4, let stack = StackBox(machine.stacks) { held.append(stack) }
                for stack in held {
                    machine.stacks.value.refillReserve()
                    let address = stack.limit + UInt.random(in: 0..<4, using: &random) * 4096 + UInt(cpu) * 8
                    let word = UInt64(step << 8 | cpu)
                    if (try? machine.machine.store(word, to: address)) == nil { errors.add() }
                    if (try? machine.machine.load(address, as: UInt64.self)) != word { errors.add() }
                }
                if Bool.random(using: &random), !held.isEmpty {
                    held.remove(at: Int.random(in: 0..<held.count, using: &random)).free()
                }
                if step % 64 == 0 { machine.stacks.value.shrink() }
            }
            for stack in held { stack.free() }
            machine.stacks.value.refillReserve()
        }
        #expect(errors.value == 0)
        try machine.checkAll()
        machine.shrinkStacks()
        try machine.checkAll()
        #expect(machine.snapshot().areas.areas == 0)
        #expect(machine.takeKinds() == [])
    }

    /// Two CPUs touch the same page of a stack: one finds it there.
    @Test func cpusTouchTheSamePage() throws {
        let machine = VmallocMachine(mebibytes: 8, cpuCount: 4)
        for _ in 0..<50 {
            let stack = try #require(machine.makeStack())
            for cpu in 0..<4 { machine.switchStacks(onCPU: cpu) }
            let errors = Counter()
            let limit = stack.limit
            machine.machine.onAllCPUs { cpu in
                for page in 0..<4 as Range<UInt> {
                    let address = limit + page * 4096 + UInt(cpu) * 8
                    if (try? machine.machine.store(UInt64(cpu), to: address)) == nil { errors.add() }
                }
            }
            #expect(errors.value == 0)
            #expect(machine.run { stack.mapped } == 4 * 4096)
            for cpu in 0..<4 { machine.switchStacks(onCPU: cpu) }
            try machine.checkAll()
            machine.free(stack)
            machine.shrinkStacks()
        }
        #expect(machine.takeKinds() == [])
    }
}
