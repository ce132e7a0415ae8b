import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Areas whose pages are due 2 MiB or 1 GiB at a time.
@Suite struct LargeDemandTests {
    private static let mebibyte: UInt = 1 << 20
    private static let large: UInt = 512

    @Test func aTouchBrings2MiBWhereTheyLieWholeInTheArea() throws {
        let machine = VmallocMachine(mebibytes: 32, touches: VmallocOptions())
        let before = machine.snapshot()
        // Leave something in the frames.
        let dirty = try #require(machine.allocate(24 * Self.mebibyte, populate: true))
        for page in 0..<UInt(24 * 256) { try machine.store(.max, dirty + page * 4096 + 8) }
        machine.free(dirty)
        let pages = 2 * Self.large + 100
        let start = try #require(machine.allocate(pages * 4096))
        #expect(start.isAligned(to: 2 * Self.mebibyte))
        // A table for each of the two.
        #expect(machine.snapshot().promisedFrames == pages + 2)
        #expect(machine.statistics.areas.committedFrames == pages + 2)
        try machine.checkAll()
        #expect(try machine.load(start + 3 * Self.mebibyte) == 0)
        #expect(machine.statistics.areas.presentPages == 512)
        #expect(machine.snapshot().promisedFrames == 612 + 1)
        #expect(machine.statistics.areas.committedFrames == pages + 1)
        #expect(machine.run { machine.tables.value.translate(start + 3 * Self.mebibyte)?.size } == .size2MiB)
        for page in 0..<Self.large { #expect(try machine.load(start + 2 * Self.mebibyte + page * 4096 + 8) == 0) }
        #expect(machine.statistics.resolvedFaults == 1)
        // The rest is due in pages.
        try machine.store(1, start + 2 * Self.large * 4096 + 5 * 4096)
        #expect(machine.statistics.areas.presentPages == 512 + 16)
        try machine.checkAll()
        machine.free(start)
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    /// Without blocks of 2 MiB, and where they are not wanted, the entry is cut, with the table that was promised.
    @Test(arguments: [false, true]) func withoutLargeBlocksTheEntryIsCut(areWanted: Bool) throws {
        var options = VmallocOptions()
        options.mapsLargePages = areWanted
        let machine = VmallocMachine(mebibytes: 16, touches: options)
        let before = machine.snapshot()
        var taken: [PageFrameNumber] = []
        if areWanted {
            // One frame in each 2 MiB is in use.
            machine.run {
                while let frame = machine.frames.value.allocate(order: 0, flags: .kernel | .noWarn) {
                    taken.append(frame)
                }
                for frame in taken where frame.rawValue % 512 != 77 { machine.frames.value.free(frame, order: 0) }
                taken.removeAll { $0.rawValue % 512 != 77 }
            }
        }
        let middle = machine.snapshot()
        let start = try #require(machine.allocate(2 * Self.large * 4096))
        let tables = machine.snapshot().tables
        try machine.withFramesLeft(0) {
            try machine.store(1, start + 4096)
            #expect(machine.snapshot().tables == tables + 1)
            #expect(machine.statistics.areas.presentPages == 16)
            #expect(machine.snapshot().promisedFrames == 1024 - 16 + 1)
            try machine.checkAll()
            for page in 0..<2 * Self.large { try machine.store(UInt64(page), start + page * 4096) }
        }
        for page in 0..<2 * Self.large { #expect(try machine.load(start + page * 4096) == UInt64(page)) }
        #expect(machine.snapshot().promisedFrames == 0)
        machine.free(start)
        try machine.checkAll()
        #expect(machine.snapshot() == middle)
        machine.run { for frame in taken { machine.frames.value.free(frame, order: 0) } }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    @Test func aGibibyteIsOneEntryUntilItIsTouched() throws {
        let machine = VmallocMachine(mebibytes: 1100, touches: VmallocOptions())
        let before = machine.snapshot()
        let pages: UInt = 262_144 + 512 + 3
        let start = try #require(machine.allocate(pages * 4096))
        #expect(start.isAligned(to: 1 << 30))
        let promised = pages + 513 + 1
        #expect(machine.snapshot().promisedFrames == promised)
        func entries() throws -> [UInt] {
            var sizes: [UInt] = []
            try machine.run {
                try machine.tables.value.walk(from: start, through: start + (pages * 4096 - 1)) { entry in
                    sizes.append(entry.byteCount)
                    return true
                }
            }
            return sizes
        }
        #expect(try entries() == [1 << 30, 2 << 20, 4096, 4096, 4096])
        try machine.checkAll()
        try machine.store(5, start + (512 << 20))
        #expect(try entries().count == 512 + 4)
        #expect(machine.snapshot().promisedFrames == promised - 512 - 2)
        try machine.checkAll()
        #expect(try machine.load(start + (512 << 20)) == 5)
        machine.free(start)
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        // And without a touch.
        machine.free(machine.allocate(1 << 30))
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    @Test func populateBringsAllOfIt() throws {
        let machine = VmallocMachine(mebibytes: 32, touches: VmallocOptions())
        let before = machine.snapshot()
        let start = try #require(machine.allocate(1500 * 4096))
        let part = VirtualRange(start + 500 * 4096, start + 1400 * 4096)
        #expect(machine.run { machine.vmalloc.value.populate(part) })
        let faults = machine.statistics.resolvedFaults
        for page in 500..<UInt(1400) { try machine.store(1, start + page * 4096) }
        #expect(machine.statistics.resolvedFaults == faults && machine.statistics.spuriousFaults == 0)
        // Two large pages, and the windows of the rest.
        #expect(faults == 2 + (1400 - 1024) / 16 + 1)
        try machine.checkAll()
        #expect(!machine.run { machine.vmalloc.value.populate(VirtualRange(start, start + 1501 * 4096)) })
        #expect(machine.statistics.areas.presentPages == 1500)
        machine.free(start)
        #expect(machine.snapshot() == before)
    }

    /// With 0, 1, 2 ... frames left, each frame that a large area needs is missing in turn; and no touch ever fails.
    @Test func everyFailureLeavesEverythingAsBefore() throws {
        let machine = VmallocMachine(mebibytes: 16, touches: VmallocOptions())
        let before = machine.snapshot()
        let pages: UInt = 1024 + 700
        var failures: UInt = 0
        for left in (0..<pages + 30).filter({ $0 < 6 || $0 + 5 > pages || $0 % 311 == 0 }) {
            let succeeded = try machine.withFramesLeft(left) {
                let before = machine.snapshot()
                let start = machine.allocate(pages * 4096)
                if start == nil { #expect(machine.snapshot() == before, "with \(left) frames left") }
                try machine.checkAll()
                if let start {
                    for page in stride(from: pages - 1, through: 0, by: -31) {
                        try machine.store(UInt64(page), start + page * 4096)
                    }
                    for page in stride(from: pages - 1, through: 0, by: -31) {
                        #expect(try machine.load(start + page * 4096) == UInt64(page))
                    }
                    try machine.checkAll()
                    machine.free(start)
                    #expect(machine.snapshot() == before)
                }
                return start != nil
            }
            if succeeded { break }
            failures = left + 1
        }
        #expect(failures >= pages + 3 && failures < pages + 20)
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    /// Sizes on both sides of what large entries begin with: all that is promised comes back.
    @Test(arguments: [511, 512, 513, 1023, 1024, 1025] as [UInt]) func sizesAroundLargePages(pages: UInt) throws {
        let machine = VmallocMachine(mebibytes: 16, touches: VmallocOptions())
        let before = machine.snapshot()
        let start = try #require(machine.allocate(pages * 4096))
        #expect(machine.snapshot().promisedFrames == pages + pages / 512)
        try machine.checkAll()
        #expect(machine.lookup(start + pages * 4096) == .none)
        for page in [0, pages - 1, pages / 2] { try machine.store(UInt64(page) + 1, start + page * 4096) }
        try machine.checkAll()
        #expect(throws: SimulatedFault.self) { try machine.store(1, start + pages * 4096) }
        machine.free(start)
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }
}
