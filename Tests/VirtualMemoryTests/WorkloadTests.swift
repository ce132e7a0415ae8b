import Foundation
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Synchronization
import TestSupport
import Testing

@testable import VirtualMemory

/// Long mixtures of calls, on one CPU against a model, and on several.
@Suite struct WorkloadTests {
    /// What should be in an area: the words that were written, by page; everything else is 0.
    struct Model {
        var address: VirtualAddress
        var pages: UInt
        var isPopulated: Bool
        var words: [UInt: UInt64] = [:]
        var touched: Set<UInt> = []
    }

    @Test(arguments: [UInt64(21), 22], [VmallocMachine.exact, PageFrameOptions()])
    func contentsFollowTheModel(seed: UInt64, options: PageFrameOptions) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        let machine = VmallocMachine(options: options)
        let before = machine.snapshot()
        var areas: [Model] = []
        for step in 0..<1200 {
            switch Int.random(in: 0..<100, using: &random) {
            case ..<25 where areas.count < 24:
                let pages = UInt.random(in: 1...30, using: &random)
                let isPopulated = Bool.random(using: &random)
                let size = pages * 4096 - UInt.random(in: 0..<4096, using: &random)
                if let address = machine.allocate(size, flags: [.kernel, .zero], populate: isPopulated) {
                    #expect(areas.allSatisfy { address + pages * 4096 < $0.address || $0.address < address })
                    areas.append(Model(address: address, pages: pages, isPopulated: isPopulated))
                }
            case ..<85:
                guard let index = areas.indices.randomElement(using: &random) else { continue }
                let page = UInt.random(in: 0..<areas[index].pages, using: &random)
                let address = areas[index].address + page * 4096 + 8 * (page & 511)
                #expect(try machine.load(address) == areas[index].words[page] ?? 0)
                areas[index].touched.insert(page)
                if Bool.random(using: &random) {
                    let word = random.next()
                    try machine.store(word, address)
                    areas[index].words[page] = word
                }
            default:
                guard let index = areas.indices.randomElement(using: &random) else { continue }
                let area = areas.remove(at: index)
                machine.free(area.address)
                #expect(throws: SimulatedFault.self) { try machine.load(area.address) }
            }
            try machine.check()
            if step % 50 == 0 { try machine.checkAll() }
            let figures = machine.statistics.areas
            #expect(figures.areas == UInt(areas.count))
            #expect(figures.reservedPages == areas.reduce(0) { $0 + $1.pages })
            let present = areas.reduce(0) { $0 + ($1.isPopulated ? $1.pages : UInt($1.touched.count)) }
            #expect(figures.presentPages == present)
        }
        for area in areas { machine.free(area.address) }
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    static let cpuCount = 4

