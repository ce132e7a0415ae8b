import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Frees that are put off until a purge tells the other CPUs.
@Suite struct PurgeTests {
    static let never: UInt = 1 << 40

    private func machine(cpuCount: Int = 2, threshold: UInt = never, mebibytes: UInt = 8) -> VmallocMachine {
        VmallocMachine(mebibytes: mebibytes, cpuCount: cpuCount, purgeThreshold: threshold)
    }

    /// The frames behind an area.
    private func frames(_ machine: VmallocMachine, _ address: VirtualAddress, _ count: UInt) -> [PageFrameNumber] {
        (0..<count).compactMap { page in
            machine.run { machine.tables.value.translate(address + page * 4096) }
                .map { PageFrameNumber(containing: $0.physical) }
        }
    }

    static func isFree(_ machine: VmallocMachine, _ frame: PageFrameNumber) -> Bool {
        let state = machine.run { machine.frames.value.state(of: frame) }
        return state != .allocatedHead && state != .interior
    }

    @Test func onlyTheCPUThatFreedForgetsAtOnce() throws {
        let machine = machine()
        let before = machine.snapshot()
        let address = try #require(machine.allocate(3 * 4096, populate: true))
        let frames = frames(machine, address, 3)
        for page in 0..<3 as Range<UInt> {
            try machine.store(1, address + page * 4096)
            #expect(try machine.run(onCPU: 1) { try machine.machine.load(address + page * 4096) as UInt64 } == 1)
        }
        let rounds = machine.machine.flushRoundCount + machine.machine.fullFlushCount + machine.machine.pageFlushCount
        machine.free(address)
        #expect(
            machine.machine.flushRoundCount + machine.machine.fullFlushCount + machine.machine.pageFlushCount == rounds,
            "nobody else was told")
        // A use faults here, and is found out there.
        #expect(throws: SimulatedFault.self) { try machine.load(address) }
        #expect(machine.lastFatal?.reason == .outsideAnyArea)
        #expect(machine.lastFatal?.place.place == .freed)
        #expect(machine.machine.takeStaleTranslations() == [])
        _ = try machine.run(onCPU: 1) { try machine.machine.load(address) as UInt64 }
        #expect(machine.machine.takeStaleTranslations().map(\.cpu) == [1], "the other CPU remembers")
        // So frames and range are nobody's yet.
        #expect(frames.allSatisfy { !Self.isFree(machine, $0) })
        #expect(machine.statistics.areas.retiredPages == 3)
        #expect(machine.statistics.areas.areas == 0)
        let other = try #require(machine.allocate(3 * 4096, populate: true))
        #expect(other != address)
        try machine.checkAll()
        machine.free(address)
        #expect(machine.takeKinds() == [.doubleFree])
        #expect(machine.run { machine.vmalloc.value.find_vm_area(address) } == nil)

