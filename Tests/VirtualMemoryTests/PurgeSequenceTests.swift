import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import TestSupport
import Testing

@testable import VirtualMemory

/// Random sequences on several CPUs whose TLBs forget nothing by themselves.
@Suite struct PurgeSequenceTests {
    private struct Live {
        var address: VirtualAddress
        var pages: UInt
        var stamp: UInt64
    }

    /// Every frame of a free block, seen from every CPU: reached through no page that a CPU remembers.
    private func expectNoFreeFrameReached(_ machine: VmallocMachine, _ frames: Set<PageFrameNumber>) {
        for frame in frames where PurgeTests.isFree(machine, frame) {
            let range = PhysicalRange(frame.address, frame.address + 4096)
            #expect(machine.machine.cachedPages(leadingInto: range) == [], "frame \(frame) is free")
        }
    }

    @Test(arguments: [0, 1, 64, 1 << 40] as [UInt], [0, 8] as [UInt])
    func nothingIsReusedBeforeItsRound(threshold: UInt, restingPages: UInt) throws {
        var random = SeededGenerator.fromEnvironment(default: 0x9a7e_0001 + UInt64(threshold % 97 * 16 + restingPages))
        let cpuCount = 3
        let machine = VmallocMachine(
            mebibytes: 6, cpuCount: cpuCount, restingPages: restingPages, purgeThreshold: threshold)
        machine.settle()
        let before = machine.snapshot()
        var live: [Live] = []
        var seen: Set<PageFrameNumber> = []
        for step in 0..<1500 {
            let cpu = Int.random(in: 0..<cpuCount, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                let pages = UInt.random(in: 1...24, using: &random)
                let populate = Bool.random(using: &random)
                guard
                    let address = machine.run(
                        onCPU: cpu, { machine.vmalloc.value.allocate(pages * 4096, populate: populate) })
                else {
                    // Memory is full: of areas in use alone.
                    #expect(machine.statistics.areas.retiredPages == 0, "step \(step)")
                    break
                }
                for page in 0..<pages where Bool.random(using: &random) {
                    let writer = Int.random(in: 0..<cpuCount, using: &random)
                    try machine.run(onCPU: writer) {
                        try machine.machine.store(UInt64(step) << 16 | UInt64(page), to: address + page * 4096)
                    }
                }
                for page in 0..<pages {
                    guard let found = machine.run({ machine.tables.value.translate(address + page * 4096) }) else {
                        continue
                    }
                    seen.insert(PageFrameNumber(containing: found.physical))
                }
                live.append(Live(address: address, pages: pages, stamp: UInt64(step)))
            case 4..<7:
                guard !live.isEmpty else { break }
                let area = live.remove(at: Int.random(in: 0..<live.count, using: &random))
                let isAtomic = Bool.random(using: &random)
                machine.run(onCPU: cpu) {
                    let interrupts = isAtomic ? SimulatedPlatform.disableInterrupts() : nil
                    machine.vmalloc.value.free(area.address)
                    if let interrupts { SimulatedPlatform.restoreInterrupts(interrupts) }
                    for page in 0..<area.pages {
                        #expect(throws: SimulatedFault.self) {
                            try machine.machine.load(area.address + page * 4096) as UInt64
                        }
                    }
                }
            case 7..<9:
                // Any CPU reads any area in use, and so remembers its pages.
                guard let area = live.randomElement(using: &random) else { break }
                try machine.run(onCPU: cpu) {
                    for page in 0..<area.pages {
                        let value = try machine.machine.load(area.address + page * 4096) as UInt64
                        #expect(value == 0 || value == area.stamp << 16 | UInt64(page) || value >> 16 != area.stamp)
                    }
                }
            default:
                if Int.random(in: 0..<4, using: &random) == 0 {
                    machine.run(onCPU: cpu) { _ = machine.vmalloc.value.purge() }
                }
            }
            #expect(machine.machine.takeStaleTranslations() == [], "step \(step)")
            if step % 50 == 0 {
                expectNoFreeFrameReached(machine, seen)
                try machine.checkAll()
            }
        }
        for area in live { machine.free(area.address) }
        machine.purge()
        expectNoFreeFrameReached(machine, seen)
        machine.settle()
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
        #expect(machine.snapshot() == before)
    }

    /// Each allocation of frames or objects failing in turn, with areas that wait.
    @Test(arguments: [false, true])
    func failuresWithAreasThatWait(populate: Bool) throws {
        let machine = VmallocMachine(mebibytes: 6, cpuCount: 2, purgeThreshold: PurgeTests.never)
        machine.settle()
        let before = machine.snapshot()
        for left in 0..<40 as Range<UInt> {
            let waiting = try #require(machine.allocate(16 * 4096, populate: true))
            machine.free(waiting)
            machine.withFramesLeft(left) {
                if let address = machine.allocate(20 * 4096, populate: populate) { machine.free(address) }
            }
            machine.settle()
            try machine.checkAll()
            #expect(machine.snapshot() == before, "with \(left) frames left")
        }
    }

    @Test func severalCPUsFreeAndPurgeAtOnce() throws {
        let machine = VmallocMachine(mebibytes: 16, cpuCount: 4, restingPages: 16, purgeThreshold: 100)
        machine.settle()
        let before = machine.snapshot()
        let seeds = SeededGenerator.fromEnvironment(default: 0x9a7e_0002)
        machine.machine.onAllCPUs { cpu in
            var random = seeds.forCPU(cpu)
            var live: [VirtualAddress] = []
            for step in 0..<400 {
                if live.count < 8,
                    let address = machine.vmalloc.value.allocate(
                        UInt.random(in: 1...12, using: &random) * 4096, populate: step % 2 == 0)
                {
                    try? machine.machine.store(UInt64(cpu), to: address)
                    #expect(try! machine.machine.load(address) as UInt64 == UInt64(cpu))
                    live.append(address)
                } else if !live.isEmpty {
                    machine.vmalloc.value.free(live.remove(at: Int.random(in: 0..<live.count, using: &random)))
                }
                if step % 97 == 0 { machine.vmalloc.value.vm_unmap_aliases() }
            }
            for address in live { machine.vmalloc.value.free(address) }
        }
        machine.purge()
        machine.settle()
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
        #expect(machine.snapshot() == before)
    }
}

extension VmallocMachine {
    /// Ends what was put off, and gives back what is kept for the next.
    func settle() {
        run {
            vmalloc.value.purge()
            vmalloc.value.ranges.giveUpResting()
            kmalloc.value.shrink()
        }
    }
}
