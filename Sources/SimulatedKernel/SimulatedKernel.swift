import BootMemory
import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import VirtualMemory

/// A simulated machine whose memory is brought up as a kernel's is: from the boot loader's map to vmalloc and stacks.
///
///     let kernel = try SimulatedKernel(memory: 64 << 20)
///     try kernel.run {
///         let area = kernel.vmalloc.value.vmalloc(8192)!
///         try kernel.machine.store(7 as UInt64, to: area)   // a page fault maps the page
///     }
///
/// What lies in the direct map (frames, kmalloc's objects) is reached by ordinary pointers; what is mapped (vmalloc's areas,
/// stacks) by `machine.load` and `store`, which go through the page tables and each CPU's TLB. Page faults of theirs are
/// answered as in a kernel.
public final class SimulatedKernel: @unchecked Sendable {
    /// The machine: its CPUs, and what it has recorded.
    public let machine: SimulatedMachine
    /// All allocators.
    public let memory: Permanent<KernelMemory<SimulatedPlatform>>
    /// Page faults that were answered, and after which the access was made.
    public var resolvedFaultCount: Int { faults.withLock { $0 } }
    private let faults = HostLock(0)
    private let storage: BootLists

    /// A machine with all allocators brought up.
    /// - Parameters:
    ///   - byteCount: physical memory, in bytes: a multiple of 4096, at least 8 MiB.
    ///   - cpuCount: CPUs, each of which `run(onCPU:)` makes of a thread.
    ///   - violations: what to do when the allocators report a mistake of their caller's, or a translation is stale.
    ///   - seed: what the allocators' random choices follow from; nil for the host's random numbers.
    ///   - layout: where the regions of the simulated address space lie.
    ///   - configure: is given the machine's description to change before it is used: debugging, reserves, stacks and so on.
    /// - Throws: why the memory cannot be brought up.
    public init(
        memory byteCount: UInt = 64 << 20, cpuCount: Int = 1,
        violations: SimulatedMachine.ViolationPolicy = .record, seed: UInt64? = nil,
        layout: AddressSpaceLayout = .x86FourLevel, configure: (inout MachineDescription) -> Void = { _ in }
    ) throws(BringUpError) {
        if byteCount < 8 << 20 { throw .tooLittleMemory(byteCount) }
        let machine = SimulatedMachine(memory: byteCount, cpuCount: cpuCount, violations: violations)
        machine.randomGenerator = seed.map { SeededGenerator(seed: $0) }
        let storage = BootLists()
        memory = try machine.run { () throws(BringUpError) in
            try Self.bringUp(machine, storage, layout, configure)
        }
        self.machine = machine
        self.storage = storage
        machine.pageFaultHandler = { [unowned self] address, kind in handle(address, kind) }
    }

    /// Runs `body` as code on a CPU of the machine, which every call of an allocator must be.
    ///
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws.
    /// - Precondition: `body` leaves interrupts as it found them.
    public func run<Result, Failure: Error>(
        onCPU cpu: Int = 0, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try machine.run(onCPU: cpu, body)
    }

    // One by one: copies of references, which a closure or a test's macro may hold.

    /// Page frames.
    public var frames: Permanent<PageFrameAllocator<SimulatedPlatform>> { memory.value.frames }
    /// Objects and caches.
    public var kmalloc: Permanent<Kmalloc<SimulatedPlatform>> { memory.value.kmalloc }
    /// Areas of address space.
    public var vmalloc: Permanent<Vmalloc<SimulatedPlatform>> { memory.value.vmalloc }
    /// Kernel stacks.
    public var stacks: Permanent<KernelStacks<SimulatedPlatform>> { memory.value.stacks }
    /// The page tables that all CPUs use.
    public var pageTables: Permanent<PageTables<SimulatedPlatform>> { memory.value.pageTables }
    /// Where the regions of the simulated address space lie.
    public var layout: AddressSpaceLayout { memory.value.layout }

    /// Each allocator's own check of all that it has.
    /// - Throws: the first thing that is wrong, an `InvariantViolation`.
    public func checkInvariants() throws { try machine.run { try memory.value.checkInvariants() } }

    private func handle(_ address: VirtualAddress, _ kind: AccessKind) -> Bool {
        var access: FaultAccess = []
        if kind == .store { access.insert(.write) }
        if kind == .fetch { access.insert(.execute) }
        if memory.value.pageTables.value.translate(address) != nil { access.insert(.protection) }
        guard memory.value.resolvePageFault(at: address, access: access) else { return false }
        faults.withLock { $0 += 1 }
        return true
    }

