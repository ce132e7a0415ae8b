import DeviceMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

/// What bring-up has to be told about the machine; the rest it reads from the firmware's map.
public struct MachineDescription: Sendable {
    /// Physical memory below this is reachable through `directMap` before the kernel has page tables of its own.
    public var reachableLimit: PhysicalAddress
    /// Reaches physical memory, before the kernel's own page tables and after.
    public var directMap: DirectMap
    /// Where the address space is to keep what.
    public var layout: AddressSpaceLayout
    /// Where the image lies.
    public var image: KernelImage
    /// What the CPU's paging offers.
    public var features: PagingFeatures
    /// How the page frame allocator is to work.
    public var frames: PageFrameOptions
    /// How caches and kmalloc are to work.
    public var slab = SlabOptions()
    /// How kernel stacks are to be.
    public var stacks = StackOptions()
    /// How memory is given to devices.
    public var dma = DMAOptions()
    /// What the first touch of memory on demand brings.
    public var vmalloc = VmallocOptions()
    /// How many pages of freed areas may wait for a flush of all CPUs; nil for the usual number, see `Vmalloc`.
    public var purgeThreshold: UInt?
    /// Whether every allocation is noted down, so that those can be found that nothing refers to any more.
    public var findsLeaks = false

    /// A machine with these; what else there is has its usual value.
    public init(
        reachableLimit: PhysicalAddress, directMap: DirectMap,
        layout: AddressSpaceLayout, image: KernelImage, features: PagingFeatures,
        frames: PageFrameOptions = PageFrameOptions()
    ) {
        self.reachableLimit = reachableLimit
        self.directMap = directMap
        self.layout = layout
        self.image = image
        self.features = features
        self.frames = frames
    }
}
