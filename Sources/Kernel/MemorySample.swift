import DeviceMemory
import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory
import X86

/// What `sample` does before reports are printed: allocations of every kind, most of which are freed again in no order, so
/// that there is something to see. What is left is kept for good.
enum MemorySample {
    typealias Memory = Permanent<KernelMemory<X86Platform>>
    private typealias Cache = CacheReference<X86Platform>

    /// What is allocated and freed over and over.
    private enum Kind: Int {
        case object, cached, block, area
    }

    /// The steps that `sample` alone does, and the most that `sample=N` may ask for.
    static var usualSteps: UInt { 24_000 }
    static var largestSteps: UInt { 1_000_000 }

    private static var slotCount: Int { 8192 }
    private static var cacheCount: Int { 5 }

    @inline(never)
    static func make(_ memory: Memory, steps: UInt) {
        let bytes = UInt(bitPattern: slotCount + cacheCount) * 8
        guard let room = unsafe memory.value.kmalloc.value.kzalloc(bytes, .kernel) else {
            return Log.warning("sample: no memory")
        }
        let slots = UInt(bitPattern: room)
        makeCaches(memory, at: slots + UInt(bitPattern: slotCount) * 8)
        let kept = churn(memory, slots, steps)
        makeStacks(memory)
        mapOthers(memory)
        shareWithDevice(memory)
        Log.info("sample: \(steps) steps, \(kept) allocations are kept")
    }

    @inline(never)
    private static func makeCaches(_ memory: Memory, at table: UInt) {
        for index in 0..<cacheCount {
            let (name, size): (StaticString, UInt) =
                switch index {
                case 0: ("inode", 608)
                case 1: ("dentry", 192)
                case 2: ("filp", 232)
                case 3: ("task", 3200)
                default: ("buffer_head", 104)
                }
            let flags: CacheFlags = index < 2 ? .noMerge | .reclaimable : .noMerge
            // Without a constructor.
            let cache = try? unsafe memory.value.kmalloc.value.makeCache(name, objectSize: size, flags: flags)
            x86_store64(table + UInt(index) * 8, UInt64(cache?.identifier ?? 0))
        }
    }

    /// Fills a slot that is empty, or empties one that is filled, over and over. - Returns: the slots that are filled.
    private static func churn(_ memory: Memory, _ slots: UInt, _ steps: UInt) -> Int {
        var draws = BenchmarkDraws()
        var kept = 0
        for _ in 0..<steps {
            let index = draws.below(slotCount)
            // Large things have few of the slots.
            let kind: Kind = index < 64 ? .area : index < 320 ? .block : index < 3600 ? .cached : .object
            let slot = slots + UInt(index) * 8
            let word = UInt(x86_load64(slot))
            if word == 0 {
                let made = make(kind, index, memory, slots, &draws)
                x86_store64(slot, UInt64(made))
                if made != 0 { kept += 1 }
            } else {
                end(kind, word, index, memory, slots)
                x86_store64(slot, 0)
                kept -= 1
            }
        }
        return kept
    }

    /// log2 of how many times 64 MiB there are: large machines get larger things.
    private static func scale(_ memory: Memory) -> Int {
        let times = memory.value.frames.value.managedFrames >> 14
        return times == 0 ? 0 : UInt.bitWidth - 1 - times.leadingZeroBitCount
    }

    private static func cache(_ index: Int, _ slots: UInt) -> Cache? {
        let identifier = UInt(x86_load64(slots + UInt(slotCount + index % cacheCount) * 8))
        // A cache that was made for the sample, and is kept.
        return identifier == 0 ? nil : unsafe Cache(identifier: identifier)
    }

