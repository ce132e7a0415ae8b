import BootMemory
import LeakDetection
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

/// The detector without memory of its own.
@Suite struct ExhaustionTests {
    /// Each allocation of the start fails in turn; then the detector is not there, and no frame is missing.
    @Test func startGivesEverythingBack() throws {
        let machine = SimulatedMachine(memory: 16 << 20)
        try machine.run {
            let lists = (0..<2).map { _ in UnsafeMutableBufferPointer<Region>.allocate(capacity: 32) }
            defer { for list in lists { list.deallocate() } }
            var boot = BootAllocator(memoryStorage: lists[0], reservedStorage: lists[1])
            boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(16 << 20)))
            let frames = Permanent(
                placing: Frames(
                    takingOver: &boot, directMap: machine.arena.directMap, options: LeakMachine.exact)!,
                at: .allocate(capacity: 1))
            var source = BuddyTableSource<SimulatedPlatform>(frames: frames)
            let tables = Permanent(
                placing: Tables(
                    root: source.allocateTableFrame()!, directMap: machine.arena.directMap, features: .all),
                at: .allocate(capacity: 1))
            let before = frames.value.freeFrames
            for nth in 1..<30 as Range<UInt> {
                frames.value.failAllocation(nth: nth)
                let detector = Detector.start(frames: frames, pageTables: tables, turnedOff: {})
                frames.value.failAllocation(nth: 0)
                #expect((detector == nil) == (nth == 1))
                guard let detector else {
                    let free = frames.value.freeFrames
                    #expect(free == before)
                    continue
                }
                let first = detector.value.turnOff()
                #expect(first)
                let second = detector.value.turnOff()
                #expect(!second)
                // The frame that the detector itself lies in stays.
                let free = frames.value.freeFrames
                #expect(free + nth - 1 == before)
            }
            try frames.value.checkInvariants()
        }
    }

    @Test func withoutMemoryForRecordsItIsTurnedOffAndAllElseGoesOn() throws {
        // So much that the last request is one for records, as most are.
        let test = LeakMachine(memory: (5 << 20) + (4 << 12))
        try test.run {
            let records = test.recordFrames
            var objects: [UInt] = []
            while let object = test.kmalloc(8, .kernel | .noWarn) {
                objects.append(object)
                if objects.count == 2000 { #expect(test.isOn) }
            }
            #expect(records > 0 && objects.count > 100_000)
            #expect(!test.isOn && test.endCount == 1)
            #expect(test.scan() == nil && test.leaks == [] && test.recordCount == 0)
            #expect(test.recordFrames == 0)
            #expect(!test.notLeak(objects[0]) && test.describe(objects[0]) == nil)
            for object in objects { test.kfree(object) }
            test.kmalloc.value.shrink()
            let again = try #require(test.kmalloc(8))
            test.kfree(again)
            #expect(test.endCount == 1)
        }
        try test.check()
    }

    /// More records than were provided for, each further allocation of the detector's failing in turn.
    @Test(arguments: 1...6 as ClosedRange<UInt>)
    func eachFurtherAllocationFails(nth: UInt) throws {
        let test = LeakMachine(memory: 4 << 20)
        test.run {
            let frames = test.recordFrames
            var objects: [UInt] = []
            while test.recordFrames == frames, let object = test.kmalloc(64) { objects.append(object) }
            // From here on what is asked for is failed sooner or later, the detector's own or another's.
            test.frames.value.failAllocation(nth: nth)
            for _ in 0..<500 { if let object = test.kmalloc(64, .kernel | .noWarn) { objects.append(object) } }
            test.frames.value.failAllocation(nth: 0)
            #expect(test.isOn, "a smaller block is fetched where a larger one cannot be had")
            #expect(test.recordCount >= objects.count)
            for object in objects { test.kfree(object) }
        }
        try test.check()
    }

    @Test func turnedOffByCommand() throws {
        let test = LeakMachine()
        try test.run {
            let object = try #require(test.kmalloc(64))
            _ = test.scanForLeaks()
            var writer = ReportText()
            let empty = VirtualRange(VirtualAddress(8), VirtualAddress(8))
            test.detector.value.run(.off, stack: empty, ticksPerSecond: 1, to: &writer)
            #expect(writer.text == "kmemleak: Kernel memory leak detector disabled\n")
            #expect(!test.isOn && test.endCount == 0)
            for command in [LeakCommand.scan, .clear, .off, .scanEvery(seconds: 1)] {
                test.detector.value.run(command, stack: empty, ticksPerSecond: 1, to: &writer)
            }
            #expect(test.poll() == nil)
            test.kfree(object)
        }
        try test.check()
    }
}
