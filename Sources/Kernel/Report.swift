import BootMemory
import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

/// A report that `report=NAME,NAME` prints after bring-up, between the lines `--- NAME` and `--- end NAME`.
///
/// Raw values count up from 0 without a gap.
enum Report: UInt8 {
    case iomem
    case buddyinfo
    case pagetypeinfo
    case pageOwner
    case slabinfo
    case meminfo
    case pageTables
    case vmallocinfo
    case stacks
    case zoneinfo
    case vmstat
    case stat
    case frames
    case slabs
    case areas
    case map

    var name: StaticString {
        switch self {
        case .iomem: "iomem"
        case .buddyinfo: "buddyinfo"
        case .pagetypeinfo: "pagetypeinfo"
        case .pageOwner: "page_owner"
        case .slabinfo: "slabinfo"
        case .meminfo: "meminfo"
        case .pageTables: "page_tables"
        case .vmallocinfo: "vmallocinfo"
        case .stacks: "stacks"
        case .zoneinfo: "zoneinfo"
        case .vmstat: "vmstat"
        case .stat: "stat"
        case .frames: "frames"
        case .slabs: "slabs"
        case .areas: "areas"
        case .map: "map"
        }
    }

    @inline(never)
    func write(_ memory: Permanent<KernelMemory<X86Platform>>, to writer: inout SerialReportWriter) {
        switch self {
        case .iomem: memory.value.writeIomem(to: &writer)
        case .buddyinfo: BuddyInfoReport.write(memory.value.frames.value, to: &writer)
        case .pagetypeinfo:
            PageTypeInfoReport.write(
                memory.value.frames.value, showsContiguous: !memory.value.frames.value.contiguousArea.isEmpty,
                to: &writer)
        case .pageOwner: memory.value.frames.value.writePageOwners(to: &writer)
        case .slabinfo: SlabInfoReport.write(memory.value.kmalloc.value, to: &writer)
        case .meminfo: memory.value.writeMemInfo(to: &writer)
        case .pageTables: MappingReport.write(memory.value.pageTables.value, to: &writer)
        case .vmallocinfo: VmallocInfoReport.write(memory.value.vmalloc.value, to: &writer)
        case .stacks: StackTable.write(memory, to: &writer)
        case .zoneinfo: memory.value.writeZoneInfo(to: &writer)
        case .vmstat: memory.value.writeVMStat(to: &writer)
        case .stat: memory.value.writeStat(to: &writer)
        case .frames, .slabs, .areas, .map: MapReports.write(self, memory, to: &writer)
        }
    }

    init?(named word: Word) {
        var value: UInt8 = 0
        while let report = Report(rawValue: value) {
            if word.hasKey(report.name) {
                self = report
                return
            }
            value += 1
        }
        return nil
    }

    @inline(never)
    func print(_ memory: Permanent<KernelMemory<X86Platform>>) {
        Log.plain("--- \(name)")
        var writer = SerialReportWriter()
        write(memory, to: &writer)
        Log.plain("--- end \(name)")
    }
}

/// The reports that the command line asks for.
struct ReportSelection {
    private var bits: UInt32 = 0

    mutating func insert(_ report: Report) { bits |= 1 << UInt32(report.rawValue) }

    /// Prints those that were asked for, in the order of `Report`'s cases.
    func print(_ memory: Permanent<KernelMemory<X86Platform>>) {
        var value: UInt8 = 0
        while let report = Report(rawValue: value) {
            if bits >> UInt32(value) & 1 != 0 { report.print(memory) }
            value += 1
        }
    }
}