    /// - Returns: what `end` needs to know; 0 where there is no memory.
    @inline(never)
    private static func make(
        _ kind: Kind, _ index: Int, _ memory: Memory, _ slots: UInt, _ draws: inout BenchmarkDraws
    ) -> UInt {
        switch kind {
        case .object:
            let size = draws.below(40) == 0 ? 12_000 + UInt(draws.below(120_000)) : draws.size()
            let flags: AllocationFlags = index & 63 == 0 ? .kernel | .dma | .noWarn : .kernel | .noWarn
            return UInt(bitPattern: unsafe memory.value.kmalloc.value.kmalloc(size, flags))
        case .cached: return UInt(bitPattern: unsafe cache(index, slots)?.allocate(flags: .kernel | .noWarn))
        case .block:
            let order = draws.below(min(BlockOrder.count, 8 + scale(memory)))
            let flags: AllocationFlags =
                index & 1 == 0 ? .kernel | .noWarn : .kernel | .movable | .noWarn
            let frame = memory.value.frames.value.allocate(order: order, flags: flags)
            return frame.map { $0.address.rawValue | UInt(order) } ?? 0
        case .area:
            let bytes =
                PageSize.byteCount << UInt(draws.below(min(14, 9 + scale(memory)))) + UInt(draws.below(100_000))
            let populates = draws.below(3) == 0
            guard
                let start = memory.value.vmalloc.value.allocate(
                    bytes, flags: .kernel | .noWarn, populate: populates, name: "sample", caller: populates ? 0 : caller
                )
            else { return 0 }
            for _ in 0..<4 { x86_store8((start + UInt(draws.below(Int(bytes)))).rawValue, 1) }
            return start.rawValue
        }
    }

    @inline(never)
    private static func end(_ kind: Kind, _ word: UInt, _ index: Int, _ memory: Memory, _ slots: UInt) {
        // All of it was made by `make`, and is freed once.
        switch kind {
        case .object: unsafe memory.value.kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: word))
        case .cached: unsafe cache(index, slots)?.free(UnsafeMutableRawPointer(bitPattern: word))
        case .block:
            let frame = PageFrameNumber(containing: PhysicalAddress(word))
            memory.value.frames.value.free(frame, order: Int(word & 15))
        case .area: memory.value.vmalloc.value.free(VirtualAddress(word))
        }
    }

    /// Stacks on which nothing runs; each a little further grown than the one before.
    @inline(never)
    private static func makeStacks(_ memory: Memory) {
        for index in 0..<12 as Range<UInt> {
            guard let stack = KernelStack<X86Platform>(name: "sample", from: memory.value.stacks) else { return }
            x86_store64((stack.top.rawValue) - 64 - index % 4 * PageSize.byteCount, 1)
            memory.value.stacks.value.refillReserve()
        }
    }

    /// The registers of the HPET, and frames that are mapped a second time.
    @inline(never)
    private static func mapOthers(_ memory: Memory) {
        _ = try? memory.value.vmalloc.value.mapDevice(PhysicalAddress(0xfed0_0000), byteCount: 4096, name: "hpet")
        guard let frame = memory.value.frames.value.allocate(order: 1, flags: .kernel | .noWarn) else { return }
        var frames: InlineArray<2, PageFrameNumber> = [frame + 1, frame]
        unsafe withUnsafePointer(to: &frames) { pointer in
            // Both of them.
            let list = unsafe UnsafeBufferPointer(
                start: UnsafeRawPointer(pointer).assumingMemoryBound(to: PageFrameNumber.self), count: 2)
            _ = unsafe memory.value.vmalloc.value.mapFrames(list, permissions: .read, name: "window")
        }
    }

    /// Who has called the function that asks.
    @inline(__always)
    private static var caller: UInt { UInt(x86_load64(x86_frame_pointer() + 8)) }

    @inline(never)
    private static func shareWithDevice(_ memory: Memory) {
        guard let device = try? memory.value.dma.value.makeDevice("sample", mask: DMA_BIT_MASK(32)) else { return }
        _ = try? memory.value.dma.value.allocateCoherent(device, byteCount: 40_000)
    }
}