    /// One by one, by windows, and 2 MiB at a time.
    @Test(
        arguments: [(VmallocMachine.onePage, 256), (VmallocOptions(), 256), (VmallocOptions(), 1100)]
            as [(VmallocOptions, UInt)])
    func allCPUsTouchTheSamePages(touches: VmallocOptions, pages: UInt) throws {
        let machine = VmallocMachine(mebibytes: 16, cpuCount: Self.cpuCount, touches: touches)
        let before = machine.snapshot()
        let errors = Atomic<Int>(0)
        for _ in 0..<6 {
            let address = try #require(machine.allocate(pages * 4096))
            let faults = machine.statistics.resolvedFaults
            // Not one frame beyond those promised is there, so that taking two for a page would show.
            machine.withFramesLeft(0) {
                let started = Atomic<Int>(0)
                machine.machine.onAllCPUs { cpu in
                    started.add(1, ordering: .acquiringAndReleasing)
                    while started.load(ordering: .acquiring) < Self.cpuCount {}
                    for page in 0..<pages {
                        let place = address + page * 4096 + UInt(cpu) * 8
                        do {
                            if try machine.machine.load(place, as: UInt64.self) != 0 {
                                errors.add(1, ordering: .relaxed)
                            }
                            try machine.machine.store(UInt64(page) + 1, to: place)
                        } catch {
                            errors.add(1, ordering: .relaxed)
                        }
                    }
                }
            }
            #expect(errors.load(ordering: .relaxed) == 0)
            // As many as pages, or fewer where each brings others.
            let resolved = machine.statistics.resolvedFaults - faults
            #expect(touches.faultAroundPages == 1 ? resolved == pages : resolved <= pages)
            #expect(machine.statistics.areas.presentPages == pages)
            #expect(machine.snapshot().promisedFrames == before.promisedFrames)
            // What each CPU wrote is in the one frame that all of them use.
            for page in 0..<pages {
                for cpu in 0..<UInt(Self.cpuCount) {
                    #expect(try machine.load(address + page * 4096 + cpu * 8) == UInt64(page) + 1)
                }
            }
            try machine.checkAll()
            machine.free(address)
        }
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    @Test func eachCPUHasAreasOfItsOwn() throws {
        let seeded = SeededGenerator.fromEnvironment(default: 31)
        let machine = VmallocMachine(mebibytes: 16, cpuCount: Self.cpuCount, touches: VmallocOptions())
        let before = machine.snapshot()
        let errors = Atomic<Int>(0)
        machine.machine.onAllCPUs { cpu in
            var random = seeded.forCPU(cpu)
            var live: [(address: VirtualAddress, pages: UInt)] = []
            for _ in 0..<400 {
                let pages = UInt.random(in: 1...20, using: &random)
                if Bool.random(using: &random) || live.isEmpty {
                    let populate = Bool.random(using: &random)
                    guard
                        let address = machine.vmalloc.value.allocate(
                            pages * 4096, flags: [.kernel, .zero], populate: populate)
                    else { continue }
                    live.append((address, pages))
                    for page in 0..<pages where page % 3 != 1 {
                        let place = address + page * 4096
                        if (try? machine.machine.load(place, as: UInt64.self)) != 0 {
                            errors.add(1, ordering: .relaxed)
                        }
                        do {
                            try machine.machine.store(UInt64(cpu) + 1, to: place)
                        } catch {
                            errors.add(1, ordering: .relaxed)
                        }
                    }
                } else {
                    let area = live.remove(at: Int.random(in: live.indices, using: &random))
                    for page in 0..<area.pages where page % 3 != 1 {
                        if (try? machine.machine.load(area.address + page * 4096)) != UInt64(cpu) + 1 {
                            errors.add(1, ordering: .relaxed)
                        }
                    }
                    machine.vmalloc.value.free(area.address)
                }
            }
            for area in live { machine.vmalloc.value.free(area.address) }
        }
        #expect(errors.load(ordering: .relaxed) == 0)
        try machine.checkAll()
        #expect(machine.snapshot().areas == before.areas)
        #expect(machine.snapshot().promisedFrames == before.promisedFrames)
        #expect(machine.snapshot().tables == before.tables)
        #expect(machine.takeKinds() == [])
    }

    @Test func freeWaitsForTheFaultsThatHaveBegun() throws {
        let machine = VmallocMachine(cpuCount: 2, touches: VmallocOptions())
        let address = try #require(machine.allocate(32 * 4096))
        let isFreed = Atomic<Bool>(false)
        let freed = DispatchSemaphore(value: 0)
        machine.run {
            // As a fault of the area's last page does, which is under way.
            machine.vmalloc.value.faultLocks.withLock(for: address + 31 * 4096) {
                let thread = Thread {
                    machine.run(onCPU: 1) { machine.vmalloc.value.free(address) }
                    isFreed.store(true, ordering: .releasing)
                    freed.signal()
                }
                thread.start()
                while machine.ranges.area(containing: address)?.state == .live { SimulatedPlatform.relax() }
                Thread.sleep(forTimeInterval: 0.1)
                let isOver = isFreed.load(ordering: .acquiring)
                #expect(!isOver)
                #expect(machine.lookup(address + 31 * 4096) == .demand(.readWrite))
            }
        }
        freed.wait()
        #expect(machine.run { machine.ranges.area(containing: address)?.state } == nil)
        try machine.checkAll()
    }

    /// An error of whoever uses the memory; it must not make the accounts wrong.
    @Test func aTouchThatRacesWithFreeIsResolvedOrRefused() throws {
        let machine = VmallocMachine(mebibytes: 16, cpuCount: Self.cpuCount, touches: VmallocOptions())
        let before = machine.snapshot()
        for round in 0..<40 {
            let address = try #require(machine.allocate(64 * 4096))
            let started = Atomic<Int>(0)
            machine.withFramesLeft(0) {
                machine.machine.onAllCPUs { cpu in
                    started.add(1, ordering: .acquiringAndReleasing)
                    while started.load(ordering: .acquiring) < Self.cpuCount {}
                    if cpu == 0 {
                        for _ in 0..<round * 50 { SimulatedPlatform.relax() }
                        machine.vmalloc.value.free(address)
                    } else {
                        for page in 0..<64 as Range<UInt> {
                            _ = try? machine.machine.load(address + page * 4096, as: UInt64.self)
                        }
                    }
                }
            }
            // The users are at fault, so that a use of a stale entry while it is being flushed is theirs.
            _ = machine.machine.takeStaleTranslations()
            try machine.checkAll()
            #expect(machine.snapshot() == before)
            #expect(machine.takeKinds() == [])
        }
    }
}
