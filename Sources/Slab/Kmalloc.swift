import MemoryPrimitives
import PageFrames
import Synchronization

/// Memory in any size for the kernel: 8 to 8192 bytes from slabs, more from the buddy, up to 4 MiB.
///
///     allocate -> this CPU's magazine --empty--> the size class's cache --none free--> the buddy
///     free     -> this CPU's magazine --full---> the size class's cache --slab free--> the buddy
///
/// It is placed once and never moves (see `Permanent`). All calls may come from any context, interrupt handlers
/// included, and from several CPUs at once, unless they say otherwise. An allocation whose flags have `.directReclaim`
/// may wait where it finds no free object (see `PageFrameAllocator.allocate`); nothing else does. The memory that one CPU
/// allocated any other may free.
///
/// Objects whose size is a power of two are aligned to it; 96 to 32 and 192 to 64; blocks above 8192 bytes to theirs,
/// a power of two of pages. `.dma` takes memory from the DMA zone, out of caches of its own; `.dma32` does so, too,
/// up to 8192 bytes.
@safe
public struct Kmalloc<P: Platform>: ~Copyable, @unchecked Sendable {
    /// What an allocation of 0 bytes returns: not nil, not memory, and fine to free. As Linux's `ZERO_SIZE_PTR`.
    public static var zeroSizeAddress: UInt { 16 }

    /// The largest allocation in bytes: a block of the highest order.
    public static var largestByteCount: UInt { PageSize.byteCount << 10 }

    /// The cache of slab headers comes after those of the size classes, ordinary and DMA.
    static var headerCacheIndex: Int { 2 * SizeClass.count }
    static var cacheCount: Int { headerCacheIndex + 1 }

    let frames: Permanent<PageFrameAllocator<P>>
    let directMap: DirectMap
    let table: FrameTable
    let rack: MagazineRack<P>
    let caches: CacheTable<P>
    let largeBlocks = LargeBlocks<P>()

    /// Sets up all caches, without a slab yet, and the magazines of `P.cpuCount` CPUs, in frames of their own.
    ///
    /// - Parameter frames: where all memory comes from.
    /// - Returns: nil, with every frame given back, where there is too little memory, or magazines for all CPUs would
    ///   not fit into 4 MiB (more than 256 CPUs).
    /// - Complexity: O(CPUs). For one CPU, before others use it.
    public init?(frames: Permanent<PageFrameAllocator<P>>) {
        let cacheOrder = LargeBlocks<P>.order(forByteCount: UInt(CacheTable<P>.byteCount))
        let rackOrder = LargeBlocks<P>.order(forByteCount: UInt(MagazineRack<P>.byteCount))
        guard let cacheFrame = frames.value.allocate(order: cacheOrder) else { return nil }
        guard let rackFrame = frames.value.allocate(order: rackOrder) else {
            frames.value.free(cacheFrame, order: cacheOrder)
            return nil
        }
        self.frames = frames
        directMap = frames.value.directMap
        table = frames.value.table
        // Both blocks are ours for good, of the sizes asked for, and aligned to pages.
        caches = unsafe CacheTable(in: directMap.pointer(to: cacheFrame), frames: frames)
        rack = unsafe MagazineRack(in: directMap.pointer(to: rackFrame))
    }

