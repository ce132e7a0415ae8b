import BootMemory
import MemoryPrimitives
import PageFrames
import SimulatedMachine

/// Sequences of calls to the page frame allocator, right ones and wrong ones, on a small machine of two CPUs.
///
///     byte 0    bit 0: frame caches are on; bit 1: watermarks as Linux's instead of none; bits 2-3: the memory
///     the rest  calls: a byte that says which, a byte of which four bits are its argument, and what more it wants
///
/// After each call its answer is compared with a record of who has what; every so often, and at the end, the
/// allocator's own invariants are checked. In the end everything is given back, and must be whole again.
public struct FrameOperationsFuzz {
    typealias Frames = PageFrameAllocator<SimulatedPlatform>

    private enum Call: UInt8, CaseIterable {
        case allocate, allocateAgain, free, freeLatest, freeWrongly, freeAnything
        case promise, allocatePromised, withdrawPromise
        case drain, drainOneCPU, switchCaches, switchCPU
        case claim, release, setTag
        case getPage, tryGetPage, putPage, split
        case allocateBulk, allocateExact, allocateContiguous, freeRange
    }

    /// Made once: a machine is an address space, of which an input uses what it wants.
    static let machine = SimulatedMachine(memory: 7168 * PageSize.byteCount, cpuCount: 2)

    private static let memories: [[Range<UInt>]] = [
        [256..<4096 + 700],
        [1..<159, 256..<1200, 4096 + 13..<4096 + 2600],
        [512..<2048, 2060..<3000, 4096..<5100, 5630..<6144],
        [4096 - 64..<4096 + 64],
    ]

    static let flags: [AllocationFlags] = [
        .noWait, .atomic, .kernel, .noWait | .movable, .noWait | .reclaimable, .noWait | .dma, .noWait | .dma32,
        .noWait | .movable | .dma, .atomic | .movable, .noWait | .zero, .noWait | .memoryReserves,
        .userMovable, .noWait | .reclaimable | .dma32, .kernel | .noRetry, .atomic | .reclaimable, .atomic | .dma,
        .noWait | .compound, .kernel | .compound | .zero, .noWait | .movable | .compound, .kernel | .zero,
    ]

    var input: InputReader
    var model: FrameModel
    let keepsReserve: Bool
    private var areCachesOn: Bool
    private var cpu = 0
    let frames: Permanent<Frames>
    let managed: UInt

    /// Tries an input. - Throws: what it shows to be wrong.
    public static func run(_ bytes: [UInt8]) throws {
        var input = InputReader(bytes)
        let options = input.byte()
        var settings = PageFrameOptions()
        settings.frameCaches = options & 1 != 0
        settings.minimumFreeKiB = options & 2 == 0 ? 0 : nil
        let storage = UnsafeMutableBufferPointer<Region>.allocate(capacity: 64)
        let place = UnsafeMutablePointer<Frames>.allocate(capacity: 1)
        defer {
            unsafe storage.deallocate()
            unsafe place.deallocate()
        }
        // Both lists are the boot allocator's own, and it does not outlive this function.
        var boot = unsafe BootAllocator(
            memoryStorage: UnsafeMutableBufferPointer(rebasing: storage[..<32]),
            reservedStorage: UnsafeMutableBufferPointer(rebasing: storage[32...]))
        for range in memories[Int(options >> 2 & 3)] {
            boot.add(
                PhysicalRange(PageFrameNumber(range.lowerBound).address, PageFrameNumber(range.upperBound).address))
        }
        try machine.run {
            guard
                let taken = Frames(takingOver: &boot, directMap: machine.arena.directMap, options: settings)
            else { throw Finding("there is enough memory") }
            // Freshly allocated; ended below, when nobody uses it any more.
            let frames = unsafe Permanent(placing: taken, at: place)
            defer { unsafe frames.destroy() }
            var fuzz = FrameOperationsFuzz(
                input, frames, free: wholeFrames(of: boot), keepsReserve: options & 2 != 0,
                areCachesOn: settings.frameCaches)
            try fuzz.run()
        }
    }

