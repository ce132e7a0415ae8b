import MemoryPrimitives
import Paging
import SimulatedMachine

/// Any sequence of calls that change page tables, against a model that knows pages of 4 KiB only.
///
///     byte 0      bit 0: five levels; bit 1: no pages of 1 GiB
///     5 bytes an operation: what, first page (2), number of pages, permissions and how many tables may be had
///
/// After each, what was touched is read and written through the TLB of a simulated CPU, and the tables are checked.
public final class TableOperationsFuzz {
    private enum Page: Equatable {
        case mapped(UInt, PagePermissions)
        case demand(PagePermissions)
        case guardPage
    }

    /// Where the pages are: 6 MiB across a border of 1 GiB and of every table below.
    private static let pageCount: UInt = 1536
    private static let start: UInt = 0xffff_c900_4000_0000 - (2 << 20)
    private static let memory: UInt = 32 << 20
    private static let permissions: [PagePermissions] = [
        .readWrite, .readOnly, .readExecute, .readWrite.cached(.uncached),
    ]
    private static let lastOperation = 200

    private let machine: SimulatedMachine
    private let tables: PageTables<SimulatedPlatform>
    private var source: FuzzTableSource
    private var model = [Page?](repeating: nil, count: Int(pageCount))

    /// Tries an input. - Throws: what it shows to be wrong.
    public static func run(_ input: [UInt8]) throws {
        var reader = InputReader(input)
        let fuzz = TableOperationsFuzz(reader.byte())
        try fuzz.machine.run {
            for _ in 0..<lastOperation where !reader.isAtEnd { try fuzz.step(&reader) }
            try fuzz.empty()
        }
    }

    private init(_ options: UInt8) {
        let features = PagingFeatures(
            noExecute: true, gigabytePages: options & 2 == 0, globalPages: true, fiveLevels: options & 1 != 0)
        machine = SimulatedMachine(memory: Self.memory)
        machine.pagingControl.fiveLevels = features.fiveLevels
        machine.pagingControl.gigabytePages = features.gigabytePages
        source = FuzzTableSource(machine)
        // The first of many.
        let root = source.allocateTableFrame()!
        tables = PageTables(root: root, directMap: machine.arena.directMap, features: features)
        machine.loadRoot(root, onCPU: 0)
    }

    private func address(_ page: UInt) -> VirtualAddress { VirtualAddress(Self.start + page << 12) }

    private func step(_ reader: inout InputReader) throws {
        let operation = reader.byte()
        var first = reader.word() % Self.pageCount
        var count = UInt(reader.byte()) + 1
        let choice = reader.byte()
        // Half of them fit large pages.
        if operation & 0x80 != 0 {
            first &= ~511
            count = (count / 64 + 1) * 512
        }
        count = min(count, Self.pageCount - first)
        let pages = Int(first)..<Int(first + count)
        source.budget = choice < 128 ? nil : Int(choice >> 4 & 7)
        let before = model
        let error = perform(operation & 0x7f, VirtualRange(address(first), address(first + count)), pages, choice)
        source.budget = nil
        if error != nil { model = before }
        try tables.checkInvariants()
        try require(machine.takeStaleTranslations().isEmpty, "a stale translation was used")
        for page in [pages.lowerBound - 1, pages.lowerBound, pages.upperBound - 1, pages.upperBound] {
            if model.indices.contains(page) { try check(page) }
        }
        if let error { try check(error, operation & 0x7f, before, pages) }
        try require(machine.takeStaleTranslations().isEmpty, "a stale translation was used")
        try require(source.inUse == tables.tableCount + 1, "\(source.inUse) tables, \(tables.tableCount) counted")
    }

    /// Makes a call, and the same change of the model.
    private func perform(
        _ operation: UInt8, _ range: VirtualRange, _ pages: Range<Int>, _ choice: UInt8
    ) -> PagingError? {
        let permissions = Self.permissions[Int(choice & 3)]
        // So that large pages fit, or do not.
        let physical = UInt(pages.lowerBound) << 12 + (choice & 4 == 0 ? 8 << 20 : 8 << 20 + 4096)
        do throws(PagingError) {
            switch operation % 9 {
            case 0, 1:
                try tables.mapRange(range, to: PhysicalAddress(physical), permissions: permissions, using: &source)
                for page in pages {
                    model[page] = .mapped(physical + UInt(page - pages.lowerBound) << 12, permissions)
                }
            case 2:
                try tables.unmapRange(range, splitting: true, using: &source)
                for page in pages { model[page] = nil }
            case 3:
                try tables.protectRange(range, permissions: permissions, splitting: true, using: &source)
                change(pages) { _ in permissions }
            case 4:
                let adding: PagePermissions = choice & 8 == 0 ? .write : .execute
                let removing: PagePermissions = choice & 8 == 0 ? .execute : .write
                let isSwap = choice & 16 != 0
                try tables.adjustRange(range, adding: adding, removing: isSwap ? removing : .none, using: &source)
                change(pages) { isSwap ? $0.subtracting(removing).union(adding) : $0.union(adding) }
            case 5: try tables.collapse(range, using: &source)
            case 6:
                try tables.reserveDemand(range, permissions: .readWrite, using: &source)
                for page in pages { model[page] = .demand(.readWrite) }
            case 7:
                try tables.clear(range, using: &source) { _, _ in }
                for page in pages { model[page] = nil }
            default:
                try tables.clearUsage(.accessed | .dirty, in: range)
                if case .demand(let old)? = model[pages.lowerBound],
                    tables.resolveDemand(at: range.start, frame: PhysicalAddress(physical))
                {
                    model[pages.lowerBound] = .mapped(physical, old)
                }
            }
            return nil
        } catch {
            return error
        }
    }

