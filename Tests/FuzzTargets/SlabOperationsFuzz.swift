import BootMemory
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab

/// Sequences of calls to kmalloc, to caches, pools and partitions, right ones and wrong ones, on a small machine of two CPUs.
///
///     byte 0    bit 0: frame caches; bit 1: watermarks; bit 2: random order; bit 3: a shrinker; bits 4-5: the memory
///     byte 1    bits 0-2: slub_debug; bits 3-4: the quarantine; bits 5-6: failslab; bit 7: everything is zeroed
///     the rest  calls: a byte that says which, a byte that is its argument, and what more it wants
///
/// After each call its answer is compared with a record of who has what, and the bytes of an object are looked at whenever
/// it changes hands; every so often, and at the end, so are all objects, all counts and the allocator's own invariants. In
/// the end everything is given back, and there must be as many frames as before the first call.
public struct SlabOperationsFuzz {
    typealias Platform = SimulatedPlatform
    typealias Frames = PageFrameAllocator<Platform>
    typealias Allocator = Kmalloc<Platform>

    private enum Call: UInt8, CaseIterable {
        case allocate, allocateAgain, allocateArray, free, freeLatest, freeSensitive, reallocate, size, copy
        case makeCache, destroyCache, allocateObject, allocateBulk, freeBulk, shrinkCache
        case makePool, destroyPool, allocateElement, freeElement, resizePool
        case getBlock, putBlock
        case doubleFree, freeInterior, freeForeign, freeToWrongCache, destroyTwice, writeAfterFree, writeOutside
        case failObject, failFrames, takeFrames, giveFrames, shrink, scan, drain, switchCPU
    }

    /// Made once: a machine is an address space, of which an input uses what it wants.
    static let machine = SimulatedMachine(memory: 6144 * PageSize.byteCount, cpuCount: 2)

    private static let memories: [[Range<UInt>]] = [
        [256..<800, 4096 + 13..<4096 + 1000], [1..<159, 256..<300, 4096..<4096 + 300], [512..<1300],
        [256..<2048, 4096..<6000],
    ]

    /// What `slub_debug=` says, and what of that holds for kmalloc's own caches.
    private static let letters: [(value: StaticString?, kmalloc: CacheFlags)] = [
        (nil, .none), (nil, .none), (nil, .none), ("FZPU", .redZone | .poison), ("Z", .redZone), ("P", .poison),
        ("U,kmalloc-64;FZT,test*", .none), ("FZPUT", .redZone | .poison),
    ]

    static let flags: [AllocationFlags] = [
        .kernel, .noWait, .atomic, .kernel | .zero, .noWait | .zero, .kernel | .dma, .noWait | .dma32, .atomic | .dma,
        .kernel | .noRetry, .noIO, .kernel | .movable, .kernel | .reclaimable | .zero, .noWait | .memoryReserves,
        .kernel | .highMemory, .kernel | .dma | .zero, .noFS | .retryMayFail | .zero,
    ]

    var input: InputReader
    let frames: Permanent<Frames>
    let kmalloc: Permanent<Allocator>
    let options: SlabOptions
    let kmallocFlags: CacheFlags
    let keepsReserve: Bool
    let partition: LivePartition
    var objects: [LiveObject] = []
    var caches: [LiveCache] = []
    var pools: [LivePool] = []
    /// Page frames that somebody else has.
    var taken: [PageFrameNumber] = []
    /// All frames that are free, kmalloc's, or somebody's.
    var frameCount: UInt = 0
    private var cpu = 0

    /// Tries an input. - Throws: what it shows to be wrong.
    public static func run(_ bytes: [UInt8]) throws {
        var input = InputReader(bytes)
        let machineByte = input.byte()
        let watchByte = input.byte()
        let slab = slabOptions(watchByte, randomOrder: machineByte & 4 != 0)
        var settings = PageFrameOptions()
        settings.frameCaches = machineByte & 1 != 0
        settings.minimumFreeKiB = machineByte & 2 == 0 ? 0 : nil
        machine.randomGenerator = SeededGenerator(seed: UInt64(machineByte) + 1)
        let storage = UnsafeMutableBufferPointer<Region>.allocate(capacity: 64)
        let place = UnsafeMutablePointer<Frames>.allocate(capacity: 1)
        let slabPlace = UnsafeMutablePointer<Allocator>.allocate(capacity: 1)
        defer {
            unsafe storage.deallocate()
            unsafe place.deallocate()
            unsafe slabPlace.deallocate()
        }
        // Both lists are the boot allocator's own, and it does not outlive this function.
        var boot = unsafe BootAllocator(
            memoryStorage: UnsafeMutableBufferPointer(rebasing: storage[..<32]),
            reservedStorage: UnsafeMutableBufferPointer(rebasing: storage[32...]))
        for range in memories[Int(machineByte >> 4 & 3)] {
            boot.add(
                PhysicalRange(PageFrameNumber(range.lowerBound).address, PageFrameNumber(range.upperBound).address))
        }
        try machine.run {
            guard let owner = Frames(takingOver: &boot, directMap: machine.arena.directMap, options: settings)
            else { throw Finding("there is enough memory") }
            // Freshly allocated; ended below, when nobody uses it any more. So is kmalloc.
            let frames = unsafe Permanent(placing: owner, at: place)
            defer { unsafe frames.destroy() }
            guard let allocator = Allocator(frames: frames, options: slab) else { throw Finding("no kmalloc") }
            let kmalloc = unsafe Permanent(placing: allocator, at: slabPlace)
            defer { unsafe kmalloc.destroy() }
            if machineByte & 8 != 0 { _ = frames.value.shrinkers.register(kmalloc) }
            var fuzz = SlabOperationsFuzz(
                input: input, frames: frames, kmalloc: kmalloc, options: slab,
                kmallocFlags: letters[Int(watchByte & 7)].kmalloc, keepsReserve: machineByte & 2 != 0,
                partition: LivePartition())
            // After a finding, so that no pool outlives what it is made of.
            defer { fuzz.endPools() }
            try fuzz.run()
        }
    }

