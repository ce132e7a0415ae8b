import MemoryPrimitives
import PageFrames

/// The caches that are there from the start: one for each size class, one for each power of two in the DMA zone, and the
/// one that holds the descriptions of all others.
struct StandardCaches<P: Platform> {
    private static var dmaCount: Int { 11 }
    static var count: Int { SizeClass.count + dmaCount + 1 }

    private let frames: Permanent<PageFrameAllocator<P>>
    /// The block in which the caches lie side by side, and behind them what watched ones share.
    private let block: PageFrameNumber
    let debugging: Permanent<SlabDebugging<P>>

    /// Places all caches, without slabs, in frames of their own: one block for the caches, others for their magazines.
    /// - Returns: nil, with everything given back, where there is too little memory.
    init?(
        frames: Permanent<PageFrameAllocator<P>>, headers: Permanent<HeaderPool<P>>, guarded: GuardedSampling<P>,
        options: SlabOptions
    ) {
        guard let block = frames.value.allocate(order: Self.order, flags: .kernel | .noLeakTrace) else { return nil }
        guard let shared = SlabDebugging(frames: frames, options: options) else {
            frames.value.free(block, order: Self.order)
            return nil
        }
        self.frames = frames
        self.block = block
        // The block has room for it behind the caches.
        let room = unsafe frames.value.directMap.pointer(to: block) + Self.count * SlabCache<P>.byteCount
        debugging = unsafe Permanent(
            placing: shared, at: room.bindMemory(to: SlabDebugging<P>.self, capacity: 1))
        var random = options.randomOrder ? Self.seed() : 0
        var magazines: UInt = 0
        for index in 0..<Self.count {
            if index % Self.cachesPerBlock == 0 {
                guard let frame = frames.value.allocate(order: Self.magazineOrder, flags: .kernel | .noLeakTrace) else {
                    giveBack(placedCount: index)
                    return nil
                }
                magazines = frames.value.directMap.virtualAddress(of: frame.address).rawValue
            }
            place(index, magazines, random, headers, guarded, options)
            magazines += UInt(SlabCache<P>.magazinesByteCount)
            // Knuth's multiplier (MMIX): another odd number for each.
            random = random &* 6_364_136_223_846_793_005
        }
    }

    @inline(never)
    private func place(
        _ index: Int, _ magazines: UInt, _ random: UInt64, _ headers: Permanent<HeaderPool<P>>,
        _ guarded: GuardedSampling<P>, _ options: SlabOptions
    ) {
        let (name, size, flags) = Self.description(index)
        // Aligned to the largest power of two that divides the size: see `SizeClass`. The last holds what has cache lines.
        let alignment = index == Self.count - 1 ? 64 : size & (0 &- size)
        let isSampled = index < SizeClass.count && options.sampleInterval > 0
        let plan = CachePlan(
            name: name, objectSize: size, alignment: alignment, flags: isSampled ? flags | .sampled : flags,
            options: debugging.value.options)
        // Each cache has a part of the block, and of a block of magazines, of its own.
        _ = unsafe SlabCache<P>.place(
            at: UnsafeMutableRawPointer(self[index].address), name: name, flags: plan.flags,
            layout: plan.layout,
            magazines: UnsafeMutableRawPointer(bitPattern: magazines).unsafelyUnwrapped,
            isWatched: plan.isWatched, random: random,
            frames: frames, headers: headers, debugging: debugging, guarded: guarded,
            larger: index + 1 < SizeClass.count ? UInt(bitPattern: self[index + 1].address) : 0)
    }

    /// Gives everything back: the first `placedCount` caches have been placed.
    func giveBack(placedCount: Int) {
        for index in stride(from: 0, to: placedCount, by: Self.cachesPerBlock) {
            let address = frames.value.directMap.physicalAddress(of: VirtualAddress(self[index].value.magazines))
            frames.value.free(PageFrameNumber(containing: address), order: Self.magazineOrder)
        }
        debugging.value.giveBack(to: frames)
        frames.value.free(block, order: Self.order)
    }

    /// The frames that all of them take, without slabs.
    static var frameCount: UInt {
        let magazineBlocks = (count + cachesPerBlock - 1) / cachesPerBlock
        return 1 << UInt(order) + UInt(magazineBlocks) << UInt(magazineOrder)
    }

    private static var order: Int {
        LargeBlocks<P>.order(
            forByteCount: UInt(count * SlabCache<P>.byteCount + MemoryLayout<SlabDebugging<P>>.size))
    }

    /// As many caches' magazines as fit into 4 MiB, for the CPUs that there are, share a block.
    private static var cachesPerBlock: Int { max(1, min(count, (4 << 20) / SlabCache<P>.magazinesByteCount)) }

    private static var magazineOrder: Int {
        LargeBlocks<P>.order(forByteCount: UInt(cachesPerBlock * SlabCache<P>.magazinesByteCount))
    }

    /// An odd number from the platform's source of random bits.
    static func seed() -> UInt64 {
        var seed: UInt64 = 0
        // The eight bytes of this variable.
        unsafe withUnsafeMutableBytes(of: &seed) { bytes in unsafe P.fillRandom(bytes) }
        return seed | 1
    }

    private static func description(_ index: Int) -> (CacheName, UInt, CacheFlags) {
        if index < SizeClass.count {
            let sizeClass = SizeClass(index: index)
            return (CacheName(sizeClass: sizeClass, isDMA: false), sizeClass.byteCount, .none)
        }
        if index < SizeClass.count + dmaCount, let sizeClass = SizeClass(fitting: 8 << UInt(index - SizeClass.count)) {
            return (CacheName(sizeClass: sizeClass, isDMA: true), sizeClass.byteCount, .dma)
        }
        return (CacheName("kmem_cache"), UInt(SlabCache<P>.byteCount), .hardwareCacheAlign)
    }

    subscript(index: Int) -> Permanent<SlabCache<P>> {
        // Within the block; placed there by init.
        unsafe Permanent(
            to: (frames.value.directMap.pointer(to: block) + index * SlabCache<P>.byteCount)
                .assumingMemoryBound(to: SlabCache<P>.self))
    }

    func cache(of sizeClass: SizeClass) -> Permanent<SlabCache<P>> { self[sizeClass.index] }

    /// The cache of the power of two that a class fits into.
    func dmaCache(of sizeClass: SizeClass) -> Permanent<SlabCache<P>> {
        self[SizeClass.count + max(0, UInt.bitWidth - (sizeClass.byteCount - 1).leadingZeroBitCount - 3)]
    }

    var cacheOfCaches: Permanent<SlabCache<P>> { self[Self.count - 1] }
}
