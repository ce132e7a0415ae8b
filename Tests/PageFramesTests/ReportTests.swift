import MemoryPrimitives
import Testing

@testable import PageFrames

/// Zones whose numbers a test chose.
private struct ChosenZones: ZoneReportSource {
    var zones: [ZoneReport] = []

    func report(of kind: ZoneKind) -> ZoneReport { zones.first { $0.kind == kind } ?? ZoneReport(kind) }
}

/// The machine whose `buddyinfo` and `pagetypeinfo` are in `LinuxReports`: their numbers, read from `pagetypeinfo`.
private let linuxZones: ChosenZones = {
    var zones = ChosenZones()
    for kind in [ZoneKind.dma, .dma32] {
        var zone = ZoneReport(kind)
        zone.present = 1
        for line in LinuxReports.pageTypeInfo.split(separator: "\n") {
            let words = line.split(whereSeparator: { " ,".contains($0) }).map(String.init)
            guard words.count > 3, words[0] == "Node", words[3] == "\(kind.name)" else { continue }
            if words[4] == "type" {
                let group = mobility(words[5])
                for order in 0...10 { zone.freeBlocks[group][order] = UInt32(words[6 + order])! }
            } else {
                for (column, group) in [0, 1, 2, 3, 5].enumerated() {
                    zone.pageBlocks[group] = UInt32(words[4 + column])!
                }
            }
        }
        zones.zones.append(zone)
    }
    return zones
}()

private func mobility(_ name: String) -> Int {
    (0..<Mobility.count).first { "\(Mobility(rawValue: UInt8($0))!.name)" == name }!
}

@Suite struct FreeBlockReportTests {
    @Test func buddyInfoIsLinuxsToTheByte() {
        #expect(ReportText { BuddyInfoReport.write(linuxZones, to: &$0) }.text == LinuxReports.buddyInfo)
    }

    @Test func pageTypeInfoIsLinuxsToTheByte() {
        #expect(ReportText { PageTypeInfoReport.write(linuxZones, to: &$0) }.text == LinuxReports.pageTypeInfo)
    }

    @Test func contiguousAreasHaveTheirPlaceWhereThereAreAny() {
        var zones = linuxZones
        zones.zones[1].freeBlocks[4][10] = 25
        zones.zones[1].pageBlocks[4] = 50
        let lines = ReportText { PageTypeInfoReport.write(zones, showsContiguous: true, to: &$0) }.lines
        #expect(
            lines.contains(
                "Node    0, zone    DMA32, type          CMA      0      0      0      0      0      0"
                    + "      0      0      0      0     25 "))
        #expect(
            lines.contains(
                "Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic          CMA      Isolate ")
        )
        #expect(
            lines.contains(
                "Node 0, zone    DMA32           39          203            6            0           50            0 "))
        let blocks = ReportText { BuddyInfoReport.write(zones, to: &$0) }.lines[1]
        #expect(blocks.hasSuffix("   125 "), "a free block of a contiguous area is a free block")
    }

    @Test func zonesWithoutMemoryAreLeftOut() {
        let nothing = ChosenZones()
        #expect(ReportText { BuddyInfoReport.write(nothing, to: &$0) }.text == "")
        #expect(!ReportText { PageTypeInfoReport.write(nothing, to: &$0) }.text.contains("Node"))
    }

    @Test func largeNumbersKeepTheirDigits() {
        var zones = ChosenZones(zones: [ZoneReport(.normal)])
        zones.zones[0].present = 1
        for group in 0..<6 { zones.zones[0].freeBlocks[group][0] = .max }
        let text = ReportText { BuddyInfoReport.write(zones, to: &$0) }.text
        #expect(text.hasPrefix("Node 0, zone   Normal \(6 * UInt(UInt32.max))      0"))
    }
}

@Suite struct FailureReportTests {
    /// The fields of Linux's report that speak of processes, files, swap and nodes, and the two zones beyond Normal.
    private static let meaningless = [
        #",cpuset=/,mems_allowed=0"#,
        #"(in)?active_(anon|file):\d+(kB)? ?"#, #"isolated_(anon|file):\d+ ?"#,
        #"(unevictable|writepending|mlocked|bounce|dirty|writeback|mapped|shmem):\d+(kB)? ?"#,
        #"sec_pagetables:\d+ ?"#, #"kernel_misc_reclaimable:\d+"#,
    ]