    private static func slabOptions(_ byte: UInt8, randomOrder: Bool) -> SlabOptions {
        var options = SlabOptions()
        options.continuesAfterErrors = true
        options.randomOrder = randomOrder
        // A StaticString's bytes live as long as the program.
        if let value = letters[Int(byte & 7)].value {
            unsafe options.debugging = DebugSelection(Self.bytes(of: value)) { _ in }
        }
        options.quarantineByteCount = [0, 0, 4096, 65536][Int(byte >> 3 & 3)]
        switch byte >> 5 & 3 {
        case 2: options.failures = FailurePlan()
        case 3: options.failures = unsafe FailurePlan(Self.bytes(of: "probability:5"))
        default: break
        }
        options.zeroOnAllocation = byte & 128 != 0
        options.zeroOnFree = byte & 128 != 0
        return options
    }

    @unsafe
    private static func bytes(of text: StaticString) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    private mutating func run() throws {
        let before = frames.value.freeFrames
        frameCount = before + kmalloc.value.frameFigures.total
        try check()
        var calls = 0
        while !input.isAtEnd {
            let byte = input.byte()
            let call = Call(rawValue: byte % UInt8(Call.allCases.count))!
            let argument = Int(input.byte())
            let cpu = self.cpu
            try Self.machine.run(onCPU: cpu) { try make(call, argument) }
            calls += 1
            if calls % 16 == 0 { try check() }
        }
        try check()
        try giveEverythingBack(before)
    }

    /// - Parameter argument: 0 to 255.
    private mutating func make(_ call: Call, _ argument: Int) throws {
        switch call {
        case .allocate: try allocate(anySize(argument), anyFlags())
        case .allocateAgain:
            let size = anySize(argument & 0xf0)
            for _ in 0...argument & 15 { try allocate(size, .noWait) }
        case .allocateArray: try allocateArray(argument)
        case .free: try free(at: Int(input.word()))
        case .freeLatest: for _ in 0...argument & 15 { try free(at: objects.count - 1) }
        case .freeSensitive: try free(at: Int(input.word()), sensitively: true)
        case .reallocate: try reallocate(at: Int(input.word()), argument)
        case .size: try lookAtSize(at: argument)
        case .copy: try copy(argument)
        case .makeCache: try makeCache(argument)
        case .destroyCache: try destroyCache(at: argument)
        case .allocateObject: try allocateObject(at: argument)
        case .allocateBulk: try allocateBulk(at: argument, count: Int(input.byte() & 127))
        case .freeBulk: try freeBulk(at: argument, count: Int(input.byte() & 127))
        case .shrinkCache: if let cache = anyCache(argument) { cache.reference.shrink() }
        case .makePool: try makePool(argument)
        case .destroyPool: try destroyPool(at: argument)
        case .allocateElement: try allocateElement(at: argument)
        case .freeElement: try freeElement(at: argument)
        case .resizePool: try resizePool(at: argument)
        case .getBlock: for _ in 0...argument & 7 { try partition.get() }
        case .putBlock: try expectReports(partition.put(argument), "put")
        case .doubleFree: try freeTwice(at: Int(input.word()), argument)
        case .freeInterior: try freeInterior(at: Int(input.word()), argument)
        case .freeForeign: try freeForeign(argument)
        case .freeToWrongCache: try freeToWrongCache(at: Int(input.word()), argument)
        case .destroyTwice: try destroyTwice(at: argument)
        case .writeAfterFree: try writeAfterFree(at: Int(input.word()))
        case .writeOutside: try writeOutside(at: Int(input.word()), before: argument & 1 != 0)
        case .failObject: if options.failures != nil { kmalloc.value.failAllocation(nth: UInt(argument & 7)) }
        case .failFrames: frames.value.failAllocation(nth: UInt(argument & 3))
        case .takeFrames: takeFrames(argument)
        case .giveFrames: giveFrames(argument)
        case .shrink: kmalloc.value.shrink()
        case .scan: _ = kmalloc.value.scan(UInt(argument), for: .kernel)
        case .drain: frames.value.drainFrameCaches()
        case .switchCPU: cpu = argument & 1
        }
        try expectReports([], "\(call)")
    }

    mutating func anyFlags() -> AllocationFlags { Self.flags[Int(input.byte()) % Self.flags.count] | .noWarn }

    /// Mostly a small size, now and then a large one, or more than there is.
    mutating func anySize(_ argument: Int) -> UInt {
        let low = UInt(input.byte())
        switch argument & 15 {
        case 0...8: return low
        case 9...11: return low << 3
        case 12, 13: return low << 5
        case 14: return low << 9
        default: return low << (9 + UInt(argument >> 4))
        }
    }

    /// Takes page frames as somebody else would, so that there is little left.
    private mutating func takeFrames(_ argument: Int) {
        for _ in 0...(argument >> 2) * 8 {
            guard let frame = frames.value.allocate(order: argument & 3, flags: .noWait | .noWarn) else { return }
            for index in 0..<UInt(1 << (argument & 3)) { taken.append(frame + index) }
            _ = frames.value.split(frame, order: argument & 3)
        }
    }

    mutating func giveFrames(_ argument: Int) {
        for _ in 0..<min(taken.count, argument == 255 ? .max : argument * 4) {
            frames.value.free(taken.removeLast(), order: 0)
        }
    }
}
