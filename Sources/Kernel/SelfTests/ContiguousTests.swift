import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

/// Ranges of physical memory that are larger than the largest block, and the area that `cma=` keeps for them.
enum ContiguousTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("contiguous memory: any range of free frames, larger than a block") { freeRange(memory) }
        SelfTest.run("contiguous memory: holes and frames in use are named") { refusals(memory) }
        if memory.value.frames.value.contiguousArea.isEmpty { return }
        SelfTest.run("contiguous memory: all of the area, after movable contents filled it") { wholeArea(memory) }
    }

    private static func allocate(_ memory: Memory, _ range: Range<PageFrameNumber>) -> ContiguousError? {
        do throws(ContiguousError) {
            try memory.value.frames.value.allocateContiguous(range)
            return nil
        } catch {
            return error
        }
    }

    private static func freeRange(_ memory: Memory) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        let count: UInt = 1500
        // Memory that nobody uses: between what was handed out and the highest free section.
        var first = lastFrame(memory).rawValue
        while first >= 1024 {
            first -= 1024
            let range = PageFrameNumber(first)..<PageFrameNumber(first + count)
            if allocate(memory, range) != nil { continue }
            SelfTest.expect(frames.value.freeFrames, equals: free - count, "the range is in use and nothing else")
            touch(memory, range)
            PageFrameTests.checkInvariants(memory)
            SelfTest.expect(frames.value.freeContiguous(range), "the range can be freed")
            SelfTest.expect(frames.value.freeFrames, equals: free, "frames are free again")
            return
        }
        SelfTest.expect(false, "there is a range of free frames")
    }

    private static func refusals(_ memory: Memory) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        guard let used = SelfTest.require(frames.value.allocate(order: 0), "a frame") else { return }
        SelfTest.expect(allocate(memory, used..<used + 1) == .busy(used), "a frame in use is busy")
        frames.value.free(used, order: 0)
        SelfTest.expect(allocate(memory, used..<used) == .emptyRange, "an empty range is refused")
        let hole = PageFrameNumber(0)
        SelfTest.expect(allocate(memory, hole..<hole + 1)?.frame == hole, "memory that was never free is refused")
        let beyond = PageFrameNumber(1 << 40)
        SelfTest.expect(allocate(memory, beyond..<beyond + 9) == .outsideMemory(beyond), "no memory is so high")
        SelfTest.expect(frames.value.freeFrames, equals: free, "refusals change nothing")
        PageFrameTests.checkInvariants(memory)
    }

    private static func wholeArea(_ memory: Memory) {
        let frames = memory.value.frames
        let area = frames.value.contiguousArea
        let areaFrames = area.upperBound.rawValue - area.lowerBound.rawValue
        guard let mover = MovableBlocks.make(memory, count: Int(areaFrames / 4 + 1024)) else {
            return SelfTest.expect(false, "room for the list of blocks")
        }
        guard let place = SelfTest.require(frames.value.movers.register(mover, name: "self test"), "room for a mover")
        else { return }
        let free = frames.value.freeFrames
        // What is promised is kept from the blocks, so that they have to fill the area.
        let aside = max(0, Int(frames.value.promisableFrames) - 2048)
        SelfTest.expect(frames.value.promise(frames: aside), "memory can be put aside")
        while mover.value.add() {}
        let inArea = mover.value.count(in: area)
        frames.value.withdrawPromise(frames: aside)
        // All but what watermarks keep from them.
        SelfTest.expect(inArea * 5 > areaFrames, "movable contents fill the area")

        do throws(ContiguousError) {
            let range = try frames.value.allocateContiguousArea(byteCount: areaFrames * PageSize.byteCount)
            SelfTest.expect(range == area, "the range is the area")
            SelfTest.expect(mover.value.count(in: area), equals: 0, "the blocks have left")
            touch(memory, range)
            PageFrameTests.checkInvariants(memory)
            SelfTest.expect(frames.value.releaseContiguousArea(range), "the area can be returned")
        } catch {
            SelfTest.expect(false, error.reason)
            Log.error("  at frame \(error.frame?.rawValue ?? 0)")
        }
        SelfTest.expect(mover.value.areIntact, "the blocks keep what is in them")
        mover.value.freeAll()
        SelfTest.expect(frames.value.freeFrames, equals: free, "frames are free again")
        if case .removed = frames.value.movers.unregister(place) {} else { SelfTest.expect(false, "the mover leaves") }
        mover.value.end(memory)
        PageFrameTests.checkInvariants(memory)
    }

    /// Writes to the first and last frame of a range.
    private static func touch(_ memory: Memory, _ range: Range<PageFrameNumber>) {
        touch(memory, range.lowerBound)
        touch(memory, PageFrameNumber(range.upperBound.rawValue - 1))
    }

    private static func touch(_ memory: Memory, _ frame: PageFrameNumber) {
        let address = memory.value.directMap.virtualAddress(of: frame.address).rawValue
        x86_store64(address, 0x5eed)
        SelfTest.expect(x86_load64(address) == 0x5eed, "memory keeps data")
    }

    private static func lastFrame(_ memory: Memory) -> PageFrameNumber {
        var last = PageFrameNumber(0)
        ZoneKind.forEach { kind in last = max(last, memory.value.frames.value.statistics(of: kind).endFrame) }
        return last
    }
}