        #expect(machine.purge() == 3)
        #expect(throws: SimulatedFault.self) {
            try machine.run(onCPU: 1) { try machine.machine.load(address) as UInt64 }
        }
        #expect(frames.allSatisfy { Self.isFree(machine, $0) })
        try machine.checkAll()
        machine.free(other)
        #expect(machine.purge() == 3)
        #expect(machine.purge() == 0)
        #expect(machine.snapshot() == before)
    }

    @Test func onePurgeIsOneRoundForAll() throws {
        let machine = machine(cpuCount: 4)
        // Another area keeps the tables.
        let kept = try #require(machine.allocate(4096, populate: true))
        let areas = try (0..<100).map { _ in try #require(machine.allocate(2 * 4096, populate: true)) }
        for area in areas { machine.free(area) }
        let full = machine.machine.fullFlushCount
        let rounds = machine.machine.flushRoundCount
        #expect(machine.purge() == 200)
        #expect(machine.machine.fullFlushCount == full + 1 && machine.machine.flushRoundCount == rounds)
        // Few pages are flushed one by one, in one round all the same.
        let few = try (0..<4).map { _ in try #require(machine.allocate(3 * 4096, populate: true)) }
        for area in few { machine.free(area) }
        #expect(machine.purge() == 12)
        #expect(machine.machine.fullFlushCount == full + 1 && machine.machine.flushRoundCount == rounds + 1)
        machine.free(kept)
        try machine.checkAll()
    }

    @Test(arguments: [1, 2, 10, 64] as [UInt])
    func theThresholdPurges(threshold: UInt) throws {
        let machine = machine(threshold: threshold)
        var waited: UInt = 0
        for _ in 0..<200 {
            let address = try #require(machine.allocate(4096, populate: true))
            machine.free(address)
            // A page and its guard page.
            waited += 2
            if waited >= threshold { waited = 0 }
            #expect(machine.statistics.areas.retiredPages == waited / 2)
        }
        try machine.checkAll()
    }

    @Test func withoutAThresholdEachFreeEndsAtOnce() throws {
        let machine = machine(threshold: 0)
        let before = machine.snapshot()
        let address = try #require(machine.allocate(5 * 4096, populate: true))
        _ = try machine.run(onCPU: 1) { try machine.machine.load(address) as UInt64 }
        machine.free(address)
        #expect(throws: SimulatedFault.self) {
            try machine.run(onCPU: 1) { try machine.machine.load(address) as UInt64 }
        }
        #expect(machine.snapshot() == before)
        #expect(machine.purge() == 0)
    }

    @Test func oneCPUHasNobodyToTell() {
        let one = SimulatedMachine(cpuCount: 1)
        #expect(one.run { TestedVmalloc.usualPurgeThreshold } == 0)
        let two = SimulatedMachine(cpuCount: 2)
        #expect(two.run { TestedVmalloc.usualPurgeThreshold } == 8192)
        let sixteen = SimulatedMachine(cpuCount: 16)
        #expect(sixteen.run { TestedVmalloc.usualPurgeThreshold } == 4 * 8192)
    }

    @Test func whatIsShortIsPurged() throws {
        let machine = machine()
        let free = machine.snapshot().freeFrames
        let pages = free / 2
        // Frames that are mapped at once come back under pressure, and promises are made of them.
        for populate in [true, false] {
            let first = try #require(machine.allocate(pages * 4096, populate: true))
            machine.free(first)
            #expect(machine.statistics.areas.retiredPages == pages)
            let second = try #require(machine.allocate((free - 40) * 4096, populate: populate))
            #expect(machine.statistics.areas.retiredPages == 0)
            machine.free(second)
            machine.purge()
        }
        // So does anybody else who may wait.
        let third = try #require(machine.allocate((free - 20) * 4096, populate: true))
        machine.free(third)
        machine.run {
            var taken: [PageFrameNumber] = []
            while let frame = machine.frames.value.allocate(order: 0) { taken.append(frame) }
            #expect(taken.count > Int(free) - 20)
            for frame in taken { machine.frames.value.free(frame, order: 0) }
        }
        try machine.checkAll()
        // And addresses.
        let small = VirtualRange(VmallocMachine.space.start, VmallocMachine.space.start + 8 * 4096)
        let tight = VmallocMachine(cpuCount: 2, space: small, purgeThreshold: Self.never)
        for _ in 0..<10 {
            let address = tight.allocate(4 * 4096)
            #expect(address != nil)
            tight.free(address)
        }
        #expect(tight.machine.takeFailedAllocations().isEmpty)
        #expect(tight.allocate(9 * 4096) == nil)
        #expect(tight.machine.takeFailedAllocations().count == 1)
        try tight.checkAll()
    }

    @Test func aContextThatMayNotWaitLeavesThePurgeToOthers() throws {
        let machine = machine(threshold: 4)
        let before = machine.snapshot()
        let small = try #require(machine.allocate(8 * 4096, populate: true))
        let large = try #require(machine.allocate(600 * 4096, populate: true))
        let untouched = try #require(machine.allocate(600 * 4096))
        try machine.store(1, untouched + 599 * 4096)
        machine.run {
            let interrupts = SimulatedPlatform.disableInterrupts()
            machine.vmalloc.value.vfree_atomic(small)
            machine.vmalloc.value.vfree_atomic(large)
            machine.vmalloc.value.vfree_atomic(untouched)
            #expect(machine.vmalloc.value.purge() == 0)
            SimulatedPlatform.restoreInterrupts(interrupts)
        }
        // Where there may be pages of 2 MiB the area is freed at once.
        #expect(machine.statistics.areas.retiredPages == 608)
        #expect(machine.snapshot().promisedFrames == before.promisedFrames)
        #expect(throws: SimulatedFault.self) { try machine.load(small) }
        // A page that was never touched is no page any more.
        #expect(throws: SimulatedFault.self) { try machine.load(untouched) }
        #expect(machine.lastFatal?.place.place == .freed)
        try machine.checkAll()
        // The next call that may wait does it.
        machine.free(machine.allocate(4096))
        #expect(machine.statistics.areas.retiredPages == 0)
        machine.purge()
        try machine.checkAll()
        #expect(machine.snapshot() == before)
    }

    @Test func framesOfOthersAreNotPutOff() throws {
        let machine = machine()
        let frame = try #require(machine.takeFrame())
        let address = try #require(machine.map([frame]))
        _ = try machine.run(onCPU: 1) { try machine.machine.load(address) as UInt64 }
        machine.run { machine.vmalloc.value.vunmap(address) }
        #expect(machine.machine.cachedPages(leadingInto: PhysicalRange(frame.address, frame.address + 4096)) == [])
        machine.run { machine.frames.value.free(frame, order: 0) }
        #expect(machine.statistics.areas.retiredPages == 0)
        try machine.checkAll()
    }

    @Test func damagedTablesKeepTheirRange() throws {
        for isAtomic in [false, true] {
            let machine = machine()
            let address = try #require(machine.allocate(600 * 4096))
            for page in [0, 1, 599] as [UInt] { try machine.store(1, address + page * 4096) }
            machine.run {
                var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
                // Behind the area's back: the first page is gone.
                _ = try? machine.tables.value.unmap(address, using: &source)
                let interrupts = isAtomic ? SimulatedPlatform.disableInterrupts() : nil
                machine.vmalloc.value.free(address)
                if let interrupts { SimulatedPlatform.restoreInterrupts(interrupts) }
            }
            machine.purge()
            #expect(machine.takeKinds() == [.corruption])
        }
    }
}

extension VmallocMachine {
    func takeFrame() -> PageFrameNumber? { run { frames.value.allocate(order: 0) } }

    func map(_ frames: [PageFrameNumber]) -> VirtualAddress? {
        run { frames.withUnsafeBufferPointer { vmalloc.value.vmap($0) } }
    }
}
