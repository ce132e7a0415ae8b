import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import Testing

@testable import KernelMemory
@testable import VirtualMemory

/// The reports of one machine, read back from their text.
private struct Reports {
    var meminfo: [String: UInt] = [:]
    var vmstat: [String: UInt] = [:]
    /// Frames of free blocks by zone, from `buddyinfo`, and from `pagetypeinfo`.
    var buddy: [String: UInt] = [:]
    var types: [String: UInt] = [:]
    /// By zone and name, from `zoneinfo`; `count` summed over the CPUs.
    var zones: [String: [String: UInt]] = [:]
    /// By cache: the numbers of `slabinfo`, in its order.
    var slabs: [String: [UInt]] = [:]
    var areaPages: UInt = 0
    /// Bytes of `System RAM` of `iomem`, and of what is reserved of it.
    var memory: UInt = 0
    var reserved: UInt = 0

    private static func words(_ line: String) -> [String] {
        line.split(whereSeparator: { " ,:()\t".contains($0) }).map(String.init)
    }

    private static func lines(_ write: (inout TextWriter) -> Void) -> [String] {
        var text = TextWriter()
        write(&text)
        return text.lines
    }

    init(_ machine: KernelMachine) throws {
        let memory = machine.memory
        try machine.run {
            for line in Self.lines({ memory.value.writeMemInfo(to: &$0) }) {
                let words = Self.words(line.replacing("(", with: ".").replacing(")", with: ""))
                meminfo[words[0]] = UInt(words[1])
            }
            for line in Self.lines({ memory.value.writeVMStat(to: &$0) }) {
                let words = Self.words(line)
                #expect(words.count == 2 && vmstat[words[0]] == nil && line == "\(words[0]) \(words[1])")
                vmstat[words[0]] = UInt(words[1])
            }
            for line in Self.lines({ BuddyInfoReport.write(memory.value.frames.value, to: &$0) }) {
                let words = Self.words(line)
                buddy[words[3]] = Self.frames(words.dropFirst(4))
            }
            for line in Self.lines({ PageTypeInfoReport.write(memory.value.frames.value, to: &$0) }) {
                let words = Self.words(line)
                if words.count == 17, words[4] == "type" {
                    types[words[3], default: 0] += Self.frames(words.dropFirst(6))
                }
            }
            try readZones(Self.lines { memory.value.writeZoneInfo(to: &$0) })
            for line in Self.lines({ SlabInfoReport.write(memory.value.kmalloc.value, to: &$0) }).dropFirst(2) {
                let words = Self.words(line)
                slabs[words[0]] = words.compactMap { UInt($0) }
            }
            for line in Self.lines({ VmallocInfoReport.write(memory.value.vmalloc.value, to: &$0) }) {
                for word in Self.words(line) where word.hasPrefix("pages=") { areaPages += UInt(word.dropFirst(6))! }
            }
            var isMemory = false
            for line in Self.lines({ memory.value.writeIomem(to: &$0) }) {
                let bounds = line.drop { $0 == " " }.prefix { $0 != " " }.split(separator: "-")
                let bytes = UInt(bounds[1], radix: 16)! - UInt(bounds[0], radix: 16)! + 1
                if line.hasPrefix("  ") {
                    if isMemory { reserved += bytes }
                } else {
                    isMemory = line.hasSuffix(": System RAM")
                    if isMemory { self.memory += bytes }
                }
            }
        }
    }

    private static func frames(_ counts: ArraySlice<String>) -> UInt {
        zip(0..., counts).reduce(0) { $0 + UInt($1.1)! << UInt($1.0) }
    }

    /// Line by line, each of a shape that Linux's have.
    private mutating func readZones(_ lines: [String]) throws {
        var zone = ""
        for line in lines {
            let words = Self.words(line)
            if line.hasPrefix("Node 0, zone ") {
                zone = words[3]
                #expect(line.count == 21 && zones[zone] == nil)
                zones[zone] = [:]
            } else if words[0] == "protection" {
                #expect(line.hasPrefix("        protection: (") && words.count == 5)
            } else if let value = words.last.flatMap({ UInt($0) }) {
                let name = words.dropLast().joined(separator: " ")
                zones[zone]?[name, default: 0] += value
            } else {
                #expect(["  per-node stats", "  pagesets"].contains(line))
            }
        }
    }
}

/// The numbers of the reports are those of the structures, counted one by one, and agree with each other.
@Suite struct ReportAgreementTests {
    /// Frames by what their descriptors say, each looked at.
    private struct Census {
        var free: UInt = 0
        var slab: UInt = 0
        var table: UInt = 0

