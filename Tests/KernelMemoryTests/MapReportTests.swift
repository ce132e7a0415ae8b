import BootMemory
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing
import VirtualMemory

@testable import KernelMemory
@testable import Slab

/// The reports `frames`, `slabs`, `areas` and the map of text, held against the allocators' own answers, frame by frame.
@Suite struct MapReportTests {
    static let configurations: [Configuration] = {
        var cached = Configuration()
        cached.frames = PageFrameOptions()
        cached.cpuCount = 4
        var watched = Configuration()
        watched.slab.sampleInterval = 3
        watched.slab.guardedObjectCount = 20
        watched.slab.quarantineByteCount = 100_000
        return [Configuration(), cached, watched]
    }()

    /// Everything that there is, some of it given back: objects, blocks, areas touched in part, stacks.
    static func fill(_ machine: KernelMachine, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var objects: [UnsafeMutableRawPointer?] = []
        var blocks: [(PageFrameNumber, Int)] = []
        for _ in 0..<600 {
            let cpu = Int.random(in: 0..<machine.configuration.cpuCount, using: &generator)
            let size = UInt.random(in: 1...(Bool.random(using: &generator) ? 300 : 40_000), using: &generator)
            let order = Int.random(in: 0...9, using: &generator)
            let isFreed = Int.random(in: 0..<3, using: &generator) == 0
            machine.run(onCPU: cpu) {
                objects.append(machine.kmalloc(size))
                if isFreed, let block = blocks.popLast() { machine.freeFrames(block.0, block.1) }
                if isFreed { machine.kfree(objects.remove(at: objects.count / 2)) }
                if size < 40, let frame = machine.allocateFrames(order) { blocks.append((frame, order)) }
            }
        }
        for index in 0..<12 as Range<UInt> {
            let area = try #require(machine.run { machine.vmalloc(index * 70_000 + 1, populate: index % 3 == 0) })
            try machine.store(1, area + index * 70_000 & ~7)
            if index % 4 == 1 { machine.run { machine.vfree(area) } }
            _ = machine.run { machine.makeStack(pages: 4) }
        }
        _ = machine.run { machine.vmalloc(5 << 20) }
    }

    private static let letters: [String: (Character, [FrameState])] = [
        "free": (".", [.free, .absent]), "cached": ("C", [.interior]), "slab": ("S", [.slab, .slabTail]),
        "slab-bookkeeping": ("B", [.allocatedHead, .interior]), "kmalloc": ("K", [.allocatedHead, .interior]),
        "page-table": ("T", [.table]), "vmalloc": ("V", [.allocatedHead, .interior]),
        "stack": ("P", [.allocatedHead]), "guarded": ("G", [.allocatedHead]), "dma": ("D", [.allocatedHead]),
        "allocated": ("A", [.allocatedHead, .interior]), "reserved": ("R", [.reserved, .absent]),
    ]

    @Test(arguments: [MachineMap.pc(bytes: 64 << 20), .large(gibibytes: 5)], configurations.indices)
    func everyFrameStandsInOneLineWithItsUse(map: MachineMap, index: Int) throws {
        let machine = try KernelMachine(map, Self.configurations[index])
        try Self.fill(machine, seed: 17)
        let runs = try machine.frameLines()
        let memory = machine.memory
        var expected: [UInt] = []
        machine.run { memory.value.boot.value.forEachMemoryRange { expected += [$0.start.rawValue, $0.end.rawValue] } }
        // Neighbours joined, the lines are the ranges of memory, in whole frames.
        var found: [UInt] = []
        for run in runs {
            if found.last == run.first << 12 { found.removeLast() } else { found.append(run.first << 12) }
            found.append((run.first + run.count) << 12)
        }
        #expect(found == expected.enumerated().map { ($1 + ($0 % 2 == 0 ? 4095 : 0)) & ~4095 })
        var reservations: [(Range<UInt>, RegionOwner)] = []
        machine.run { memory.value.boot.value.forEachReserved { reservations.append(($0.addresses, $1)) } }
        for run in runs {
            let states = try #require(Self.letters[run.use], "\(run)").1
            for frame in run.first..<run.first + run.count {
                let state = machine.run { memory.value.frames.value.state(of: PageFrameNumber(frame)) }
                if !states.contains(state) { Issue.record("frame \(frame) is \(state.name), and its line \(run)") }
                guard run.use == "reserved" else { continue }
                // A reservation that has a part of a frame has it all; of two the lower.
                let owner = reservations.first { $0.0.lowerBound < (frame + 1) << 12 && frame << 12 < $0.0.upperBound }?
                    .1
                #expect(run.name == owner.map { "\($0.name)" })
            }
        }
        try machine.check()
    }

