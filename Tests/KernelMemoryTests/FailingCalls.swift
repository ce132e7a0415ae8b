import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import VirtualMemory

@testable import KernelMemory

/// A call that takes memory in several steps, each of which `CallFailureTests` makes fail in turn. A new call is a new line of
/// `all`.
struct FailingCall: Sendable, CustomStringConvertible {
    /// Sets up what the call needs, and returns the call: what undoes it, or nil where it failed.
    typealias Make = @Sendable (KernelMachine) throws -> () -> (() -> Void)?

    let name: String
    /// Requests for frames that it makes at least.
    let least: Int
    let make: Make

    init(_ name: String, least: Int, _ make: @escaping Make) {
        self.name = name
        self.least = least
        self.make = make
    }

    var description: String { name }

    static let all: [FailingCall] = tableCalls + permissionCalls + areaCalls + mappingCalls

    // MARK: Page tables

    /// Addresses that nothing else uses, with a top-level slot of their own.
    private static let window: UInt = 0xffff_f000_0000_0000

    private static func range(_ offset: UInt, _ byteCount: UInt) -> VirtualRange {
        VirtualRange(VirtualAddress(window + offset), VirtualAddress(window + offset + byteCount))
    }

    private typealias Tables = PageTables<SimulatedPlatform>
    private typealias Source = BuddyTableSource<SimulatedPlatform>

    /// A change of the tables in the window, which the emptying of all of it undoes, and what was there before.
    private static func tables(
        _ name: String, least: Int, before: (@Sendable (borrowing Tables, inout Source) throws -> Void)? = nil,
        _ change: @escaping @Sendable (borrowing Tables, inout Source) throws -> Void
    ) -> FailingCall {
        FailingCall(name, least: least) { machine in
            let tables = machine.memory.value.pageTables
            let frames = machine.memory.value.frames
            func empty() {
                var source = Source(frames: frames)
                do throws(PagingError) {
                    try tables.value.clear(range(0, 4 << 30), using: &source) { _, _ in }
                } catch { fatalError("\(name): the window cannot be emptied: \(error)") }
            }
            return {
                var source = Source(frames: frames)
                // What was there before is made anew each time; where that fails so does the call.
                do {
                    try before?(tables.value, &source)
                    try change(tables.value, &source)
                    return empty
                } catch {
                    empty()
                    return nil
                }
            }
        }
    }

    private static let gib = PhysicalAddress(0)
    private static let splitEdges = range(4096, (2 << 30) - 8192)

    @Sendable private static func mapLarge(_ tables: borrowing Tables, _ source: inout Source) throws {
        try tables.mapRange(range(0, 2 << 30), to: gib, permissions: .readWrite, using: &source)
    }

    @Sendable private static func mapSmall(_ tables: borrowing Tables, _ source: inout Source) throws {
        for page in 0..<512 as Range<UInt> {
            try tables.map(
                VirtualAddress(window + page << 12), to: PhysicalAddress(page << 12), permissions: .readWrite,
                using: &source)
        }
    }

    private static let tableCalls = [
        tables("map of 4 KiB", least: 3) {
            try $0.map(VirtualAddress(window), to: gib, permissions: .readWrite, using: &$1)
        },
        tables("map of 2 MiB", least: 2) {
            try $0.map(VirtualAddress(window), to: gib, size: .size2MiB, permissions: .readWrite, using: &$1)
        },
        tables("map of 1 GiB", least: 1) {
            try $0.map(VirtualAddress(window), to: gib, size: .size1GiB, permissions: .readWrite, using: &$1)
        },
        tables("mapRange across tables of every level", least: 5) {
            try $0.mapRange(range((1 << 30) - 8192, 16384), to: gib, permissions: .readWrite, using: &$1)
        },
        tables("mapFrames", least: 3) { tables, source in
            let frames = (0..<300 as Range<UInt>).map { PageFrameNumber($0) }
            try frames.withUnsafeBufferPointer {
                try tables.mapFrames(from: VirtualAddress(window), to: $0, permissions: .readWrite, using: &source)
            }
        },
        tables("unmap with a split", least: 2, before: mapLarge) {
            try $0.unmap(VirtualAddress(window + 4096), splitting: true, using: &$1)
        },
        tables("unmapRange with splits", least: 4, before: mapLarge) {
            try $0.unmapRange(splitEdges, splitting: true, using: &$1)
        },
        tables("protect with a split", least: 2, before: mapLarge) {
            try $0.protect(VirtualAddress(window), permissions: .readOnly, splitting: true, using: &$1)
        },
        tables("protectRange with splits", least: 4, before: mapLarge) {
            try $0.protectRange(splitEdges, permissions: .readOnly, splitting: true, using: &$1)
        },
        tables("adjustRange with splits", least: 4, before: mapLarge) {
            try $0.adjustRange(splitEdges, removing: .write, using: &$1)
        },
        tables("collapse", least: 3, before: mapSmall) { _ = try $0.collapse(range(0, 2 << 20), using: &$1) },
        tables("reserveDemand across tables", least: 4) {
            try $0.reserveDemand(range((2 << 20) - 8192, 16384), permissions: .readWrite, using: &$1)
        },
        tables("reserveGuard across tables", least: 4) {
            try $0.reserveGuard(range((2 << 20) - 8192, 16384), using: &$1)
        },
    ]

    // MARK: Permissions