        init(_ machine: KernelMachine) {
            let frames = machine.memory.value.frames
            machine.run {
                for number in 0..<frames.value.table.sectionCount * 1024 {
                    switch frames.value.state(of: PageFrameNumber(number)) {
                    case .free: free += 1
                    case .slab, .slabTail: slab += 1
                    case .table: table += 1
                    default: break
                    }
                }
            }
        }
    }

    /// Pages with a frame in the areas that own theirs, and of those the stacks', found in the page tables.
    private func presentPages(_ machine: KernelMachine) throws -> (all: UInt, stacks: UInt) {
        var all: UInt = 0
        var stacks: UInt = 0
        let areas = machine.layout.areas
        let memory = machine.memory
        try machine.run {
            let last = VirtualAddress(areas.end.rawValue - 1)
            try memory.value.pageTables.value.walk(from: areas.start, through: last) { entry in
                guard case .mapped = entry.content else { return true }
                let area = memory.value.vmalloc.value.ranges.nearestAreaUnlocked(to: entry.address)
                switch area?.kind {
                case .vmalloc: all += entry.byteCount / 4096
                case .stack:
                    all += entry.byteCount / 4096
                    stacks += entry.byteCount / 4096
                default: break
                }
                return true
            }
        }
        return (all, stacks)
    }

    private func expectAgreement(_ machine: KernelMachine, location: SourceLocation = #_sourceLocation) throws {
        let reports = try Reports(machine)
        let census = Census(machine)
        let frames = machine.memory.value.frames
        let figures = machine.run { [ZoneKind.dma, .dma32, .normal].map { frames.value.statistics(of: $0) } }
        let populated = figures.filter { $0.managedFrames > 0 }.map { "\($0.name)" }
        #expect(reports.zones.keys.sorted() == ["DMA", "DMA32", "Movable", "Normal"], sourceLocation: location)

        // Free memory: four reports, and the descriptors.
        for zone in populated {
            #expect(reports.buddy[zone] == reports.types[zone], sourceLocation: location)
            #expect(reports.buddy[zone] == reports.zones[zone]?["pages free"], sourceLocation: location)
            #expect(reports.buddy[zone] == reports.zones[zone]?["nr_free_pages"], sourceLocation: location)
        }
        let inZones = populated.reduce(0) { $0 + reports.buddy[$1]! }
        let inCaches = populated.reduce(0) { $0 + reports.zones[$1]!["count"]! }
        let deferred = figures.reduce(0) { $0 + $1.deferredFrames }
        #expect(inZones == census.free + deferred, sourceLocation: location)
        #expect(inZones == reports.vmstat["nr_free_pages"], sourceLocation: location)
        #expect(reports.meminfo["MemFree"] == (inZones + inCaches) * 4, sourceLocation: location)
        #expect(inCaches == figures.reduce(0) { $0 + $1.cachedFrames }, sourceLocation: location)
        let managed = populated.reduce(0) { $0 + reports.zones[$1]!["managed"]! }
        #expect(reports.meminfo["MemTotal"] == managed * 4, sourceLocation: location)
        for zone in populated {
            let numbers = reports.zones[zone]!
            #expect(numbers["managed"]! <= numbers["present"]! && numbers["present"]! <= numbers["spanned"]!)
        }

        // Memory that is RAM is the allocator's, or reserved; what is left of a page is nobody's.
        let left = reports.memory - reports.reserved - managed * 4096
        #expect(left < 4096, sourceLocation: location)

        // Slabs.
        let slabFrames = reports.slabs.values.reduce(0) { $0 + $1[4] * $1[9] }
        #expect(slabFrames == census.slab, sourceLocation: location)
        let slab = machine.run { machine.memory.value.kmalloc.value.frameFigures }
        #expect(reports.meminfo["Slab"] == (slabFrames + slab.largeBlocks + slab.bookkeeping) * 4)
        #expect(
            reports.vmstat["nr_slab_reclaimable"]! + reports.vmstat["nr_slab_unreclaimable"]!
                == reports.meminfo["Slab"]! / 4, sourceLocation: location)

