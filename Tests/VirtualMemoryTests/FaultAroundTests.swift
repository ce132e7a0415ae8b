import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// What a touch brings besides its page, and what it does not.
@Suite struct FaultAroundTests {
    private static let window: UInt = 16 * 4096

    private func isPresent(_ machine: VmallocMachine, _ address: VirtualAddress) -> Bool {
        machine.run { machine.tables.value.translate(address) } != nil
    }

    /// The addresses of an area's pages that are there.
    private func present(_ machine: VmallocMachine, _ start: VirtualAddress, _ pages: UInt) -> [VirtualAddress] {
        (0..<pages).map { start + $0 * 4096 }.filter { isPresent(machine, $0) }
    }

    /// An area whose windows are cut off at both ends.
    private func area(_ machine: VmallocMachine, _ pages: UInt) throws -> VirtualAddress {
        let start = try #require(machine.allocate(pages * 4096))
        if !start.isAligned(to: Self.window) { return start }
        // The next one begins behind a guard page.
        return try #require(machine.allocate(pages * 4096))
    }

    @Test func aTouchBringsTheWindowCutToTheArea() throws {
        let machine = VmallocMachine(touches: VmallocOptions())
        let start = try area(machine, 40)
        let end = start + 40 * 4096
        for touched in [39, 0, 20] as [UInt] {
            let address = start + touched * 4096
            let old = present(machine, start, 40)
            let faults = machine.statistics.resolvedFaults
            try machine.store(UInt64(touched), address)
            #expect(machine.statistics.resolvedFaults == faults + 1)
            let aligned = address.roundedDown(to: Self.window)
            let expected = (0..<16 as Range<UInt>).map { aligned + $0 * 4096 }.filter { start <= $0 && $0 < end }
            #expect(Set(present(machine, start, 40)) == Set(old + expected))
            for page in expected where page != address { #expect(try machine.load(page) == 0) }
            try machine.checkAll()
        }
        #expect(machine.lookup(start - 4096) == .none && machine.lookup(end) == .none)
        machine.free(start)
        try machine.checkAll()
        #expect(machine.snapshot().promisedFrames == 0 || machine.statistics.areas.areas == 1)
        #expect(machine.takeKinds() == [])
    }

    /// Memory that is not zero, so that what is not cleared shows.
    @Test(arguments: [0, 7, 15] as [UInt]) func everyPageOfAWindowIsClearedAndDistinct(touched: UInt) throws {
        let machine = VmallocMachine(touches: VmallocOptions())
        let dirty = try #require(machine.allocate(1024 * 4096, populate: true))
        for page in 0..<UInt(1024) {
            for word in [0, 8, 2048, 4088] as [UInt] { try machine.store(.max, dirty + page * 4096 + word) }
        }
        machine.free(dirty)
        let start = try #require(machine.allocate(64 * 4096))
        for window in 0..<UInt(4) { try machine.store(1, start + (window * 16 + touched) * 4096 + 16) }
        var frames: Set<PhysicalAddress> = []
        for page in present(machine, start, 64) {
            let frame = machine.run { machine.tables.value.translate(page)?.physical }
            #expect(frames.insert(try #require(frame)).inserted)
            for word in [0, 8, 2048, 4088] as [UInt] { #expect(try machine.load(page + word) == 0) }
        }
        #expect(frames.count >= 48)
        machine.free(start)
        try machine.checkAll()
    }

    @Test(arguments: [4096, 8192, 20480, 65536, 1 << 20, 0] as [UInt]) func howMuchATouchBringsIsAParameter(
        byteCount: UInt
    )
        throws
    {
        var options = VmallocOptions()
        options.setFaultAround(byteCount: byteCount)
        let machine = VmallocMachine(touches: options)
        let start = try #require(machine.allocate(64 * 4096))
        let touched = try #require(start.roundedUp(to: Self.window)) + 5 * 4096
        try machine.store(1, touched)
        let pages: [UInt: Int] = [4096: 1, 8192: 2, 20480: 4, 65536: 16, 1 << 20: 16, 0: 1]
        #expect(present(machine, start, 64).count == pages[byteCount])
        machine.free(start)
        try machine.checkAll()
    }

    @Test func whoAsksForOnePageATouchGetsOne() throws {
        let machine = VmallocMachine(mebibytes: 16, touches: VmallocOptions())
        let before = machine.snapshot()
        for pages in [32, 1024] as [UInt] {
            let request = AreaRequest(.vmalloc, pageCount: pages, name: "one by one")
            let area = machine.run { machine.vmalloc.value.allocateOnDemand(request) }
            let start = try #require(area).usable.start
            for touched in [9, 31, 10] as [UInt] {
                try machine.store(1, start + touched * 4096)
                try machine.checkAll()
            }
            #expect(machine.statistics.areas.presentPages == 3)
            machine.free(start)
            #expect(machine.snapshot() == before)
        }
    }

    /// Only single frames are left, all others being in use: a touch brings its page, and promises are kept.
    @Test func withoutBlocksATouchBringsOnePage() throws {
        let machine = VmallocMachine(mebibytes: 16, touches: VmallocOptions())
        let start = try #require(machine.allocate(600 * 4096))
        var taken: [PageFrameNumber] = []
        machine.run {
            // Every other frame of what is not promised and of what is.
            while let frame = machine.frames.value.allocate(order: 0, flags: .kernel | .noWarn) { taken.append(frame) }
            let promised = Int(machine.frames.value.promisedFrames)
            machine.frames.value.withdrawPromise(frames: promised)
            while let frame = machine.frames.value.allocate(order: 0, flags: .kernel | .noWarn) { taken.append(frame) }
            for frame in taken where frame.rawValue % 2 == 0 { machine.frames.value.free(frame, order: 0) }
            taken.removeAll { $0.rawValue % 2 == 0 }
            let isPromised = machine.frames.value.promise(frames: promised)
            #expect(isPromised)
            while let frame = machine.frames.value.allocate(order: 0, flags: .kernel | .noWarn) { taken.append(frame) }
        }
        for (count, page) in [0, 599, 20, 300, 21].enumerated() as EnumeratedSequence<[UInt]> {
            try machine.store(UInt64(page), start + page * 4096)
            #expect(machine.statistics.areas.presentPages == UInt(count) + 1)
            try machine.checkAll()
        }
        for page in 0..<UInt(600) { try machine.store(UInt64(page), start + page * 4096) }
        for page in 0..<UInt(600) { #expect(try machine.load(start + page * 4096) == UInt64(page)) }
        #expect(machine.snapshot().promisedFrames == 0)
        machine.free(start)
        machine.run { for frame in taken { machine.frames.value.free(frame, order: 0) } }
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    /// Some pages of a window are there already: those next to the touched one come, up to them.
    @Test func pagesThatAreThereEndTheRun() throws {
        let machine = VmallocMachine(touches: VmallocOptions())
        let start = try #require(machine.allocate(64 * 4096))
        let window = try #require(start.roundedUp(to: Self.window))
        // Read-only, and so unlike the touched one.
        let stranger = VirtualRange(window + 9 * 4096, window + 10 * 4096)
        try machine.run {
            var source = NoTables()
            try machine.tables.value.protectRange(stranger, permissions: .readOnly, using: &source)
        }
        try machine.store(1, window + 3 * 4096)
        #expect(present(machine, start, 64) == (0..<9 as Range<UInt>).map { window + $0 * 4096 })
        #expect(throws: SimulatedFault.self) { try machine.store(1, stranger.start) }
        #expect(machine.lastFatal?.reason == .notWritable)
        #expect(try machine.load(stranger.start) == 0)
        #expect(present(machine, start, 64).count == 10)
        try machine.store(1, window + 12 * 4096)
        #expect(present(machine, start, 64).count == 16)
        try machine.checkAll()
        machine.free(start)
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }
}
