import MemoryPrimitives
import PageFrames
import Synchronization

/// Memory in any size for the kernel: 8 to 8192 bytes from slabs, more from the buddy, up to 4 MiB; and caches of objects
/// of one kind, which users make.
///
///     allocate -> this CPU's magazine of the size class --empty--> its depot, its slabs --none--> a larger class's, the buddy
///     free     -> this CPU's magazine of the object's slab --full---> its depot, its slabs --slab free--> the buddy
///
/// It is placed once and never moves (see `Permanent`). All calls may come from any context, interrupt handlers
/// included, and from several CPUs at once, unless they say otherwise. An allocation whose flags have `.directReclaim`
/// may wait where it finds no free object (see `PageFrameAllocator.allocate`); nothing else does. The memory that one CPU
/// allocated any other may free.
///
/// Memory is aligned to the largest power of two that divides the size asked for, up to 4 MiB; what `reallocate` leaves in
/// place keeps the alignment that it has. `.dma` takes memory from the DMA zone, out of caches of its own,
/// whose sizes are the powers of two; `.dma32` does so, too, up to 8192 bytes.
@safe
public struct Kmalloc<P: Platform>: ~Copyable, @unchecked Sendable {
    /// What an allocation of 0 bytes returns: not nil, not memory, and fine to free. As Linux's `ZERO_SIZE_PTR`.
    public static var zeroSizeAddress: UInt { 16 }

    /// The largest allocation in bytes, as Linux's `KMALLOC_MAX_SIZE`: a block of the highest order.
    public static var largestByteCount: UInt { PageSize.byteCount << 10 }

    let frames: Permanent<PageFrameAllocator<P>>
    let directMap: DirectMap
    let table: FrameTable
    let sizes: SizeTable<P>
    let dmaSizes: SizeTable<P>
    let caches: CacheList<P>
    let headers: Permanent<HeaderPool<P>>
    /// The cache that other caches' descriptions are objects of.
    let cacheOfCaches: Permanent<SlabCache<P>>
    let largeBlocks = LargeBlocks<P>()
    let guarded: GuardedSampling<P>
    let options: SlabOptions
    /// Whether the magazines of all caches are off; see `setMagazines`.
    let passesMagazines = Atomic<Bool>(false)

    /// Sets up all caches, without a slab yet, in frames of their own.
    ///
    /// - Parameters:
    ///   - frames: where all memory comes from.
    ///   - options: what is decided for all caches.
    /// - Returns: nil, with every frame given back, where there is too little memory.
    /// - Complexity: O(CPUs). For one CPU, before others use it.
    public init?(frames: Permanent<PageFrameAllocator<P>>, options: SlabOptions = SlabOptions()) {
        let tableOrder = LargeBlocks<P>.order(forByteCount: UInt(Self.tableByteCount))
        guard let tableFrame = frames.value.allocate(order: tableOrder, flags: .kernel | .noLeakTrace) else {
            return nil
        }
        // The block is ours for good, has room for all its parts, and each is aligned to 8.
        var room = unsafe frames.value.directMap.pointer(to: tableFrame)
        let pool = unsafe room.bindMemory(to: HeaderPool<P>.self, capacity: 1)
        unsafe room += 64
        let headers = unsafe Permanent(placing: HeaderPool(in: room, frames: frames), at: pool)
        unsafe room += HeaderPool<P>.byteCount
        let guarded = unsafe GuardedSampling<P>(in: room)
        unsafe room += GuardedSampling<P>.byteCount
        guard let standard = StandardCaches(frames: frames, headers: headers, guarded: guarded, options: options)
        else {
            frames.value.free(tableFrame, order: tableOrder)
            return nil
        }
        self.frames = frames
        self.options = options
        self.headers = headers
        self.guarded = guarded
        directMap = frames.value.directMap
        table = frames.value.table
        cacheOfCaches = standard.cacheOfCaches
        caches = unsafe CacheList(in: room)
        for index in 0..<StandardCaches<P>.count { caches.add(standard[index]) }
        unsafe room += CacheList<P>.byteCount
        sizes = unsafe SizeTable(in: room) { sizeClass in standard.cache(of: sizeClass).value.magazines }
        unsafe room += SizeTable<P>.byteCount
        dmaSizes = unsafe SizeTable(in: room) { sizeClass in standard.dmaCache(of: sizeClass).value.magazines }
    }

