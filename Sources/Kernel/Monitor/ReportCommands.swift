import KernelMemory
import MemoryPrimitives
import Monitor

/// Each report as a command of its name: a report that is added to `Report` is a command by that.
struct ReportCommand: CommandGroup {
    let report: Report

    init?(rawValue: UInt8) {
        guard let report = Report(rawValue: rawValue) else { return nil }
        self.report = report
    }

    var rawValue: UInt8 { report.rawValue }

    var help: CommandHelp { CommandHelp(name: report.name, summary: summary, example: report.name) }

    private var summary: StaticString {
        // A report that this does not know has a line all the same.
        switch report.rawValue {
        case Report.iomem.rawValue: "physical addresses and whose they are, as /proc/iomem"
        case Report.buddyinfo.rawValue: "free blocks of each order, as /proc/buddyinfo"
        case Report.pagetypeinfo.rawValue: "free blocks and page blocks by mobility, as /proc/pagetypeinfo"
        case Report.pageOwner.rawValue: "who has allocated each block (page_owner=on)"
        case Report.slabinfo.rawValue: "slab caches and their objects, as /proc/slabinfo"
        case Report.meminfo.rawValue: "how much memory is used for what, as /proc/meminfo"
        case Report.pageTables.rawValue: "what is mapped, with its rights"
        case Report.vmallocinfo.rawValue: "the areas of vmalloc and who made them, as /proc/vmallocinfo"
        case Report.stacks.rawValue: "the kernel's stacks and how deep they were"
        case Report.zoneinfo.rawValue: "each zone's frames, marks and caches, as /proc/zoneinfo"
        case Report.vmstat.rawValue: "counters of memory, as /proc/vmstat"
        case Report.stat.rawValue: "what Linux's tools want beside vmstat, as /proc/stat"
        case Report.frames.rawValue: "what every frame is used for, in runs of equal use"
        case Report.slabs.rawValue: "each slab and what its objects are doing"
        case Report.areas.rawValue: "each area of address space with its pages and frames"
        case Report.map.rawValue: "a map of physical memory, with what its letters mean"
        default: "the report of this name"
        }
    }

    func run(_ call: CommandCall) throws(CommandError) {
        try call.expectNoMore(than: 0)
        var writer = SerialReportWriter()
        report.write(call.memory, to: &writer)
    }
}