    private static func wholeFrames(of boot: borrowing BootAllocator) -> [Range<UInt>] {
        var ranges: [Range<UInt>] = []
        boot.forEachFreeRange { range in
            guard let whole = range.wholePages() else { return }
            ranges.append(whole.start.rawValue / PageSize.byteCount..<whole.end.rawValue / PageSize.byteCount)
        }
        return ranges
    }

    private init(
        _ input: InputReader, _ frames: Permanent<Frames>, free: [Range<UInt>], keepsReserve: Bool, areCachesOn: Bool
    ) {
        self.input = input
        self.frames = frames
        self.keepsReserve = keepsReserve
        self.areCachesOn = areCachesOn
        model = FrameModel(free)
        managed = model.frameCount
    }

    private mutating func run() throws {
        try check()
        var calls = 0
        while !input.isAtEnd {
            let byte = input.byte()
            let call = Call(rawValue: byte % UInt8(Call.allCases.count))!
            let argument = Int(input.byte() & 15)
            let cpu = self.cpu
            try Self.machine.run(onCPU: cpu) { try make(call, argument) }
            calls += 1
            if calls % 64 == 0 { try check() }
        }
        try check()
        try giveEverythingBack()
    }

    /// - Parameter argument: 0 to 15.
    private mutating func make(_ call: Call, _ argument: Int) throws {
        switch call {
        case .allocate: try allocate(order: argument, anyFlags())
        case .allocateAgain: for _ in 0...Int(input.byte() & 31) { try allocate(order: argument & 3, .noWait) }
        case .free: try free(at: Int(input.word()))
        case .freeLatest: for _ in 0...argument { try free(at: model.blocks.count - 1) }
        case .freeWrongly: try freeNearBlock(argument)
        case .freeAnything: try free(anywhere(), order: argument == 15 ? Int(truncatingIfNeeded: anywhere()) : argument)
        case .promise: try promise(argument == 15 ? Int(truncatingIfNeeded: anywhere()) : Int(input.byte()) << argument)
        case .allocatePromised: try allocatePromised()
        case .withdrawPromise: try withdraw(Int(input.byte()) &- (argument == 15 ? 300 : 0))
        case .drain: frames.value.drainFrameCaches()
        case .drainOneCPU: frames.value.drainFrameCache(ofCPU: argument & 1)
        case .switchCaches:
            areCachesOn.toggle()
            frames.value.setFrameCaches(enabled: areCachesOn)
        case .switchCPU: cpu = argument & 1
        case .claim: try claim(at: Int(input.word()), argument)
        case .release: try release(at: Int(input.word()), argument)
        case .setTag: try setTag(at: Int(input.word()), argument)
        case .getPage: try getPage(nearBlock(argument))
        case .tryGetPage: try tryGetPage(nearBlock(argument))
        case .putPage: try putPage(nearBlock(argument))
        case .split: try split(at: Int(input.word()), argument)
        case .allocateBulk: try allocateBulk(count: Int(input.byte()), anyFlags())
        case .allocateExact: try allocateExact(byteCount: UInt(input.byte()) << UInt(argument) + 1, anyFlags())
        case .allocateContiguous: try allocateContiguous(anywhere(), count: UInt(input.byte()) << UInt(argument & 3))
        case .freeRange: try freeRange(nearBlock(argument), count: UInt(input.byte()), argument)
        }
        try expectReports([], "\(call)")
    }

    mutating func anyFlags() -> AllocationFlags { Self.flags[Int(input.byte()) % Self.flags.count] }

    /// A frame number, small or not.
    mutating func anywhere() -> UInt {
        let low = input.word()
        return low < 0xff00 ? low & 0x1fff : low << (low & 63)
    }

    func expectReports(_ expected: [MemoryViolation.Kind], _ call: @autoclosure () -> String) throws {
        let kinds = Self.machine.takeViolations().map(\.kind)
        try require(kinds == expected, "\(call()): reported \(kinds), not \(expected)")
        try require(Self.machine.takeFailedAllocations().isEmpty, "\(call()): a request that wants silence is reported")
    }
}
