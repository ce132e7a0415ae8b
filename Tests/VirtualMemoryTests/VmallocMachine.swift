import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import Synchronization
import Testing

@testable import VirtualMemory

typealias TestedFrames = PageFrameAllocator<SimulatedPlatform>
typealias TestedTables = PageTables<SimulatedPlatform>
typealias TestedKmalloc = Kmalloc<SimulatedPlatform>
typealias TestedVmalloc = Vmalloc<SimulatedPlatform>
typealias TestedStack = KernelStack<SimulatedPlatform>
typealias TestedStacks = KernelStacks<SimulatedPlatform>

/// A simulated machine up to vmalloc, whose page faults vmalloc handles.
final class VmallocMachine: @unchecked Sendable {
    static let space = AddressSpaceLayout.x86FourLevel.areas

    let machine: SimulatedMachine
    let frames: Permanent<TestedFrames>
    let tables: Permanent<TestedTables>
    let kmalloc: Permanent<TestedKmalloc>
    let vmalloc: Permanent<TestedVmalloc>
    let stacks: Permanent<TestedStacks>
    private let release: [() -> Void]

    /// The last fault that vmalloc refused, on any CPU.
    var lastFatal: (reason: FaultReason, place: AddressDescription)? { fatal.withLock { $0 } }
    private let fatal = HostLock<(reason: FaultReason, place: AddressDescription)?>(nil)

    /// Neither frame caches nor reserves: for what counts to the last frame.
    static let exact = PageFrameOptions(frameCaches: false, minimumFreeKiB: 0)

    /// A touch brings its page and nothing else: for what counts to the last page.
    static var onePage: VmallocOptions {
        var options = VmallocOptions()
        options.setFaultAround(byteCount: 4096)
        options.mapsLargePages = false
        return options
    }