    /// Linux's report, with what has no meaning here taken out.
    private var expected: String {
        get throws {
            var lines: [String] = []
            for line in LinuxReports.failure.split(separator: "\n", omittingEmptySubsequences: false) {
                var line = String(line)
                if line.contains("pagecache") || line.contains("swap") || line.contains("hugepages") { continue }
                if line.contains("HighMem") || line.contains("all_unreclaimable") { continue }
                for pattern in Self.meaningless { line.replace(try Regex(pattern), with: "") }
                if line.hasPrefix("lowmem_reserve") {
                    line = line.split(separator: " ").prefix(4).joined(separator: " ")
                }
                if !line.allSatisfy({ $0 == " " }) { lines.append(line) }
            }
            // The kernel adds who ran where, of which the CPU is left.
            lines.insert("CPU: 0", at: 1)
            return lines.joined(separator: "\n") + "\n"
        }
    }

    private var zones: ChosenZones {
        var dma = ZoneReport(.dma)
        (dma.watermarks.min, dma.watermarks.low, dma.watermarks.high) = (22, 27, 32)
        dma.watermarks.lowmemReserve = [0, 432, 432]
        (dma.free, dma.present, dma.managed) = (439, 3998, 3840)
        for order in [0, 1, 2, 4, 5, 7, 8] { dma.freeBlocks[0][order] = 1 }
        var dma32 = ZoneReport(.dma32)
        (dma32.watermarks.min, dma32.watermarks.low, dma32.watermarks.high) = (654, 817, 980)
        dma32.watermarks.boost = 1024
        (dma32.free, dma32.present, dma32.managed) = (246, 126_944, 113_264)
        (dma32.cached, dma32.cachedByThisCPU) = (95, 95)
        for order in [1, 2, 4, 5, 6, 7] { dma32.freeBlocks[0][order] = 1 }
        return ChosenZones(zones: [dma, dma32])
    }

    private var failure: AllocationFailure {
        var failure = AllocationFailure(name: "busybox", order: 0, flags: .atomic, cpu: 0)
        (failure.slabReclaimable, failure.slabUnreclaimable, failure.pageTables) = (2185, 1468, 14)
        return failure
    }

    @Test func reportIsLinuxsWhereItMeansSomething() throws {
        let text = ReportText { AllocationFailureReport.write(failure, zones, to: &$0) }.text
        #expect(text == (try expected))
    }

    @Test func memoryCanBeWrittenWithoutTheHeading() throws {
        let text = ReportText { AllocationFailureReport.writeMemory(failure, zones, to: &$0) }.text
        #expect(text.hasPrefix("Mem-Info:\n"))
        #expect(try expected.hasSuffix(text))
    }

    @Test func groupsHaveTheirMarks() {
        var zones = zones
        zones.zones[1].freeBlocks[0][0] = 2
        zones.zones[1].freeBlocks[1][0] = 3
        for group in 0..<6 { zones.zones[1].freeBlocks[group][10] = 1 }
        zones.zones[1].pageBlocks[4] = 2
        let lines = ReportText { AllocationFailureReport.write(failure, zones, to: &$0) }.lines
        let blocks = lines.first { $0.hasPrefix("Node 0 DMA32: ") }!
        #expect(blocks.hasPrefix("Node 0 DMA32: 5*4kB (UM) 1*8kB (U) "))
        #expect(blocks.hasSuffix(" 6*4096kB (UMEHCI) = \(984 + 20 + 6 * 4096)kB"))
        #expect(lines.contains("1024 pages cma reserved"))
    }

    /// A report of damaged counts must come out, too.
    @Test func impossibleCountsAreWritten() {
        var zones = zones
        zones.zones[0].managed = 1 << 40
        zones.zones[0].free = 1 << 63
        zones.zones[1].freeBlocks[0][10] = .max
        let lines = ReportText { AllocationFailureReport.write(failure, zones, to: &$0) }.lines
        #expect(lines.contains("0 pages reserved"))
    }

    @Test func anImpossibleOrderIsNamed() {
        let failures = [-1, 11, .min].map { AllocationFailure(name: "test", order: $0, flags: .none, cpu: 3) }
        let lines = failures.map { failure in ReportText { failure.writeHeading(to: &$0) }.lines }
        #expect(lines[0][0] == "test: page allocation failure: order:-1, mode:0x0(), nodemask=(null)")
        #expect(lines[1][0] == "test: page allocation failure: order:11, mode:0x0(), nodemask=(null)")
        #expect(lines[2][0].contains("order:\(Int.min),"))
        #expect(lines[0][1] == "CPU: 3")
    }
}