    /// Allocates memory.
    ///
    /// - Parameters:
    ///   - byteCount: bytes. 0 returns `zeroSizeAddress`.
    ///   - flags: `.zero` clears the whole object, `size(of:)` bytes; `.dma` and `.dma32` choose the zone. How far the
    ///     search may go, and what is to happen on failure, goes on to the page frames. What the memory is for does not
    ///     count: a slab's objects are many users'.
    /// - Returns: memory that belongs to the caller until `free`; nil where there is none, or above 4 MiB.
    /// - Complexity: O(1) from the magazine; else a batch from the slabs, or a new slab.
    @inline(__always)
    public func allocate(_ byteCount: UInt, flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? {
        guard byteCount != 0, let sizeClass = SizeClass(fitting: byteCount) else {
            return unsafe allocateUncommon(byteCount, flags)
        }
        let isDMA = flags.rawValue & (AllocationFlags.dma.rawValue | AllocationFlags.dma32.rawValue) != 0
        let cacheIndex = isDMA ? sizeClass.index &+ SizeClass.count : sizeClass.index
        guard let object = takeObject(cacheIndex) ?? takeObjectSlow(cacheIndex, flags) else { return nil }
        // An object's address is in the direct map, never null.
        let pointer = unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
        if flags.contains(.zero) {
            let words = Int(bitPattern: sizeClass.byteCount &>> 3)
            // The object is the caller's from here on, and its size a multiple of 8.
            unsafe pointer.initializeMemory(as: UInt64.self, repeating: 0, count: words)
        }
        return unsafe pointer
    }

    @inline(__always)
    private func takeObject(_ cacheIndex: Int) -> UInt? {
        let interrupts = P.disableInterrupts()
        defer { P.restoreInterrupts(interrupts) }
        let magazine = rack.magazine(ofCache: cacheIndex, cpu: P.currentCPU)
        guard let entry = magazine.pop() else { return nil }
        entry.setState(.allocated)
        return entry.object
    }

    /// Fills this CPU's magazine, from a new slab where the cache has no free object, and takes one.
    ///
    /// Making a slab may wait: that is done with interrupts as the caller has them. So the magazine that is filled may
    /// be one that others have used meanwhile, or another CPU's than before; and other CPUs may be quicker with all of
    /// the new slab.
    @inline(never)
    private func takeObjectSlow(_ cacheIndex: Int, _ flags: AllocationFlags) -> UInt? {
        while true {
            if let object = refillAndTake(cacheIndex) { return object }
            guard caches[cacheIndex].value.addSlab(flags) else { return nil }
        }
    }

    /// nil where neither the magazine nor the cache has a free object.
    private func refillAndTake(_ cacheIndex: Int) -> UInt? {
        let interrupts = P.disableInterrupts()
        defer { P.restoreInterrupts(interrupts) }
        let magazine = rack.magazine(ofCache: cacheIndex, cpu: P.currentCPU)
        if magazine.count == 0, !caches[cacheIndex].value.fill(magazine, count: magazine.depth / 2) { return nil }
        guard let entry = magazine.pop() else { return nil }
        entry.setState(.allocated)
        return entry.object
    }

    /// 0 bytes, or more than a slab's object.
    @inline(never)
    private func allocateUncommon(_ byteCount: UInt, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        if byteCount == 0 { return unsafe UnsafeMutableRawPointer(bitPattern: Self.zeroSizeAddress) }
        guard byteCount <= Self.largestByteCount,
            let frame = largeBlocks.allocate(byteCount, flags, from: frames)
        else { return nil }
        // A block just allocated, which the direct map covers.
        return unsafe directMap.pointer(to: frame)
    }

    /// Allocates memory at a multiple of `alignment`.
    ///
    /// - Parameters:
    ///   - byteCount: bytes. 0 counts as 1: what is returned is memory.
    ///   - alignment: bytes, a power of two up to 4 MiB.
    /// - Returns: memory to be given back with `free`; nil where there is none, or for a bad alignment.
    /// - Complexity: as `allocate`.
    public func alignedAllocate(
        _ byteCount: UInt, alignment: UInt, flags: AllocationFlags = .kernel
    ) -> UnsafeMutableRawPointer? {
        guard alignment != 0, alignment & (alignment &- 1) == 0 else { return nil }
        let (sum, overflow) = max(byteCount, 1).addingReportingOverflow(alignment &- 1)
        if overflow { return nil }
        // A multiple of the alignment gets a class, or a block, that is aligned to it: 96 serves up to 32, 192 up to 64.
        return unsafe allocate(sum & ~(alignment &- 1), flags: flags)
    }
}