    /// - Parameters:
    ///   - mebibytes: RAM, of which the first MiB is not used.
    ///   - restingPages: none, for what counts to the last range.
    ///   - purgeThreshold: pages of freed areas that may wait; none, as above.
    init(
        mebibytes: UInt = 8, cpuCount: Int = 1, space: VirtualRange = VmallocMachine.space,
        options: PageFrameOptions = VmallocMachine.exact, slab: SlabOptions = SlabOptions(),
        restingPages: UInt = 0, stacks: StackOptions = StackOptions(), touches: VmallocOptions = VmallocMachine.onePage,
        features: PagingFeatures = .all, purgeThreshold: UInt = 0
    ) {
        let machine = SimulatedMachine(memory: mebibytes << 20, cpuCount: cpuCount)
        let directMap = machine.arena.directMap
        var release: [() -> Void] = []
        func place<Value: ~Copyable>(_ value: consuming Value) -> Permanent<Value> {
            let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
            let permanent = Permanent(placing: value, at: pointer)
            release.append {
                permanent.destroy()
                pointer.deallocate()
            }
            return permanent
        }
        let lists = (0..<2).map { _ in UnsafeMutableBufferPointer<Region>.allocate(capacity: 32) }
        defer { for list in lists { list.deallocate() } }
        let brought = machine.run {
            () -> (
                Permanent<TestedFrames>, Permanent<TestedTables>, Permanent<TestedKmalloc>, Permanent<TestedVmalloc>,
                Permanent<TestedStacks>
            ) in
            var boot = BootAllocator(memoryStorage: lists[0], reservedStorage: lists[1])
            boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(mebibytes << 20)))
            let frames = place(TestedFrames(takingOver: &boot, directMap: directMap, options: options)!)
            var source = BuddyTableSource<SimulatedPlatform>(frames: frames)
            let tables = place(
                TestedTables(root: source.allocateTableFrame()!, directMap: directMap, features: features))
            let kmalloc = place(TestedKmalloc(frames: frames, options: slab)!)
            let vmalloc = place(
                TestedVmalloc(
                    range: space, frames: frames, pageTables: tables, kmalloc: kmalloc, restingPages: restingPages,
                    purgeThreshold: purgeThreshold, options: touches)!)
            if purgeThreshold != 0 { _ = frames.value.shrinkers.register(vmalloc) }
            let stacks = place(TestedStacks(options: stacks, vmalloc: vmalloc)!)
            for cpu in 0..<cpuCount { machine.run(onCPU: cpu) { stacks.value.refillReserve() } }
            return (frames, tables, kmalloc, vmalloc, stacks)
        }
        (frames, tables, kmalloc, vmalloc, self.stacks) = brought
        self.machine = machine
        self.release = release
        machine.pageFaultHandler = { [unowned self] address, access in handle(address, access) }
        for cpu in 0..<cpuCount { machine.loadRoot(tables.value.root, onCPU: cpu) }
        // kmalloc keeps the slab that the areas' notes come from, once it is there: so it is there from the beginning.
        free(allocate(4096))
        purge()
    }

    deinit { for action in release.reversed() { action() } }

    private func handle(_ address: VirtualAddress, _ kind: AccessKind) -> Bool {
        var access: FaultAccess = []
        if kind == .store { access.insert(.write) }
        if kind == .fetch { access.insert(.execute) }
        if tables.value.translate(address) != nil { access.insert(.protection) }
        switch stacks.value.grow(at: address, access: access) {
        case .grown, .spurious: return true
        case .reserveIsEmpty: return false
        case .notDue: break
        }
        switch vmalloc.value.handleFault(at: address, access: access) {
        case .resolved, .spurious: return true
        case .fatal(let reason, let place):
            fatal.withLock { $0 = (reason, place) }
            return false
        }
    }

    // Methods of this copyable class, which the testing macros can take apart. All run on CPU 0 unless in `run`.

    func run<Result>(onCPU cpu: Int = 0, _ body: () throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu, body)
    }

    func allocate(
        _ byteCount: UInt, flags: AllocationFlags = .kernel, populate: Bool = false, name: StaticString = "test"
    ) -> VirtualAddress? {
        run { vmalloc.value.allocate(byteCount, flags: flags, populate: populate, name: name) }
    }

    func free(_ address: VirtualAddress?) { run { vmalloc.value.free(address) } }

    @discardableResult
    func purge() -> UInt { run { vmalloc.value.purge() } }

    func load(_ address: VirtualAddress) throws -> UInt64 { try run { try machine.load(address) } }

    func store(_ value: UInt64, _ address: VirtualAddress) throws {
        try run { try machine.store(value, to: address) }
    }

    var ranges: RangesOfMachine { RangesOfMachine(vmalloc: vmalloc) }

    func lookup(_ address: VirtualAddress) -> PageLookup { run { tables.value.lookup(address) } }

    var statistics: VmallocStatistics { run { vmalloc.value.statistics } }

    func check() throws {
        try run {
            try vmalloc.value.checkInvariants()
            try stacks.value.checkInvariants()
            let missing = UInt(stacks.value.figures.missingReserveFrames)
            #expect(frames.value.promisedFrames == vmalloc.value.untouchedFrames + missing)
        }
    }

    /// As `check`, and everything below.
    func checkAll() throws {
        try check()
        try run {
            try tables.value.checkInvariants()
            try frames.value.checkInvariants()
            try kmalloc.value.checkInvariants()
        }
        #expect(machine.takeStaleTranslations() == [])
    }

    /// What must be as before after an operation that changes nothing, or one and its opposite.
    struct Snapshot: Equatable {
        var freeFrames: UInt
        var promisedFrames: UInt
        var tables: Int
        var areas: AreaStatistics
    }

    func snapshot() -> Snapshot {
        run {
            Snapshot(
                freeFrames: frames.value.freeFrames, promisedFrames: frames.value.promisedFrames,
                tables: tables.value.tableCount, areas: vmalloc.value.statistics.areas)
        }
    }

    /// Takes frames until only `count` are left free and unpromised; they go back when `body` returns.
    func withFramesLeft<Result>(_ count: UInt, _ body: () throws -> Result) rethrows -> Result {
        var taken: [PageFrameNumber] = []
        run {
            while frames.value.freeFrames - frames.value.promisedFrames > count {
                guard let frame = frames.value.allocate(order: 0) else { break }
                taken.append(frame)
            }
        }
        defer { run { for frame in taken { frames.value.free(frame, order: 0) } } }
        return try body()
    }

    /// The kinds of the violations reported since the last call.
    func takeKinds() -> [MemoryViolation.Kind] { machine.takeViolations().map(\.kind) }
}