    /// The parts of the map that are not RAM are as on a PC.
    private static func bringUp(
        _ machine: SimulatedMachine, _ storage: BootLists, _ layout: AddressSpaceLayout,
        _ configure: (inout MachineDescription) -> Void
    ) throws(BringUpError) -> Permanent<KernelMemory<SimulatedPlatform>> {
        let features = PagingFeatures.all
        let limit = PhysicalAddress(4 << 30)
        let loader = SimulatedBootLoader(machine: machine)
        loader.write(map: [
            SimulatedMapEntry(base: 0, byteCount: 0x9_fc00),
            SimulatedMapEntry(base: 0x9_fc00, byteCount: 0x400, type: 2),
            SimulatedMapEntry(base: 0x10_0000, byteCount: UInt64(machine.arena.byteCount) - 0x10_0000),
        ])
        var description = MachineDescription(
            reachableLimit: limit, directMap: machine.arena.directMap, layout: layout,
            image: .simulated(in: layout.image), features: features)
        configure(&description)
        machine.pagingControl.noExecute = description.features.noExecute
        machine.pagingControl.gigabytePages = description.features.gigabytePages
        machine.pagingControl.fiveLevels = description.features.fiveLevels
        var map = storage.makeMap(bits: Int(description.features.physicalAddressBits))
        guard
            let information = try? MultibootInformation(
                at: PhysicalAddress(loader.information), through: machine.arena.directMap, mappedBelow: limit),
            (try? map.fill(from: information)) != nil
        else { fatalError("the simulated boot loader's information cannot be read") }
        var observer = RootLoader(machine: machine)
        return try KernelMemory.bringUp(
            description, map: map, information: information, boot: storage.makeBootAllocator(), observer: &observer)
    }
}

/// Has every CPU use the kernel's own page tables.
private struct RootLoader: BringUpObserver {
    typealias P = SimulatedPlatform
    let machine: SimulatedMachine

    mutating func activate(_ tables: borrowing PageTables<SimulatedPlatform>) {
        for cpu in 0..<machine.cpuCount { machine.loadRoot(tables.root, onCPU: cpu) }
    }
}

extension KernelImage {
    /// An image of 1 MiB, as a small kernel's is: it stands for what takes memory, and holds nothing.
    fileprivate static func simulated(in space: VirtualRange) -> KernelImage {
        func physical(_ start: UInt, _ end: UInt) -> PhysicalRange {
            PhysicalRange(PhysicalAddress(start), PhysicalAddress(end))
        }
        func segment(_ start: UInt, _ end: UInt, _ permissions: PagePermissions) -> ImageSegment {
            ImageSegment(
                physical: physical(start, end), virtualStart: space.start + start, permissions: permissions)
        }
        return KernelImage(
            loaded: physical(0x10_0000, 0x20_0000), bootPart: physical(0x10_0000, 0x11_0000),
            code: segment(0x11_0000, 0x18_0000, .readExecute), constants: segment(0x18_0000, 0x1c_0000, .readOnly),
            data: segment(0x1c_0000, 0x20_0000, .readWrite), guardPages: InlineArray(repeating: nil))
    }
}

/// The memory for what comes before the allocators; as long as the machine's.
@safe
private final class BootLists {
    private let regions = UnsafeMutableBufferPointer<FirmwareRegion>.allocate(capacity: 64)
    private let adjustments = UnsafeMutableBufferPointer<MapAdjustment>.allocate(capacity: 64)
    private let memory = UnsafeMutableBufferPointer<Region>.allocate(capacity: 128)
    private let reserved = UnsafeMutableBufferPointer<Region>.allocate(capacity: 128)

    deinit {
        // Allocated above; whoever used them is gone with the kernel.
        unsafe regions.deallocate()
        unsafe adjustments.deallocate()
        unsafe memory.deallocate()
        unsafe reserved.deallocate()
    }

    func makeMap(bits: Int) -> FirmwareMap {
        // For this map alone.
        unsafe FirmwareMap(storage: regions, adjustments: adjustments, physicalAddressBits: bits)
    }

    func makeBootAllocator() -> BootAllocator {
        // For this allocator alone.
        unsafe BootAllocator(memoryStorage: memory, reservedStorage: reserved)
    }
}