        // Areas and stacks, and the frames that wait for stacks to grow.
        let present = try presentPages(machine)
        let reserve = machine.run { machine.memory.value.stacks.value.figures }
        let waiting = UInt(reserve.reserveFrames - reserve.missingReserveFrames)
        #expect(reports.areaPages == present.all, sourceLocation: location)
        #expect(reports.meminfo["VmallocUsed"] == (present.all + waiting) * 4, sourceLocation: location)
        #expect(reports.meminfo["KernelStack"] == (present.stacks + waiting) * 4, sourceLocation: location)
        #expect(reports.vmstat["nr_kernel_stack"] == reports.meminfo["KernelStack"], sourceLocation: location)

        // Tables: those of the allocator's frames by their descriptors, and those from before there were any.
        let tables = census.table + UInt(machine.tablesOfBootMemory)
        #expect(reports.meminfo["PageTables"] == tables * 4, sourceLocation: location)
        #expect(reports.vmstat["nr_page_table_pages"] == tables, sourceLocation: location)
        for zone in populated.prefix(1) {
            #expect(reports.zones[zone]?["nr_page_table_pages"] == tables, sourceLocation: location)
        }
    }

    @Test(arguments: [1, 3], [MachineMap.pc(bytes: 64 << 20), .large(gibibytes: 5)])
    func afterRandomWork(cpuCount: Int, map: MachineMap) throws {
        var configuration = Configuration()
        configuration.cpuCount = cpuCount
        configuration.frames = PageFrameOptions()
        configuration.purgeThreshold = nil
        let machine = try KernelMachine(map, configuration)
        try expectAgreement(machine)
        var workload = Workload(machine: machine, random: SeededGenerator.fromEnvironment(default: 601))
        var holdings: [Workload.Holding] = []
        for round in 0..<6 {
            machine.run(onCPU: round % cpuCount) {
                for _ in 0..<120 {
                    if holdings.count < 40 || Bool.random(using: &workload.random) {
                        if let holding = workload.allocate() { holdings.append(holding) }
                    } else if let index = holdings.indices.randomElement(using: &workload.random) {
                        workload.free(holdings.remove(at: index))
                    }
                }
            }
            try expectAgreement(machine)
        }
        machine.run {
            for holding in holdings { workload.free(holding) }
            machine.memory.value.vmalloc.value.purge()
        }
        try expectAgreement(machine)
        try machine.check()
    }

    /// Objects in use are those that the test has.
    @Test func activeObjectsAreTheUsers() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20))
        let before = try Reports(machine).slabs.mapValues { $0[0] }
        let sizes = (0..<500).map { UInt($0) * 16 + 1 }
        let objects = machine.run { sizes.map { machine.kmalloc($0) } }
        let after = try Reports(machine).slabs.mapValues { $0[0] }
        #expect(after.values.reduce(0, +) - before.values.reduce(0, +) == 500)
        machine.run { for object in objects { machine.kfree(object) } }
        #expect(try Reports(machine).slabs.mapValues { $0[0] } == before)
    }

    /// Each first touch of an area's or a stack's page is a page fault.
    @Test func faultsAreCounted() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20))
        let area = try #require(machine.run { machine.vmalloc(64 * 4096) })
        let stack = try #require(machine.run { machine.makeStack(pages: 4) })
        let before = try #require(try Reports(machine).vmstat["pgfault"])
        for page in [0, 20, 40] as [UInt] { try machine.store(1, area + page * 4096) }
        try machine.store(1, stack.limit)
        #expect(try Reports(machine).vmstat["pgfault"] == before + 4)
        try machine.store(1, area + 20 * 4096 + 8)
        #expect(try Reports(machine).vmstat["pgfault"] == before + 4)
        machine.run {
            machine.vfree(area)
            stack.free()
        }
    }

    /// Frames that freed areas hold back until a purge stand in `vmstat`, and in no line of `meminfo` but MemAvailable's.
    @Test func whatWaitsForAPurgeIsCounted() throws {
        var configuration = Configuration()
        configuration.purgeThreshold = 1000
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        let area = try #require(machine.run { machine.vmalloc(10 * 4096, populate: true) })
        #expect(try Reports(machine).vmstat["nr_vmalloc_lazy"] == 0)
        let used = try #require(try Reports(machine).meminfo["VmallocUsed"])
        machine.run { machine.vfree(area) }
        let reports = try Reports(machine)
        #expect(reports.vmstat["nr_vmalloc_lazy"] == 10 && reports.meminfo["VmallocUsed"] == used - 40)
        var text = TextWriter()
        machine.run { VmallocInfoReport.write(machine.memory.value.vmalloc.value, to: &text) }
        #expect(text.lines.last?.hasSuffix("  45056 unpurged vm_area") == true)
    }
}
