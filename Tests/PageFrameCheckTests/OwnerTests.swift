import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// `page_owner=on`.
@Suite struct OwnerTests {
    @Test func everyFrameOfABlockKnowsWhoAllocatedAndWhoFreedIt() throws {
        let machine = try CheckedMachine(.owners, cpuCount: 2, dirt: 0x3c)
        machine.machine.trace = [0x10, 0x20, 0x30]
        let block = try #require(machine.run(onCPU: 1) { $0.allocate(order: 3, flags: .atomic | .zero) })
        for index in 0..<8 as Range<UInt> {
            let history = try #require(machine.history(block + index))
            #expect(history.isAllocated && history.order == 3 && history.flags == .atomic | .zero)
            #expect(history.allocatingCPU == 1 && history.allocationTime > 0 && history.freeTime == 0)
            #expect(history.allocationTrace.count == 3 && history.allocationTrace[2] == 0x30)
            #expect(history.freeTrace.count == 0)
        }
        #expect(machine.history(block + 8) == nil)
        machine.machine.trace = [0x40]
        machine.free(block, 3)
        for index in 0..<8 as Range<UInt> {
            let history = try #require(machine.history(block + index))
            #expect(!history.isAllocated && history.order == 3 && history.freeingCPU == 0)
            #expect(history.freeTime > history.allocationTime)
            #expect(history.freeTrace[0] == 0x40 && history.allocationTrace[0] == 0x10)
        }
        // The next owner of one frame changes nothing of its neighbours'.
        machine.machine.trace = [0x50]
        #expect(machine.allocate() == block)
        #expect(machine.history(block)?.allocationTrace[0] == 0x50)
        #expect(machine.history(block)?.freeTrace[0] == 0x40)
        #expect(machine.history(block + 1)?.allocationTrace[0] == 0x10)
        try machine.check()
    }

    @Test func aTraceKeepsTheNearestEight() throws {
        let machine = try CheckedMachine(.owners)
        machine.machine.trace = Array(1...20)
        let frame = try #require(machine.allocate())
        let trace = try #require(machine.history(frame)).allocationTrace
        #expect(trace.count == 8)
        #expect((0..<8).map { trace[$0] } == Array(1...8))
    }

    @Test func nothingIsNotedDownUnlessItIsAskedFor() throws {
        for checks in [FrameChecks.none, .poison] {
            let machine = try CheckedMachine(checks)
            let frame = try #require(machine.allocate())
            #expect(machine.history(frame) == nil)
            #expect(ReportText { writer in machine.run { $0.writePageOwners(to: &writer) } }.lines == [""])
        }
        let machine = try CheckedMachine(.owners)
        #expect(machine.history(PageFrameNumber(0)) == nil)
        #expect(machine.history(PageFrameNumber(1 << 40)) == nil)
        #expect(machine.history(PageFrameNumber(.max)) == nil)
    }

    @Test func theReportIsLinuxs() throws {
        let machine = try CheckedMachine(.owners | .guardPages)
        machine.machine.trace = [0xffff_ffff_8010_0001, 0xffff_ffff_8010_0002]
        let gone = try #require(machine.allocate(4))
        let block = try #require(machine.allocate(2, .kernel | .movable | .noWarn))
        let frame = try #require(machine.allocate(0, .atomic))
        machine.free(gone, 4)
        let times = [block, frame].map { machine.history($0)!.allocationTime }
        let expected = [
            (block, 2, "0x2cc8(GFP_KERNEL|__GFP_NOWARN|__GFP_MOVABLE)", "Movable", times[0]),
            (frame, 0, "0xa20(GFP_ATOMIC)", "Unmovable", times[1]),
        ]
        .sorted { $0.0 < $1.0 }
        var lines: [String] = []
        for (frame, order, mask, type, time) in expected {
            lines += [
                "Page allocated via order \(order), mask \(mask), cpu 0, ts \(time), free_ts 0",
                "PFN \(frame.rawValue) type \(type) Block \(frame.rawValue / 512) type \(mobility(machine, frame).name)",
                " 0xffffffff80100001", " 0xffffffff80100002", "",
            ]
        }
        #expect(ReportText { writer in machine.run { $0.writePageOwners(to: &writer) } }.lines == lines + [""])
    }

    private func mobility(_ machine: CheckedMachine, _ frame: PageFrameNumber) -> Mobility {
        machine.run { $0.table.pageBlock(UInt32(frame.rawValue / 512)).mobility }
    }

    @Test func aFramesReportSaysItsStateAndItsHistory() throws {
        let machine = try CheckedMachine(.owners)
        machine.machine.trace = [0xabc]
        let block = try #require(machine.allocate(1))
        machine.machine.trace = [0xdef]
        machine.free(block, 1)
        machine.free(block, 1)
        let violation = try #require(machine.takeViolations().first)
        #expect(violation.kind == .doubleFree)
        let named = PageFrameNumber(violation.origin / 4096)
        let history = try #require(machine.history(named))
        let pfn = String(named.rawValue, radix: 16)
        #expect(
            ReportText { writer in machine.run { $0.writeReport(on: named, to: &writer) } }.lines == [
                "page: pfn:0x\(pfn) state:free refcount:0 tag:0x0 owner:0x0",
                "page_owner tracks the page as freed",
                "page last allocated via order 1, migratetype Unmovable, gfp_mask 0x2cc0(GFP_KERNEL|__GFP_NOWARN), "
                    + "cpu 0, ts \(history.allocationTime), free_ts \(history.freeTime)",
                " 0x0000000000000abc", "page last free stack trace:", " 0x0000000000000def", "",
            ])
        // A frame in use, its tail, one that was never used, and one that is no RAM.
        let used = try #require(machine.allocate(1))
        let tail = ReportText { writer in machine.run { $0.writeReport(on: used + 1, to: &writer) } }.lines
        #expect(tail[0].hasPrefix("page: pfn:0x") && tail[0].contains("state:interior"))
        #expect(tail[1] == "block: head pfn:0x\(String(used.rawValue, radix: 16)) order:1 state:allocated")
        #expect(tail[2] == "page_owner tracks the page as allocated")
        let never = ReportText { writer in machine.run { $0.writeReport(on: used + 2, to: &writer) } }.lines
        #expect(never.contains("page_owner info is not present (never set?)"))
        let wild = ReportText { writer in machine.run { $0.writeReport(on: PageFrameNumber(1 << 40), to: &writer) } }
        #expect(wild.lines[0] == "page: pfn:0x10000000000 state:absent")
    }

    /// The table is there from the beginning, and not touched: a machine of 64 GiB takes none of it at boot.
    @Test func theTableIsNotTouchedBeforeItIsNeeded() throws {
        let machine = try CheckedMachine(mebibytes: 4096, .owners | .poison)
        let frame = try #require(machine.allocate())
        #expect(machine.history(frame) != nil)
        #expect(machine.run { $0.metadataByteCount } > 4096 * 262_144 * 38 / 1000)
        try machine.check()
    }
}
