import BootMemory
import DeviceMemory
import LeakDetection
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

/// The composition root: the one value that owns every allocator of a machine.
///
///     firmware map -> BootAllocator -> PageTables -> PageFrameAllocator -> Kmalloc -> Vmalloc -> KernelStacks
///
/// Created once, by `bringUp`, and never moved: everything in it is reached by `Permanent` references. All calls may
/// come from any context and any CPU unless the allocator they lead to says otherwise.
public struct KernelMemory<P: Platform>: ~Copyable {
    /// Where the address space keeps what.
    public let layout: AddressSpaceLayout
    /// Reaches all RAM.
    public let directMap: DirectMap
    /// What the firmware says that there is, as it is used.
    public let firmwareMap: Permanent<FirmwareMap>
    /// Where the image lies, and what may be done with its parts.
    public let image: Permanent<KernelImage>
    /// Who owns what of the memory that never reached the page frames.
    public let boot: Permanent<BootAllocator>
    /// The kernel's page tables.
    public let pageTables: Permanent<PageTables<P>>
    /// Hands out page frames: floor 2.
    public let frames: Permanent<PageFrameAllocator<P>>
    /// Hands out objects: floor 3.
    public let kmalloc: Permanent<Kmalloc<P>>
    /// Hands out addresses, and memory behind them: floor 4.
    public let vmalloc: Permanent<Vmalloc<P>>
    /// Hands out kernel stacks.
    public let stacks: Permanent<KernelStacks<P>>
    /// Gives memory to devices.
    public let dma: Permanent<DMAMapper<P>>
    /// Where sampled objects are guarded; nil where none are to be, or there was no memory for it.
    public let guardedPool: Permanent<GuardedPool<P>>?
    /// Finds lost memory; nil where that was not asked for.
    public let leaks: Permanent<LeakDetector<P>>?

    /// The least free memory, in bytes, that bring-up starts with. Below it the allocators' own tables would leave
    /// nothing to allocate.
    public static var minimumMemory: UInt { 1 << 20 }

    /// Bytes of memory that the values themselves take, in whole pages: a part of one would be nobody's.
    private static var rootByteCount: UInt {
        let values =
            RootMemory.byteCount(of: KernelMemory<P>.self) + RootMemory.byteCount(of: FirmwareMap.self)
            + RootMemory.byteCount(of: KernelImage.self) + RootMemory.byteCount(of: BootAllocator.self)
            + RootMemory.byteCount(of: PageTables<P>.self) + RootMemory.byteCount(of: PageFrameAllocator<P>.self)
            + RootMemory.byteCount(of: Kmalloc<P>.self) + RootMemory.byteCount(of: Vmalloc<P>.self)
            + RootMemory.byteCount(of: KernelStacks<P>.self) + RootMemory.byteCount(of: GuardedPool<P>.self)
            + RootMemory.byteCount(of: DMAMapper<P>.self)
        return pageCount(forBytes: values) << PageSize.shift
    }

    /// Brings up every allocator, in order.
    ///
    /// For one CPU, before others run and before interrupts are enabled.
    /// - Parameters:
    ///   - machine: the machine, as far as its firmware's map does not describe it.
    ///   - map: the sanitised map, kept for the kernel's life.
    ///   - information: where the map came from; what it lies in is reserved.
    ///   - boot: an empty boot allocator.
    ///   - observer: is told of each step, and switches to the new page tables.
    /// - Throws: what is missing; the machine is then of no use to these allocators.
    /// - Returns: the allocators, at their places for good.
    public static func bringUp<Observer: BringUpObserver>(
        _ machine: borrowing MachineDescription, map: consuming FirmwareMap, information: MultibootInformation,
        boot: consuming BootAllocator, observer: inout Observer
    ) throws(BringUpError) -> Permanent<KernelMemory<P>> where Observer.P == P {
        var root = try prepare(&boot, machine, map, information, &observer)
        // The boot allocator's place for good. Bring-up alone uses it until the page frames have taken over.
        let bootPointer = unsafe root.placeMutable(boot)
        let firmwareMap = root.place(map)
        let image = root.place(machine.image)
        let pageTables = try unsafe startPageTables(&root, bootPointer, machine)
        observer.activate(pageTables.value)
        unsafe bootPointer.pointee.free(machine.image.bootPart)
        unsafe observer.memoryIsMapped(&bootPointer.pointee)
        if unsafe bootPointer.pointee.hasLostReservation { throw .mapTooLarge }
        let frames = try unsafe startPageFrames(&root, bootPointer, machine, pageTables)
        // In the root's memory for good; from here on nobody changes it.
        let keptBoot = unsafe Permanent(to: bootPointer)
        observer.pageFramesAreReady(frames.value, keptBoot.value)
        let leaks = try startLeakDetection(machine, frames, pageTables, keptBoot, Observer.self)
        let kmalloc = try startKmalloc(&root, frames, machine)
        if let leaks { kmalloc.value.forEachOwnMemory { range in leaks.value.addRoot(range) } }
        observer.kmallocIsReady(kmalloc.value)
        let vmalloc = try startVmalloc(&root, machine, frames, pageTables, kmalloc)
        let stacks = try startStacks(&root, machine.stacks, frames, vmalloc)
        observer.vmallocIsReady(vmalloc.value)
        let dma = try startDMA(&root, machine.dma, frames, kmalloc)
        let guardedPool = startGuardedPool(&root, machine.slab, vmalloc, kmalloc)
        return root.place(
            KernelMemory(
                layout: machine.layout, directMap: machine.directMap, firmwareMap: firmwareMap, image: image,
                boot: keptBoot, pageTables: pageTables, frames: frames, kmalloc: kmalloc, vmalloc: vmalloc,
                stacks: stacks, dma: dma, guardedPool: guardedPool, leaks: leaks))
    }

