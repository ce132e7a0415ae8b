import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// What the allocator tells the reports about its zones.
@Suite struct ZoneReportTests {
    @Test func aZonesReportAgreesWithItsStatistics() throws {
        let machine = try CheckedMachine(mebibytes: 64, .none)
        var held: [PageFrameNumber] = []
        for round in 0..<300 {
            let flags: [AllocationFlags] = [.kernel, .kernel | .movable, .kernel | .reclaimable, .dma]
            if let frame = machine.allocate(0, flags[round % 4]) { held.append(frame) }
        }
        for frame in held where frame.rawValue % 3 == 0 { machine.free(frame) }
        ZoneKind.forEach { kind in
            let (report, statistics) = machine.run { ($0.report(of: kind), $0.statistics(of: kind)) }
            #expect(report.free == statistics.freeFrames && report.managed == statistics.managedFrames)
            #expect(report.cached == statistics.cachedFrames && report.cachedByThisCPU == statistics.cachedFrames)
            var frames: UInt = 0
            for order in 0...10 {
                #expect(report.freeBlockCount(order: order) == statistics.freeBlocks[order])
                frames += report.freeBlockCount(order: order) << UInt(order)
            }
            #expect(frames == report.free)
        }
        let report = machine.run { $0.report(of: .dma32) }
        #expect(report.present == (48 << 20) / 4096)
        #expect((0..<6).reduce(0) { $0 + report.pageBlocks[$1] } == 24)
        #expect(report.pageBlocks[Int(Mobility.reclaimable.rawValue)] > 0)
        #expect(!machine.run { $0.report(of: .normal) }.isPopulated)
        let dma = machine.run { $0.report(of: .dma) }
        #expect(dma.present == (15 << 20) / 4096)
        #expect(dma.managed + report.managed < dma.present + report.present)
    }

    @Test func buddyinfoCanBeWritten() throws {
        let machine = try CheckedMachine(mebibytes: 32, .none)
        let text = ReportText { writer in machine.run { BuddyInfoReport.write($0, to: &writer) } }.lines
        #expect(text[0].hasPrefix("Node 0, zone      DMA") && text[1].hasPrefix("Node 0, zone    DMA32"))
    }
}
