import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

/// The composition root: the one value that owns every allocator of a machine.
///
///     firmware map -> BootAllocator -> PageTables -> PageFrameAllocator -> Kmalloc -> Vmalloc
///
/// Created once, by `bringUp`, and never moved: everything in it is reached by `Permanent` references. All calls may
/// come from any context and any CPU unless the allocator they lead to says otherwise.
public struct KernelMemory<P: Platform>: ~Copyable {
    public let layout: AddressSpaceLayout
    public let directMap: DirectMap
    /// Who owns what of the memory that never reached the page frames.
    public let boot: Permanent<BootAllocator>
    public let pageTables: Permanent<PageTables<P>>
    public let frames: Permanent<PageFrameAllocator<P>>
    public let kmalloc: Permanent<Kmalloc<P>>
    public let vmalloc: Permanent<Vmalloc<P>>

    /// The least free memory, in bytes, that bring-up starts with. Below it the allocators' own tables would leave
    /// nothing to allocate.
    public static var minimumMemory: UInt { 1 << 20 }

    /// Bytes of memory that the values themselves take.
    private static var rootByteCount: UInt {
        RootMemory.byteCount(of: KernelMemory<P>.self) + RootMemory.byteCount(of: BootAllocator.self)
            + RootMemory.byteCount(of: PageTables<P>.self) + RootMemory.byteCount(of: PageFrameAllocator<P>.self)
            + RootMemory.byteCount(of: Kmalloc<P>.self) + RootMemory.byteCount(of: Vmalloc<P>.self)
    }

    /// Brings up every allocator, in order.
    ///
    /// For one CPU, before others run and before interrupts are enabled.
    /// - Parameters:
    ///   - machine: the machine, as far as its firmware's map does not describe it.
    ///   - map: the sanitised map.
    ///   - information: where the map came from; what it lies in is reserved.
    ///   - boot: an empty boot allocator.
    ///   - observer: is told of each step, and switches to the new page tables.
    /// - Throws: what is missing; the machine is then of no use to these allocators.
    public static func bringUp<Observer: BringUpObserver>(
        _ machine: MachineDescription, map: borrowing FirmwareMap, information: MultibootInformation,
        boot: consuming BootAllocator, observer: inout Observer
    ) throws(BringUpError) -> Permanent<KernelMemory<P>> where Observer.P == P {
        var boot = boot
        try BootReservations.fill(&boot, from: map, information, image: machine.image)
        boot.allowGrowth(through: machine.directMap, below: machine.reachableLimit)
        observer.bootMemoryIsReady(boot)
        if boot.totalFree < minimumMemory { throw .tooLittleMemory(boot.totalFree) }

        // `boot` is not touched otherwise while the table source holds the pointer, which ends with the call.
        let tables = try unsafe withUnsafeMutablePointer(to: &boot) { pointer throws(BringUpError) in
            try unsafe KernelAddressSpace<P>.build(machine, from: pointer)
        }
        observer.activate(tables)
        boot.free(machine.image.bootPart)

        guard
            let rootAddress = boot.allocate(
                byteCount: rootByteCount, alignment: PageSize.byteCount, owner: .kernelRoot)
        else { throw .outOfBootMemory }
        // Reserved above for the root alone, and the direct map covers all RAM by now.
        var root = unsafe RootMemory(machine.directMap.pointer(to: rootAddress), byteCount: rootByteCount)
        guard let frameAllocator = PageFrameAllocator<P>(takingOver: &boot, directMap: machine.directMap) else {
            throw .outOfBootMemory
        }
        let frames = root.place(frameAllocator)
        let pageTables = root.place(tables)
        let keptBoot = root.place(boot)
        observer.pageFramesAreReady(frames.value, keptBoot.value)

        guard let kmallocValue = Kmalloc<P>(frames: frames) else {
            throw .outOfBootMemory
        }
        let kmalloc = root.place(kmallocValue)
        observer.kmallocIsReady(kmalloc.value)

        guard
            let vmallocValue = Vmalloc<P>(
                range: machine.layout.areas, frames: frames, pageTables: pageTables, kmalloc: kmalloc)
        else { throw .outOfBootMemory }
        let vmalloc = root.place(vmallocValue)
        observer.vmallocIsReady(vmalloc.value)

        return root.place(
            KernelMemory(
                layout: machine.layout, directMap: machine.directMap, boot: keptBoot, pageTables: pageTables,
                frames: frames, kmalloc: kmalloc, vmalloc: vmalloc))
    }

    private init(
        layout: AddressSpaceLayout, directMap: DirectMap, boot: Permanent<BootAllocator>,
        pageTables: Permanent<PageTables<P>>, frames: Permanent<PageFrameAllocator<P>>,
        kmalloc: Permanent<Kmalloc<P>>, vmalloc: Permanent<Vmalloc<P>>
    ) {
        self.layout = layout
        self.directMap = directMap
        self.boot = boot
        self.pageTables = pageTables
        self.frames = frames
        self.kmalloc = kmalloc
        self.vmalloc = vmalloc
    }
}