    // Each step is a function of its own that is not inlined: the values that it makes and moves to their place would
    // otherwise all have room in one frame.

    /// Fills the boot allocator and takes the memory that the allocators' own values will live in: such that is
    /// reachable before the kernel's tables are.
    @inline(never)
    private static func prepare<Observer: BringUpObserver>(
        _ boot: inout BootAllocator, _ machine: borrowing MachineDescription, _ map: borrowing FirmwareMap,
        _ information: MultibootInformation, _ observer: inout Observer
    ) throws(BringUpError) -> RootMemory {
        try checkLayout(machine)
        try BootReservations.fill(&boot, from: map, information, machine)
        boot.allowGrowth(through: machine.directMap, below: machine.reachableLimit)
        observer.bootMemoryIsReady(boot)
        if boot.totalFree < minimumMemory { throw .tooLittleMemory(boot.totalFree) }
        if !machine.image.isMappable(in: machine.layout.image, boot) { throw .imageNotMappable }
        guard
            let address = boot.allocate(
                byteCount: rootByteCount, alignment: PageSize.byteCount, below: machine.reachableLimit,
                owner: .kernelRoot)
        else { throw .outOfBootMemory }
        // Reserved for the root alone just now.
        return unsafe RootMemory(machine.directMap.pointer(to: address), byteCount: rootByteCount)
    }

    /// Apart from `prepare`, whose frame would hold a copy of the layout.
    @inline(never)
    private static func checkLayout(_ machine: borrowing MachineDescription) throws(BringUpError) {
        if let problem = machine.layout.problem(fiveLevels: machine.features.fiveLevels) {
            throw .layoutNotUsable(problem)
        }
    }

    @inline(never)
    private static func startPageTables(
        _ root: inout RootMemory, _ boot: UnsafeMutablePointer<BootAllocator>, _ machine: borrowing MachineDescription
    ) throws(BringUpError) -> Permanent<PageTables<P>> {
        // The boot allocator that bring-up alone uses meanwhile.
        root.place(try unsafe KernelAddressSpace<P>.build(machine, from: boot))
    }

    @inline(never)
    private static func startPageFrames(
        _ root: inout RootMemory, _ boot: UnsafeMutablePointer<BootAllocator>, _ machine: borrowing MachineDescription,
        _ pageTables: Permanent<PageTables<P>>
    ) throws(BringUpError) -> Permanent<PageFrameAllocator<P>> {
        // The boot allocator that bring-up alone uses meanwhile.
        guard let metadata = unsafe MetadataMemory<P>(from: &boot.pointee, options: machine.frames) else {
            throw .outOfBootMemory
        }
        let tableMap = try unsafe FrameTableRegion<P>.map(metadata.tableRange, machine, pageTables, from: boot)
        // Taken just now for these options, and mapped there.
        return root.place(
            unsafe PageFrameAllocator<P>(
                takingOver: &boot.pointee, metadata, directMap: machine.directMap, tableMap: tableMap,
                options: machine.frames))
    }

    /// Before anything is allocated that could be lost.
    @inline(never)
    private static func startLeakDetection<Observer: BringUpObserver>(
        _ machine: borrowing MachineDescription, _ frames: Permanent<PageFrameAllocator<P>>,
        _ pageTables: Permanent<PageTables<P>>, _ boot: Permanent<BootAllocator>, _ observer: Observer.Type
    ) throws(BringUpError) -> Permanent<LeakDetector<P>>? {
        if !machine.findsLeaks { return nil }
        guard
            let leaks = LeakDetector<P>.start(
                frames: frames, pageTables: pageTables, alias: machine.layout.objectAlias,
                turnedOff: { Observer.leakDetectionEnded() })
        else { throw .outOfBootMemory }
        // Data, and what the allocators below know: whom to ask for memory, for one. Through the direct map, which has no
        // guard pages.
        let map = machine.directMap
        let data = machine.image.data.physical
        let stacks = machine.image.stacks
        leaks.value.addRoot(direct(PhysicalRange(data.start, stacks.start), map))
        leaks.value.addRoot(direct(PhysicalRange(stacks.end, data.end), map))
        boot.value.forEachReserved { range, owner in
            if owner == .kernelRoot || owner == .zones || owner == .perCPU {
                leaks.value.addRoot(direct(range, map))
            }
        }
        return leaks
    }

