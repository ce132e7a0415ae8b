import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Long random sequences of all that an area on demand goes through, against a dictionary of what was stored.
@Suite struct DemandWorkloadTests {
    private struct Model {
        var start: VirtualAddress
        var pages: UInt
        /// What was stored, by page.
        var words: [UInt: UInt64] = [:]
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64]) func everythingStoredIsFoundAgain(seed: UInt64) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        var options = VmallocOptions()
        if seed % 3 == 0 { options.mapsLargePages = false }
        // Caches and reserves as in the kernel, every other time.
        let machine = VmallocMachine(
            mebibytes: 40, options: seed % 2 == 0 ? PageFrameOptions() : VmallocMachine.exact, restingPages: 80,
            touches: options)
        var areas: [Model] = []
        var strangers: [PageFrameNumber] = []
        for step in 0..<260 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0, 1:
                let most: UInt = [4, 40, 700, 1700].randomElement(using: &random)!
                let pages = UInt.random(in: 1...most, using: &random)
                if let start = machine.allocate(pages * 4096) { areas.append(Model(start: start, pages: pages)) }
            case 2 where !areas.isEmpty:
                let area = areas.remove(at: Int.random(in: areas.indices, using: &random))
                try check(machine, area, &random)
                machine.free(area.start)
            case 3 where !areas.isEmpty:
                let index = Int.random(in: areas.indices, using: &random)
                try populate(machine, areas[index], &random)
            case 4 where !areas.isEmpty:
                let index = Int.random(in: areas.indices, using: &random)
                resize(machine, &areas[index], &random)
            case 5: tangle(machine, &strangers, &random)
            default:
                if areas.isEmpty { continue }
                let index = Int.random(in: areas.indices, using: &random)
                for _ in 0..<5 { try touch(machine, &areas[index], &random) }
            }
            try step % 20 == 0 ? machine.checkAll() : machine.check()
            let figures = machine.statistics.areas
            #expect(figures.promisedFrames == machine.snapshot().promisedFrames, "seed \(random.seed)")
            #expect(figures.presentPages <= figures.reservedPages)
        }
        for area in areas {
            try check(machine, area, &random)
            machine.free(area.start)
        }
        machine.run { for frame in strangers { machine.frames.value.free(frame, order: 0) } }
        try machine.checkAll()
        #expect(machine.statistics.areas == AreaStatistics())
        #expect(machine.snapshot().promisedFrames == 0)
        #expect(machine.takeKinds() == [])
    }

    private func touch(_ machine: VmallocMachine, _ area: inout Model, _ random: inout SeededGenerator) throws {
        let page = UInt.random(in: 0..<area.pages, using: &random)
        let place = area.start + page * 4096 + 8 * (page % 512)
        #expect(try machine.load(place) == area.words[page] ?? 0, "seed \(random.seed)")
        if Bool.random(using: &random) {
            let word = random.next()
            try machine.store(word, place)
            area.words[page] = word
        }
    }

    /// Everything stored, and as many pages nobody has stored to.
    private func check(_ machine: VmallocMachine, _ area: Model, _ random: inout SeededGenerator) throws {
        for (page, word) in area.words {
            #expect(try machine.load(area.start + page * 4096 + 8 * (page % 512)) == word, "seed \(random.seed)")
        }
        for _ in 0..<10 {
            let page = UInt.random(in: 0..<area.pages, using: &random)
            if area.words[page] == nil { #expect(try machine.load(area.start + page * 4096) == 0) }
        }
    }

    private func populate(_ machine: VmallocMachine, _ area: Model, _ random: inout SeededGenerator) throws {
        let first = UInt.random(in: 0..<area.pages, using: &random)
        let count = UInt.random(in: 1...(area.pages - first), using: &random)
        let start = area.start + first * 4096
        #expect(machine.run { machine.vmalloc.value.populate(VirtualRange(start, start + count * 4096)) })
        let faults = machine.statistics.resolvedFaults
        #expect(try machine.load(start + (count - 1) * 4096 + 4088) == 0 || area.words[first + count - 1] != nil)
        #expect(machine.statistics.resolvedFaults == faults)
    }

    private func resize(_ machine: VmallocMachine, _ area: inout Model, _ random: inout SeededGenerator) {
        let pages = UInt.random(in: 1...(area.pages + 30), using: &random)
        let new = machine.run { machine.vmalloc.value.vrealloc(area.start, pages * 4096, .kernel | .zero | .noWarn) }
        guard let new else { return }
        area.start = new
        area.pages = max(area.pages, pages)
    }

    /// Takes single frames, and gives others back, so that blocks become rare.
    private func tangle(
        _ machine: VmallocMachine, _ strangers: inout [PageFrameNumber], _ random: inout SeededGenerator
    ) {
        machine.run {
            for _ in 0..<300 {
                guard let frame = machine.frames.value.allocate(order: 0, flags: .kernel | .noWarn) else { break }
                strangers.append(frame)
            }
            strangers.shuffle(using: &random)
            for _ in 0..<min(strangers.count, 250) {
                machine.frames.value.free(strangers.removeLast(), order: 0)
            }
        }
    }
}