    private func change(_ pages: Range<Int>, _ permissions: (PagePermissions) -> PagePermissions) {
        for page in pages {
            switch model[page] {
            case .mapped(let physical, let old)?: model[page] = .mapped(physical, permissions(old))
            case .demand(let old)?: model[page] = .demand(permissions(old))
            default: break
            }
        }
    }

    /// Whether a refusal has its reason.
    private func check(_ error: PagingError, _ operation: UInt8, _ before: [Page?], _ pages: Range<Int>) throws {
        let isJustified =
            switch error {
            case .outOfTables: true
            case .alreadyMapped: pages.contains { before[$0] != nil }
            case .notMapped: pages.contains { if case .mapped? = before[$0] { false } else { true } }
            case .insideLargePage: operation % 9 == 7
            case .writableAndExecutable: operation % 9 == 4
            default: false
            }
        try require(isJustified, "operation \(operation % 9) is refused: \(error)")
        for page in pages { try check(page) }
    }

    /// Compares a page with the model, by the tables and through the CPU.
    private func check(_ page: Int) throws {
        let address = address(UInt(page))
        let found = tables.lookup(address)
        switch model[page] {
        case .mapped(let physical, let permissions)?:
            guard case .mapped(let at) = found, at.physical.rawValue == physical, at.permissions == permissions else {
                throw Finding("page \(page) is \(found), and not at \(physical) with \(permissions)")
            }
            try require((try? machine.load(address)) as UInt64? != nil, "page \(page) cannot be read")
            let isWritten = (try? machine.store(UInt64(page), to: address)) != nil
            try require(isWritten == permissions.contains(.write), "page \(page) can be written: \(isWritten)")
        case .demand(let permissions)?:
            try require(found == .demand(permissions), "page \(page) is \(found), and not due")
        case .guardPage?: try require(found == .guardPage, "page \(page) is \(found)")
        case nil: try require(found == .none, "page \(page) is \(found), and not empty")
        }
        if case .mapped? = model[page] { return }
        try require((try? machine.load(address)) as UInt64? == nil, "page \(page) can be read")
    }

    private func empty() throws {
        for page in model.indices { try check(page) }
        let all = VirtualRange(address(0), address(Self.pageCount))
        try tables.clear(all, using: &source) { _, _ in }
        try require(source.inUse == 1, "\(source.inUse) tables are left")
        try require(machine.takeStaleTranslations().isEmpty, "a stale translation was used")
    }
}

/// Frames for tables, filled with nonsense when they are free.
private struct FuzzTableSource: TableFrameSource {
    private let machine: SimulatedMachine
    private var free: [PhysicalAddress] = []
    private var next: UInt = 1 << 20
    private(set) var inUse = 0
    /// How many more may be had; nil for any number.
    var budget: Int?

    init(_ machine: SimulatedMachine) { self.machine = machine }

    mutating func allocateTableFrame() -> PhysicalAddress? {
        if let budget {
            if budget == 0 { return nil }
            self.budget = budget - 1
        }
        let frame = free.popLast() ?? PhysicalAddress(next)
        if frame.rawValue == next { next += 4096 }
        inUse += 1
        fill(frame, 0)
        return frame
    }

    mutating func freeTableFrame(_ frame: PhysicalAddress) {
        machine.noteTableFreed(frame)
        fill(frame, 0x000f_dead_beef_f067)
        free.append(frame)
        inUse -= 1
    }

    private func fill(_ frame: PhysicalAddress, _ word: UInt) {
        // Below the memory that is mapped, and given out once at a time.
        unsafe machine.arena.directMap.pointer(to: frame).initializeMemory(as: UInt.self, repeating: word, count: 512)
    }
}