    private static func direct(_ range: PhysicalRange, _ map: DirectMap) -> VirtualRange {
        VirtualRange(map.virtualAddress(of: range.start), map.virtualAddress(of: range.end))
    }

    @inline(never)
    private static func startKmalloc(
        _ root: inout RootMemory, _ frames: Permanent<PageFrameAllocator<P>>, _ machine: borrowing MachineDescription
    ) throws(BringUpError) -> Permanent<Kmalloc<P>> {
        guard let kmalloc = Kmalloc<P>(frames: frames, options: machine.slab) else { throw .outOfBootMemory }
        let placed = root.place(kmalloc)
        // The first of them: there is room.
        _ = frames.value.shrinkers.register(placed)
        return placed
    }

    @inline(never)
    private static func startVmalloc(
        _ root: inout RootMemory, _ machine: borrowing MachineDescription, _ frames: Permanent<PageFrameAllocator<P>>,
        _ pageTables: Permanent<PageTables<P>>, _ kmalloc: Permanent<Kmalloc<P>>
    ) throws(BringUpError) -> Permanent<Vmalloc<P>> {
        let vmalloc = Vmalloc<P>(
            range: machine.layout.areas, frames: frames, pageTables: pageTables, kmalloc: kmalloc,
            directMap: machine.layout.directMap, purgeThreshold: machine.purgeThreshold, options: machine.vmalloc)
        guard let vmalloc else { throw .outOfBootMemory }
        let placed = root.place(vmalloc)
        // The second of them: there is room.
        if placed.value.purgeThreshold != 0 { _ = frames.value.shrinkers.register(placed) }
        return placed
    }

    @inline(never)
    private static func startStacks(
        _ root: inout RootMemory, _ options: StackOptions, _ frames: Permanent<PageFrameAllocator<P>>,
        _ vmalloc: Permanent<Vmalloc<P>>
    ) throws(BringUpError) -> Permanent<KernelStacks<P>> {
        guard let stacks = KernelStacks<P>(options: options, vmalloc: vmalloc) else { throw .outOfBootMemory }
        let placed = root.place(stacks)
        // The second of them: there is room.
        _ = frames.value.shrinkers.register(placed)
        return placed
    }

    /// Takes no memory, unless mappings are to be noted down.
    @inline(never)
    private static func startDMA(
        _ root: inout RootMemory, _ options: DMAOptions, _ frames: Permanent<PageFrameAllocator<P>>,
        _ kmalloc: Permanent<Kmalloc<P>>
    ) throws(BringUpError) -> Permanent<DMAMapper<P>> {
        guard let dma = DMAMapper<P>(frames: frames, kmalloc: kmalloc, options: options) else {
            throw .outOfBootMemory
        }
        return root.place(dma)
    }

    /// Debugging is asked for, not needed: without memory for it the kernel comes up all the same.
    @inline(never)
    private static func startGuardedPool(
        _ root: inout RootMemory, _ options: SlabOptions, _ vmalloc: Permanent<Vmalloc<P>>,
        _ kmalloc: Permanent<Kmalloc<P>>
    ) -> Permanent<GuardedPool<P>>? {
        if options.sampleInterval == 0 { return nil }
        let count = max(1, min(options.guardedObjectCount, GuardedPool<P>.largestObjectCount))
        guard let pool = GuardedPool<P>(count: count, vmalloc: vmalloc, kmalloc: kmalloc) else { return nil }
        let placed = root.place(pool)
        kmalloc.value.startSampling(to: GuardedPool.calls(of: placed), every: options.sampleInterval)
        return placed
    }

    private init(
        layout: AddressSpaceLayout, directMap: DirectMap, firmwareMap: Permanent<FirmwareMap>,
        image: Permanent<KernelImage>, boot: Permanent<BootAllocator>, pageTables: Permanent<PageTables<P>>,
        frames: Permanent<PageFrameAllocator<P>>, kmalloc: Permanent<Kmalloc<P>>, vmalloc: Permanent<Vmalloc<P>>,
        stacks: Permanent<KernelStacks<P>>, dma: Permanent<DMAMapper<P>>, guardedPool: Permanent<GuardedPool<P>>?,
        leaks: Permanent<LeakDetector<P>>?
    ) {
        self.leaks = leaks
        self.layout = layout
        self.directMap = directMap
        self.firmwareMap = firmwareMap
        self.image = image
        self.boot = boot
        self.pageTables = pageTables
        self.frames = frames
        self.kmalloc = kmalloc
        self.vmalloc = vmalloc
        self.stacks = stacks
        self.dma = dma
        self.guardedPool = guardedPool
    }
}
