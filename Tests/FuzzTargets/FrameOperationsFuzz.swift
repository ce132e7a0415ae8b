import BootMemory
import MemoryPrimitives
import PageFrames
import SimulatedMachine

/// Sequences of calls to the page frame allocator, right ones and wrong ones, on a small machine of two CPUs.
///
///     byte 0    bit 0: frame caches are on; bit 1: watermarks as Linux's instead of none; bits 2-3: the memory
///     the rest  calls: a byte that says which, then its arguments (see `Call`)
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
    }

    /// Made once: a machine is an address space, of which an input uses what it wants.
    private static let machine = SimulatedMachine(memory: 7168 * PageSize.byteCount, cpuCount: 2)

    private static let memories: [[Range<UInt>]] = [
        [256..<4096 + 700],
        [1..<159, 256..<1200, 4096 + 13..<4096 + 2600],
        [512..<2048, 2060..<3000, 4096..<5100, 5630..<6144],
        [4096 - 64..<4096 + 64],
    ]

    private static let flags: [AllocationFlags] = [
        .noWait, .atomic, .kernel, .noWait | .movable, .noWait | .reclaimable, .noWait | .dma, .noWait | .dma32,
        .noWait | .movable | .dma, .atomic | .movable, .noWait | .zero, .noWait | .memoryReserves,
        .userMovable, .noWait | .reclaimable | .dma32, .kernel | .noRetry, .atomic | .reclaimable, .atomic | .dma,
    ]

    private var input: InputReader
    private var model: FrameModel
    private let keepsReserve: Bool
    private var areCachesOn: Bool
    private var cpu = 0
    private let frames: Permanent<Frames>
    private let managed: UInt

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
            let argument = Int(byte) / Call.allCases.count
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
        case .allocate: try allocate(order: argument, Self.flags[Int(input.byte() & 15)])
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
        }
        try expectReports([], "\(call)")
    }

    /// A frame number, small or not.
    private mutating func anywhere() -> UInt {
        let low = input.word()
        return low < 0xff00 ? low & 0x1fff : low << (low & 63)
    }

    private func expectReports(_ expected: [MemoryViolation.Kind], _ call: @autoclosure () -> String) throws {
        let kinds = Self.machine.takeViolations().map(\.kind)
        try require(kinds == expected, "\(call()): reported \(kinds), not \(expected)")
        try require(Self.machine.takeFailedAllocations().isEmpty, "\(call()): a request that wants silence is reported")
    }

    // MARK: Blocks

    private mutating func allocate(order: Int, _ flags: AllocationFlags) throws {
        if let frame = frames.value.allocate(order: order, flags: flags | .noWarn) {
            if flags.contains(.zero) { try requireZero(frame, order: order) }
            let end =
                flags.contains(.dma) ? ZoneKind.dma.endFrame : flags.contains(.dma32) ? ZoneKind.dma32.endFrame : nil
            if let end { try require(frame < end, "frame \(frame) for a device that cannot reach it") }
            // What the block's last owner left, for the next one that wants zeroes.
            unsafe Self.machine.arena.directMap.pointer(to: frame).storeBytes(of: 1, as: UInt8.self)
            return try model.allocate(frame.rawValue, order: order)
        }
        if keepsReserve || model.promised > 0 { return }
        let end = flags.contains(.dma) ? ZoneKind.dma.endFrame.rawValue : UInt.max
        try require(!model.canServe(order: order, below: end), "order \(order) is refused with memory free")
    }

    private func requireZero(_ frame: PageFrameNumber, order: Int) throws {
        // The block is ours.
        for index in 0..<UInt(1) << UInt(order) {
            let byte = unsafe Self.machine.arena.directMap.pointer(to: frame + index).load(as: UInt8.self)
            try require(byte == 0, "frame \(frame) is not cleared")
        }
    }

    private mutating func free(at index: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let block = model.blocks[index % model.blocks.count]
        try free(block.frame, order: block.order)
    }

    /// Frees a frame beside or within a block, or a block with another order.
    private mutating func freeNearBlock(_ argument: Int) throws {
        let index = Int(input.byte())
        guard !model.blocks.isEmpty else { return }
        let block = model.blocks[index % model.blocks.count]
        let size: UInt = 1 << UInt(block.order)
        switch argument & 3 {
        case 0: try free(block.frame, order: argument)
        case 1: try free(block.frame + size / 2, order: argument >> 2)
        case 2: try free(block.frame + size, order: block.order)
        default: try free(block.frame ^ size, order: block.order)
        }
    }

    /// Frees any frame, as any order, and expects what the record says.
    private mutating func free(_ frame: UInt, order: Int) throws {
        let isKnown = frames.value.state(of: PageFrameNumber(frame)) != .absent
        let refusal = model.refusal(frame, order: order, isKnown: isKnown)
        frames.value.free(PageFrameNumber(frame), order: order)
        try expectReports(refusal.map { [$0] } ?? [], "free of \(frame), order \(order)")
        guard refusal == nil else { return }
        model.free(at: model.blocks.firstIndex { $0.frame == frame }!)
    }

    // MARK: Promises

    private mutating func promise(_ count: Int) throws {
        let promisable = frames.value.promisableFrames
        let isPromised = frames.value.promise(frames: count)
        try require(isPromised == (count >= 0 && UInt(bitPattern: count) <= promisable), "a promise of \(count)")
        if !keepsReserve { try require(promisable == model.free.count - model.promised, "\(promisable) promisable") }
        if isPromised { model.promised += UInt(count) }
    }

    private mutating func allocatePromised() throws {
        let frame = frames.value.allocatePromised()
        try expectReports(model.promised == 0 ? [.brokenPromise] : [], "allocatePromised")
        try require((frame != nil) == (model.promised > 0), "a promise is not kept")
        guard let frame else { return }
        model.promised -= 1
        try model.allocate(frame.rawValue, order: 0)
    }

    private mutating func withdraw(_ count: Int) throws {
        frames.value.withdrawPromise(frames: count)
        let isError = count < 0 || UInt(count) > model.promised
        try expectReports(isError ? [.brokenPromise] : [], "a withdrawal of \(count)")
        if !isError { model.promised -= UInt(count) }
    }

    // MARK: Owners

    private mutating func claim(at index: Int, _ argument: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let index = index % model.blocks.count
        let block = model.blocks[index]
        let state: FrameState = argument & 1 == 0 ? .slab : .table
        let tag = UInt16(argument >> 1 & 1)
        let order = argument < 12 ? block.order : argument - 3
        frames.value.claim(PageFrameNumber(block.frame), order: order, as: state, owner: block.frame, tag: tag)
        let isRight = block.state == .allocatedHead && block.tag == 0 && order == block.order
        try expectReports(isRight ? [] : [.corruption], "claim of \(block)")
        if isRight {
            model.change(at: index) { block in
                block.state = state
                block.tag = tag
            }
        }
    }

    private mutating func release(at index: Int, _ argument: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let index = index % model.blocks.count
        let block = model.blocks[index]
        let state: FrameState = argument & 1 == 0 ? .slab : .table
        frames.value.release(PageFrameNumber(block.frame), order: block.order, from: state)
        let isRight = block.state == state
        try expectReports(isRight ? [] : [.corruption], "release of \(block)")
        if isRight { model.change(at: index) { $0 = FrameModel.Block(frame: $0.frame, order: $0.order) } }
    }

    private mutating func setTag(at index: Int, _ argument: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let index = index % model.blocks.count
        let frame = PageFrameNumber(model.blocks[index].frame)
        frames.value.setTag(UInt16(argument & 1), of: frame)
        model.change(at: index) { $0.tag = UInt16(argument & 1) }
        let tag = frames.value.tag(of: frame)
        try require(tag == UInt16(argument & 1), "the tag of \(frame)")
    }

    // MARK: The whole

    private func check() throws {
        try frames.value.checkInvariants()
        let free = frames.value.freeFrames
        try require(free == model.free.count, "\(free) frames are free, not \(model.free.count)")
        let promised = frames.value.promisedFrames
        try require(promised == model.promised, "\(promised) frames are promised")
        for block in model.blocks.suffix(64) {
            for index in [block.frame, block.frame + 1 << UInt(block.order) - 1] {
                let covering = frames.value.block(covering: PageFrameNumber(index))
                if block.state != .slab {
                    try require(
                        covering?.head.rawValue == block.frame && covering?.order == block.order
                            && covering?.state == block.state, "frame \(index) does not lead to \(block)")
                }
            }
        }
    }

    private mutating func giveEverythingBack() throws {
        frames.value.withdrawPromise(frames: Int(model.promised))
        model.promised = 0
        while let block = model.blocks.last {
            let frame = PageFrameNumber(block.frame)
            if block.state != .allocatedHead { frames.value.release(frame, order: block.order, from: block.state) }
            if block.state == .allocatedHead && block.tag != 0 { frames.value.setTag(0, of: frame) }
            frames.value.free(frame, order: block.order)
            try expectReports([], "the last free of \(block)")
            model.free(at: model.blocks.count - 1)
        }
        frames.value.drainFrameCaches()
        try check()
        try require(model.free.count == managed, "frames are lost")
        for kind in [ZoneKind.dma, .dma32, .normal] {
            let zone = frames.value.statistics(of: kind)
            let expected = model.free.freeBlocks(in: kind.firstFrame.rawValue..<kind.endFrame.rawValue)
            let found = (0...10).map { zone.freeBlocks[$0] }
            try require(found == expected, "\(kind): free blocks \(found), not \(expected)")
        }
    }
}