    /// By its physical address, by the direct map's, and by the vmalloc space's.
    @Test(arguments: configurations.indices) func anAddressIsToldTheLineOfItsFrame(index: Int) throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20), Self.configurations[index])
        try Self.fill(machine, seed: 29)
        let memory = machine.memory
        func use(_ address: VirtualAddress) -> [String] {
            machine.reportLines { memory.value.writeUse(of: address, scratch: machine.mapScratch, to: &$0) }
        }
        var uses: Set<String> = []
        for line in machine.reportLines({ memory.value.writeFrames(scratch: machine.mapScratch, to: &$0) }) {
            guard let match = line.wholeMatch(of: /0x([0-9a-f]+)-0x([0-9a-f]+) \d+ ([\w-]+).*/) else { continue }
            for frame in [UInt(match.1, radix: 16)!, UInt(match.2, radix: 16)!] where frame != 0 {
                #expect(use(VirtualAddress(frame << 12)) == ["on the map: \(line)"])
                #expect(use(machine.direct(frame << 12 + 4095)) == ["on the map: \(line)"])
            }
            uses.insert(String(match.3))
        }
        #expect(uses.isSuperset(of: ["free", "slab", "slab-bookkeeping", "kmalloc", "vmalloc", "stack", "reserved"]))
        let area = try #require(machine.run { machine.vmalloc(4096, populate: true) })
        #expect(use(area).first?.contains(" vmalloc order=") == true)
        #expect(use(area + 4096) == [], "a guard page leads to no memory")
        #expect(
            use(machine.direct(1 << 40)) == [] && use(VirtualAddress(1 << 63)) == [] && use(VirtualAddress(0)) == [])
        try machine.check()
    }

    @Test(arguments: [MachineMap.pc(bytes: 64 << 20), .large(gibibytes: 5)], configurations.indices)
    func sumsAreWhatTheAllocatorsCount(map: MachineMap, index: Int) throws {
        let machine = try KernelMachine(map, Self.configurations[index])
        try Self.fill(machine, seed: 23)
        let runs = try machine.frameLines()
        func sum(_ uses: String...) -> UInt { runs.filter { uses.contains($0.use) }.reduce(0) { $0 + $1.count } }
        let memory = machine.memory
        let managed = runs.filter { $0.use != "reserved" }.reduce(0) { $0 + $1.count }
        try machine.run {
            let frames = memory.value.frames
            #expect(managed == frames.value.managedFrames)
            #expect(sum("free", "cached") == frames.value.freeFrames)
            var zones: (free: UInt, cached: UInt, deferred: UInt) = (0, 0, 0)
            ZoneKind.forEach {
                let zone = frames.value.statistics(of: $0)
                zones = (
                    zones.free + zone.freeFrames, zones.cached + zone.cachedFrames, zones.deferred + zone.deferredFrames
                )
            }
            #expect(sum("free") == zones.free)
            #expect(sum("cached") == zones.cached)
            #expect(runs.filter(\.isDeferred).reduce(0) { $0 + $1.count } == zones.deferred)
            let slab = memory.value.kmalloc.value.frameFigures
            #expect(sum("slab") == slab.reclaimable + slab.unreclaimable)
            #expect(sum("kmalloc") == slab.largeBlocks)
            #expect(sum("slab-bookkeeping") == slab.bookkeeping)
            let areas = memory.value.vmalloc.value.statistics.areas
            let reserve = memory.value.stacks.value.figures
            let waiting = UInt(reserve.reserveFrames - reserve.missingReserveFrames)
            #expect(sum("stack") == areas.stackPages + waiting)
            let pool = UInt(memory.value.guardedPool?.value.objectCount ?? 0)
            #expect(sum("guarded") == pool)
            #expect(sum("vmalloc") == areas.presentPages - areas.stackPages)
            let tables = UInt(memory.value.pageTables.value.tableCount) + 1 - UInt(machine.tablesOfBootMemory)
            #expect(sum("page-table") == tables)
            for order in 0...BlockOrder.highest {
                var blocks: UInt = 0
                ZoneKind.forEach { blocks += UInt(frames.value.statistics(of: $0).freeBlocks[order]) }
                let found = runs.filter { $0.use == "free" && $0.order == order }.reduce(0) { $0 + $1.count }
                #expect(found == blocks << UInt(order))
            }
            for (name, pages) in try machine.slabPages() {
                #expect(runs.filter { $0.name == name }.reduce(0) { $0 + $1.count } == pages, "\(name)")
            }
        }
    }

    @Test(arguments: configurations.indices)
    func slabsAreAsTheirObjectsAre(index: Int) throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20), Self.configurations[index])
        try Self.fill(machine, seed: 5)
        let slabs = try machine.slabLines()
        #expect(slabs.count > 30)
        // Objects in quarantine count as active, too.
        var counts: [String: (active: Int, slabs: Int)] = [:]
        for slab in slabs {
            counts[slab.cache, default: (0, 0)].active += slab.used + slab.states.filter { $0 == "q" }.count
            counts[slab.cache, default: (0, 0)].slabs += 1
            #expect(slab.states.count == slab.objects)
            #expect(slab.states.filter { $0 == "A" || $0 == "r" }.count == slab.used)
            for (index, state) in slab.states.enumerated() {
                let address = slab.base + UInt(index) * slab.slot
                let isInUse = machine.run {
                    machine.memory.value.kmalloc.value.size(of: machine.pointer(address)) != 0
                }
                #expect(isInUse == (state == "A"), "object \(index) of \(slab)")
            }
        }
        machine.run {
            machine.memory.value.kmalloc.value.forEachCache { cache in
                let figures = cache.statistics
                let name = machine.text { $0.write(figures.name) }
                #expect(counts[name]?.slabs ?? 0 == figures.slabs)
                #expect(counts[name]?.active ?? 0 == figures.activeObjects, "\(name)")
            }
        }
    }

    @Test(arguments: configurations.indices)
    func areasShowTheirFrames(index: Int) throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20), Self.configurations[index])
        try Self.fill(machine, seed: 71)
        let areas = try machine.areaLines()
        #expect(areas.count > 20)
        #expect(machine.run { areas.count == Int(machine.memory.value.vmalloc.value.statistics.areas.areas) })
        for area in areas {
            // Each page is in one line at most, with the frame that the tables lead to, and the others are in none.
            var expected: [UInt: UInt] = [:]
            for page in stride(from: area.start, to: area.end, by: 4096) {
                machine.run {
                    if let frame = machine.memory.value.pageTables.value.frame(at: VirtualAddress(page)) {
                        expected[page] = frame.rawValue
                    }
                }
            }
            #expect(area.frames == expected, "\(area.kind)")
            let unmapped = (area.end - area.start) / 4096 - UInt(expected.count) - area.guardPages
            if area.kind != "guarded" { #expect(area.demandPages == unmapped, "\(area.kind)") }
        }
    }

    @Test(arguments: [MachineMap.pc(bytes: 16 << 20), .pc(bytes: 64 << 20), .large(gibibytes: 5)], [false, true])
    func theMapOfTextHasEachPlacesUse(map: MachineMap, hasColours: Bool) throws {
        let machine = try KernelMachine(map, Self.configurations[1])
        if map.name != "16384 KiB" { try Self.fill(machine, seed: 3) }
        let runs = try machine.frameLines()
        let lines = machine.reportLines {
            machine.memory.value.writeTextMap(hasColours: hasColours, scratch: machine.mapScratch, to: &$0)
        }
        let plain = lines.map { $0.replacing(/\u{1b}\[[0-9;]*m/, with: "") }
        #expect((plain != lines) == hasColours)
        let place = try #require(plain.last?.firstMatch(of: /(\d+) in each place/)).1
        let framesPerCell = try #require(UInt(place))
        var expected: [String: String] = [:]
        var zone = ""
        var found: [String: String] = [:]
        for line in plain.prefix(while: { !$0.isEmpty }) {
            if line.hasPrefix("--") {
                zone = String(line.split(separator: " ")[1])
            } else {
                let start = try #require(UInt(line.dropFirst(2).prefix(10), radix: 16)) >> 12
                for (index, letter) in line.dropFirst(13).enumerated() where letter != " " {
                    found["\(zone) \(start + UInt(index) * framesPerCell)"] = String(letter)
                }
            }
        }
        var cells: [String: [String: UInt]] = [:]
        for run in runs {
            for frame in run.first..<run.first + run.count {
                let zone = frame < 4096 ? "DMA" : frame < 1 << 20 ? "DMA32" : "Normal"
                cells["\(zone) \(frame & ~(framesPerCell - 1))", default: [:]][run.use, default: 0] += 1
            }
        }
        for (cell, uses) in cells {
            let most = try #require(uses.values.max())
            // Of several with as many frames any will do.
            let names = uses.filter { $0.value == most }.map { $0.key }
            let choices = names.map { name in
                uses.count == 1
                    ? "\(Self.letters[name]!.0)" : name == "free" ? ":" : "\(Self.letters[name]!.0)".lowercased()
            }
            expected[cell] = choices.contains(found[cell] ?? "") ? found[cell] : choices[0]
        }
        #expect(found == expected)
        // The legend's numbers are the sums, and add up to all.
        var sums: [String: UInt] = [:]
        for run in runs { sums[run.use, default: 0] += run.count }
        sums["all"] = runs.reduce(0) { $0 + $1.count }
        var legend: [String: UInt] = [:]
        for line in plain.drop(while: { !$0.isEmpty }).dropFirst() {
            let match = try #require(line.firstMatch(of: /^  (?:\S )?([\w-]+) +(\d+) frames +(\d+) KiB/))
            legend[String(match.1)] = UInt(match.2)
            #expect(UInt(match.3) == UInt(match.2)! * 4)
        }
        #expect(legend == sums)
    }

    /// 64 GiB that nobody has used are a few lines.
    @Test func whatNobodyUsedIsALine() throws {
        let machine = try KernelMachine(.large(gibibytes: 64))
        #expect(try machine.frameLines().count < 100)
    }
}