    /// The frames of what was set up, of tables and caches.
    var ownFrames: UInt {
        1 << UInt(LargeBlocks<P>.order(forByteCount: UInt(Self.tableByteCount))) + StandardCaches<P>.frameCount
            + debugging.value.frameCount
    }

    private static var tableByteCount: Int {
        64 + HeaderPool<P>.byteCount + GuardedSampling<P>.byteCount + CacheList<P>.byteCount + 2
            * SizeTable<P>.byteCount
    }

    /// Allocates memory.
    ///
    /// - Parameters:
    ///   - byteCount: bytes. 0 returns `zeroSizeAddress`.
    ///   - flags: `.zero` clears the whole object, `size(of:)` bytes; `.dma` and `.dma32` choose the zone. How far the
    ///     search may go, and what is to happen on failure, goes on to the page frames. What the memory is for does not
    ///     count: a slab's objects are many users'.
    /// - Returns: memory that belongs to the caller until `free`; nil where there is none, or above 4 MiB.
    /// - Complexity: O(1) from the magazine; else a batch from depot or slabs, a look at the larger classes, or a new slab.
    @inline(__always)
    public func allocate(_ byteCount: UInt, flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? {
        guard byteCount &- 1 < SizeClass.largestByteCount,
            flags.rawValue & (AllocationFlags.dma.rawValue | AllocationFlags.dma32.rawValue) == 0
        else { return unsafe Self.allocateUncommon(self, byteCount, flags) }
        let magazine = sizes.magazine(for: byteCount, cpu: P.currentCPU)
        guard let object = magazine.allocate() else { return unsafe magazine.allocateSlow(flags, byteCount) }
        if flags.contains(.zero) { return unsafe Magazine<P>.clear(object, magazine.plainSize) }
        // An object's address is in the direct map, never null.
        return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    }

    /// 0 bytes, more than a slab's object, or from the DMA zone.
    ///
    /// Not a method, so that calling it is a jump, and the short way saves no register.
    @inline(never)
    private static func allocateUncommon(
        _ kmalloc: borrowing Kmalloc<P>, _ byteCount: UInt, _ flags: AllocationFlags
    ) -> UnsafeMutableRawPointer? {
        if byteCount == 0 { return unsafe UnsafeMutableRawPointer(bitPattern: zeroSizeAddress) }
        if byteCount <= SizeClass.largestByteCount {
            let magazine = kmalloc.dmaSizes.magazine(for: byteCount, cpu: P.currentCPU)
            guard let object = magazine.allocate() else { return unsafe magazine.allocateSlow(flags, byteCount) }
            if flags.contains(.zero) { return unsafe Magazine<P>.clear(object, magazine.plainSize) }
            return unsafe UnsafeMutableRawPointer(bitPattern: object)
        }
        guard byteCount <= largestByteCount, let frame = kmalloc.allocateLarge(byteCount, flags) else { return nil }
        // A block just allocated, which the direct map covers.
        return unsafe kmalloc.directMap.pointer(to: frame)
    }

    /// Allocates memory at a multiple of `alignment`.
    ///
    /// - Parameters:
    ///   - byteCount: bytes. 0 counts as 1: what is returned is memory.
    ///   - alignment: bytes, a power of two up to 4 MiB.
    ///   - flags: as for `allocate`.
    /// - Returns: memory to be given back with `free`; nil where there is none, or for a bad alignment.
    /// - Complexity: as `allocate`.
    public func alignedAllocate(
        _ byteCount: UInt, alignment: UInt, flags: AllocationFlags = .kernel
    ) -> UnsafeMutableRawPointer? {
        guard alignment != 0, alignment & (alignment &- 1) == 0 else { return nil }
        let (sum, overflow) = max(byteCount, 1).addingReportingOverflow(alignment &- 1)
        if overflow { return nil }
        // A multiple of the alignment gets a class, or a block, that is aligned to it: see `SizeClass`.
        return unsafe allocate(sum & ~(alignment &- 1), flags: flags)
    }
}
