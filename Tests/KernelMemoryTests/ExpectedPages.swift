import MemoryPrimitives
import Paging

@testable import KernelMemory

/// Neighbouring pages of one size with the same permissions, which lead to neighbouring memory.
struct PageRun: Equatable {
    var virtual: UInt
    var physical: UInt
    var byteCount: UInt
    var size: PageSize
    var permissions: PagePermissions
}

/// What the kernel's tables should contain, worked out from the reference map page by page.
struct ExpectedPages {
    let machine: KernelMachine
    private(set) var runs: [PageRun] = []

    init(of machine: KernelMachine) {
        self.machine = machine
        let image = machine.configuration.image
        for base in [machine.layout.objectAlias.start, machine.layout.directMap.start] {
            let protected = image.code.physical.start.rawValue..<image.constants.physical.end.rawValue
            for memory in usableMemory(machine.map) {
                add(memory.clamped(to: 0..<protected.lowerBound), at: base.rawValue, .readWrite)
                add(memory.clamped(to: protected), at: base.rawValue, .readOnly)
                add(memory.clamped(to: protected.upperBound..<UInt.max), at: base.rawValue, .readWrite)
            }
        }
        if let table = machine.frameTable {
            let region = machine.layout.frameTable.start.rawValue + table.lowerBound % (1 << 30)
            add(table, at: region &- table.lowerBound, .readWrite)
        }
        let guards = Set(image.guards)
        for segment in [image.code, image.constants, image.data] {
            add(
                segment.physical.addresses, at: machine.layout.image.start.rawValue, segment.permissions,
                without: guards)
        }
        // The regions stand in any order.
        runs.sort { $0.virtual < $1.virtual }
    }

    /// Adds memory mapped at its physical address plus `base`, in the largest pages that fit.
    private mutating func add(
        _ memory: Range<UInt>, at base: UInt, _ permissions: PagePermissions, without guards: Set<UInt> = []
    ) {
        let features = machine.configuration.features
        var permissions = permissions
        if !features.noExecute { permissions.insert(.execute) }
        if !features.globalPages { permissions.remove(.global) }
        let sizes: [PageSize] = features.gigabytePages ? [.size1GiB, .size2MiB] : [.size2MiB]
        var address = memory.lowerBound
        while address < memory.upperBound {
            if guards.contains(address) {
                address += 4096
                continue
            }
            let size =
                sizes.first { size in
                    address % size.byteCount == 0 && memory.upperBound - address >= size.byteCount
                        && !guards.contains { address <= $0 && $0 < address + size.byteCount }
                } ?? .size4KiB
            append(
                PageRun(
                    virtual: base &+ address, physical: address, byteCount: size.byteCount, size: size,
                    permissions: permissions))
            address += size.byteCount
        }
    }

    /// How many tables, the root and what hangs off it directly left out, lie above the pages from `start` to `end`.
    func tableCount(above range: VirtualRange) -> Int {
        var tables = Set<[UInt]>()
        for run in runs where range.contains(VirtualAddress(run.virtual)) {
            for page in stride(from: run.virtual, to: run.virtual + run.byteCount, by: Int(run.size.byteCount)) {
                for shift: UInt in [39, 30, 21] where run.size.byteCount < 1 << shift {
                    tables.insert([shift, page >> shift])
                }
            }
        }
        return tables.count
    }

    private mutating func append(_ page: PageRun) {
        if let last = runs.last, last.virtual + last.byteCount == page.virtual, last.size == page.size,
            last.permissions == page.permissions
        {
            runs[runs.count - 1].byteCount += page.byteCount
        } else {
            runs.append(page)
        }
    }
}

extension KernelMachine {
    /// The tables that were made before the page frames were there: the root, those at activation, the frame table's.
    var tablesOfBootMemory: Int {
        1 + observer.tablesAtActivation + ExpectedPages(of: self).tableCount(above: layout.frameTable)
    }

    /// Everything that the tables map, in the order of addresses, what the alias shows included, and whether each run is
    /// contiguous in memory.
    func mappedRuns() -> (runs: [PageRun], areContiguous: Bool) {
        var runs: [PageRun] = []
        var areContiguous = true
        run {
            memory.value.pageTables.value.forEachLeafRun { run in
                if !run.isContiguous { areContiguous = false }
                for start in [run.start, run.alias].compactMap(\.self) {
                    runs.append(
                        PageRun(
                            virtual: start.rawValue, physical: run.physical.rawValue,
                            byteCount: run.last.rawValue - run.start.rawValue + 1, size: run.size,
                            permissions: run.permissions))
                }
            }
        }
        return (runs.sorted { $0.virtual < $1.virtual }, areContiguous)
    }
}