/// Blocks of four frames that can be moved. A block's number is in its descriptor's owner word and in its first word.
private struct MovableBlocks: FrameMover {
    private let frames: Permanent<PageFrameAllocator<X86Platform>>
    private let directMap: DirectMap
    /// The number of places; the first word says how many are taken, the others where the blocks are.
    private let capacity: Int
    private let list: UInt

    private static var order: Int { 2 }

    /// A list in memory of its own, with the mover in front of it; nil where there is no memory.
    static func make(_ memory: ContiguousTests.Memory, count: Int) -> Permanent<MovableBlocks>? {
        let size = UInt(MemoryLayout<MovableBlocks>.stride)
        guard let room = unsafe memory.value.kmalloc.value.kzalloc(size + UInt(count + 1) * 8, .kernel) else {
            return nil
        }
        let mover = MovableBlocks(
            frames: memory.value.frames, directMap: memory.value.directMap, capacity: count,
            list: UInt(bitPattern: room) + size)
        // Memory of that size, aligned to 8, which is there until `end`.
        return unsafe Permanent(placing: mover, at: room.bindMemory(to: MovableBlocks.self, capacity: 1))
    }

    func end(_ memory: ContiguousTests.Memory) {
        let size = UInt(MemoryLayout<MovableBlocks>.stride)
        unsafe memory.value.kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: list - size))
    }

    private var count: UInt { UInt(x86_load64(list)) }

    private func block(_ number: UInt) -> PageFrameNumber { PageFrameNumber(UInt(x86_load64(list + number * 8))) }

    private func setBlock(_ number: UInt, _ frame: PageFrameNumber) {
        x86_store64(list + number * 8, UInt64(frame.rawValue))
        // The block is this list's, and so is its owner's word.
        if let descriptor = unsafe frames.value.descriptor(of: frame) { unsafe descriptor.pointee.owner = number }
    }

    private func address(_ frame: PageFrameNumber) -> UInt { directMap.virtualAddress(of: frame.address).rawValue }

    /// Allocates a block. - Returns: false where there is none, or no place.
    func add() -> Bool {
        guard count < capacity,
            let frame = frames.value.allocate(order: Self.order, flags: .kernel | .movable | .noWarn)
        else { return false }
        x86_store64(list, UInt64(count + 1))
        setBlock(count, frame)
        x86_store64(address(frame), UInt64(count))
        return true
    }

    func count(in range: Range<PageFrameNumber>) -> UInt {
        var found: UInt = 0
        for number in stride(from: UInt(1), through: count, by: 1) where range.contains(block(number)) { found += 1 }
        return found
    }

    var areIntact: Bool {
        for number in stride(from: UInt(1), through: count, by: 1)
        where UInt(x86_load64(address(block(number)))) != number { return false }
        return true
    }

    func freeAll() {
        for number in stride(from: UInt(1), through: count, by: 1) {
            frames.value.free(block(number), order: Self.order)
        }
        x86_store64(list, 0)
    }

    func move(from old: PageFrameNumber, to new: PageFrameNumber, order: Int) -> Bool {
        guard order == Self.order, let number = frames.value.owner(of: old), number > 0, number <= count,
            block(number) == old
        else { return false }
        x86_store64(address(new), x86_load64(address(old)))
        setBlock(number, new)
        return true
    }
}