    /// A change of an area's pages, in the direct map too, whose large pages are split and merged again.
    private static func permission(_ name: String, least: Int, _ changes: [MemoryChange]) -> FailingCall {
        FailingCall(name, least: least) { machine in
            let memory = machine.memory
            guard let start = machine.run({ machine.vmalloc(8 << 12, populate: true) }) else { return { nil } }
            let range = VirtualRange(start, start + 8 << 12)
            func undo() {
                // In the order in which it can be done.
                try? memory.value.setMemory(range, .notExecutable)
                try? memory.value.setMemory(range, .writable)
                merge(machine)
            }
            return {
                do throws(PagingError) {
                    for change in changes { try memory.value.setMemory(range, change) }
                    return undo
                } catch {
                    undo()
                    return nil
                }
            }
        }
    }

    private static func merge(_ machine: KernelMachine) {
        let memory = machine.memory
        var source = Source(frames: memory.value.frames)
        let directMap = machine.layout.directMap
        _ = try? memory.value.pageTables.value.collapse(
            VirtualRange(directMap.start, directMap.start + 1 << 30), using: &source)
    }

    private static let permissionCalls = [
        permission("set_memory_ro", least: 1, [.readOnly]),
        permission("set_memory_x", least: 1, [.readOnly, .executable]),
    ]

    // MARK: Areas

    private typealias Machine = KernelMachine

    private static func area(
        _ name: String, least: Int, _ allocate: @escaping @Sendable (KernelMachine) -> VirtualAddress?
    ) -> FailingCall {
        FailingCall(name, least: least) { machine in
            { allocate(machine).map { address in { machine.vfree(address) } } }
        }
    }

    private static func request(_ machine: KernelMachine, populate: Bool) -> VirtualAddress? {
        var request = AreaRequest(.vmalloc, pageCount: 20, alignment: 1 << 21, name: "failing")
        let space = machine.memory.value.vmalloc.value.ranges.space
        request.bounds = VirtualRange(space.start + 1 << 30, space.start + 1 << 31)
        let vmalloc = machine.memory.value.vmalloc
        return populate
            ? vmalloc.value.allocatePopulated(request) { _ in }?.usable.start
            : vmalloc.value.allocateOnDemand(request)?.usable.start
    }

    private static let areaCalls = [
        area("vmalloc", least: 4) { $0.memory.value.vmalloc.value.vmalloc(20 << 12) },
        area("vzalloc", least: 4) { $0.memory.value.vmalloc.value.vzalloc(20 << 12) },
        area("vmalloc_user", least: 5) { $0.memory.value.vmalloc.value.vmalloc_user(20 << 12) },
        area("vmalloc_32", least: 5) { $0.memory.value.vmalloc.value.vmalloc_32(20 << 12) },
        area("vmalloc_node", least: 4) { $0.memory.value.vmalloc.value.vmalloc_node(20 << 12, 0) },
        area("an aligned area between bounds, on demand", least: 4) { request($0, populate: false) },
        area("an aligned area between bounds, populated", least: 5) { request($0, populate: true) },
        area("vrealloc of nothing", least: 4) { $0.memory.value.vmalloc.value.vrealloc(nil, 20 << 12) },
        FailingCall("vrealloc to another place", least: 8) { machine in
            let vmalloc = machine.memory.value.vmalloc
            return {
                guard let old = vmalloc.value.vmalloc(4096) else { return nil }
                try? machine.machine.store(UInt64(7), to: old)
                let new = vmalloc.value.vrealloc(old, 30 << 12)
                // Where it failed the old memory is as it was.
                let word = (try? machine.machine.load(new ?? old)) as UInt64?
                if word != 7 { fatalError("vrealloc has lost what was there") }
                if let new { return { vmalloc.value.vfree(new) } }
                vmalloc.value.vfree(old)
                return nil
            }
        },
        FailingCall("populate, of what was promised", least: 4) { machine in
            let vmalloc = machine.memory.value.vmalloc
            return {
                guard let address = vmalloc.value.vmalloc(20 << 12) else { return nil }
                let isDone = vmalloc.value.populate(VirtualRange(address, address + 20 << 12))
                if !isDone { fatalError("a promised page is not there") }
                return { vmalloc.value.vfree(address) }
            }
        },
        FailingCall("KernelStack", least: 5) { machine in
            { machine.makeStack(pages: 4).map { stack in { stack.free() } } }
        },
    ]

    // MARK: Frames of the caller's

    private static func mapping(
        _ name: String,
        _ map: @escaping @Sendable (KernelMachine, UnsafeBufferPointer<PageFrameNumber>) -> VirtualAddress?,
        _ unmap: @escaping @Sendable (KernelMachine, VirtualAddress) -> Void
    ) -> FailingCall {
        FailingCall(name, least: 4) { machine in
            let frames = machine.run { (0..<40).compactMap { _ in machine.allocateFrames(0) } }
            return {
                frames.withUnsafeBufferPointer { map(machine, $0) }.map { address in { unmap(machine, address) } }
            }
        }
    }

    private static let mappingCalls = [
        mapping("vmap", { $0.memory.value.vmalloc.value.vmap($1) }, { $0.memory.value.vmalloc.value.vunmap($1) }),
        mapping(
            "vm_map_ram", { $0.memory.value.vmalloc.value.vm_map_ram($1) },
            { $0.memory.value.vmalloc.value.vm_unmap_ram($1, 40) }),
    ]
}
