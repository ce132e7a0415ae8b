import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// Page frames on the machine's real map.
enum PageFrameTests {
    typealias Frames = PageFrameAllocator<X86Platform>

    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        SelfTest.run("page frames: every order is aligned, in RAM and writable") { everyOrder(memory) }
        // Half of memory is guards.
        let canTakeAll = !memory.value.frames.value.activeChecks.contains(.guardPages)
        if canTakeAll {
            SelfTest.run("page frames: exhaustion and back to the same free counts") { exhaustion(memory) }
        }
        SelfTest.run("page frames: zones are respected") { zones(memory) }
        SelfTest.run("page frames: wrong frees are reported and not obeyed") { misuse(memory) }
        SelfTest.run("page frames: promises hold against ordinary allocations") { promises(memory) }
    }

    private static func everyOrder(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        for order in 0...10 {
            guard let block = SelfTest.require(frames.value.allocate(order: order), "a block of every order") else {
                continue
            }
            SelfTest.expect(block.rawValue & ((1 << UInt(order)) - 1) == 0, "a block is aligned to its size")
            let last = block + ((1 << UInt(order)) - 1)
            touch(memory, block)
            touch(memory, last)
            frames.value.free(block, order: order)
        }
        SelfTest.expect(frames.value.allocate(order: 11) == nil, "order 11 is refused")
        SelfTest.expect(frames.value.freeFrames, equals: free, "frames are free again")
    }

    /// Writes a pattern through the direct map and reads it back.
    private static func touch(_ memory: Permanent<KernelMemory<X86Platform>>, _ frame: PageFrameNumber) {
        let address = memory.value.directMap.virtualAddress(of: frame.address).rawValue
        let pattern = UInt64(frame.rawValue) &* 0x9e37_79b9_7f4a_7c15
        x86_store64(address, pattern)
        x86_store64(address + 4088, ~pattern)
        SelfTest.expect(x86_load64(address) == pattern && x86_load64(address + 4088) == ~pattern, "memory keeps data")
    }

    /// Takes all blocks of the highest order and then all single frames, chained through their own first words.
    ///
    /// On a large machine only the zones below 4 GiB: taking every frame writes all descriptors, hundreds of MiB.
    private static func exhaustion(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let frames = memory.value.frames
        let isLarge = frames.value.managedFrames > (8 << 30) / PageSize.byteCount
        // To the last frame: the reserves, too, and what only movable contents may use.
        let all: AllocationFlags = .kernel | .noWarn | .memoryReserves | .movable
        let flags = isLarge ? all | .dma32 : all
        // Nor does kmalloc have a slab left to give back: areas' notes have brought one.
        _ = VmallocTests.settledFreeFrames(memory)
        // What the caches hold is not among a zone's free frames.
        frames.value.drainFrameCaches()
        let normal = isLarge ? frames.value.statistics(of: .normal).freeFrames : 0
        let before = counts(frames)
        // Those of the stack that this runs on, for one; the highest zone's, where there are many.
        let promised = isLarge ? 0 : frames.value.promisedFrames
        var chain: UInt = 0
        var taken: UInt = 0
        for order in stride(from: 10, through: 0, by: -10) {
            while let block = frames.value.allocate(order: order, flags: flags) {
                let address = memory.value.directMap.virtualAddress(of: block.address).rawValue
                x86_store64(address, UInt64(chain))
                x86_store64(address + 8, UInt64(order))
                chain = address
                taken += 1 << UInt(order)
            }
        }
        SelfTest.expect(taken, equals: before.free - normal - promised, "every free frame can be had")
        SelfTest.expect(frames.value.freeFrames, equals: normal + promised, "nothing is left")
        while chain != 0 {
            let next = UInt(x86_load64(chain))
            let order = Int(x86_load64(chain + 8))
            let physical = memory.value.directMap.physicalAddress(of: VirtualAddress(chain))
            frames.value.free(PageFrameNumber(containing: physical), order: order)
            chain = next
        }
        frames.value.drainFrameCaches()
        let after = counts(frames)
        SelfTest.expect(after.free, equals: before.free, "as many frames are free as before")
        SelfTest.expect(after.blocks == before.blocks, "blocks of every order are as many as before")
        checkInvariants(memory)
    }

    private static func zones(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let frames = memory.value.frames
        if let block = SelfTest.require(frames.value.allocate(order: 3, flags: .dma), "DMA memory") {
            SelfTest.expect(block.address.rawValue + 8 * PageSize.byteCount <= 16 << 20, "DMA memory is below 16 MiB")
            frames.value.free(block, order: 3)
        }
        if let block = SelfTest.require(frames.value.allocate(order: 3, flags: .dma32), "DMA32 memory") {
            SelfTest.expect(block.address.rawValue < 4 << 30, "DMA32 memory is below 4 GiB")
            frames.value.free(block, order: 3)
        }
        if frames.value.statistics(of: .normal).freeFrames > 0,
            let block = SelfTest.require(frames.value.allocate(order: 0), "normal memory")
        {
            SelfTest.expect(block.address.rawValue >= 4 << 30, "normal memory is taken first")
            frames.value.free(block, order: 0)
        }
    }

    private static func misuse(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        guard let block = SelfTest.require(frames.value.allocate(order: 2), "a block of four") else { return }
        expect(.freeOfTail) { frames.value.free(block + 1, order: 0) }
        expect(.misalignedFree) { frames.value.free(block + 1, order: 1) }
        expect(.wrongOrder) { frames.value.free(block, order: 1) }
        expect(.wildFree) { frames.value.free(PageFrameNumber(0), order: 0) }
        expect(.wildFree) { frames.value.free(PageFrameNumber(1 << 40), order: 0) }
        frames.value.free(block, order: 2)
        expect(.doubleFree) { frames.value.free(block, order: 2) }
        SelfTest.expect(frames.value.freeFrames, equals: free, "wrong frees change nothing")
    }

    static func expect(_ kind: MemoryViolation.Kind, _ body: () -> Void) {
        let violation = ViolationReport.expect(body)
        SelfTest.expect(violation?.kind == kind, "the violation is reported as what it is")
    }

    private static func promises(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let frames = memory.value.frames
        // What kmalloc could give back is not to come back meanwhile.
        _ = VmallocTests.settledFreeFrames(memory)
        let all = frames.value.freeFrames
        let promised = frames.value.promisedFrames
        let free = frames.value.promisableFrames
        SelfTest.expect(!frames.value.promise(frames: Int(free) + 1), "more than there is cannot be promised")
        SelfTest.expect(frames.value.promise(frames: Int(free)), "all that is not kept in reserve can be promised")
        SelfTest.expect(
            frames.value.allocate(order: 0, flags: .kernel | .noWarn) == nil, "a promise is not given away")
        if let frame = SelfTest.require(frames.value.allocatePromised(), "a promised frame") {
            frames.value.free(frame, order: 0)
        }
        frames.value.withdrawPromise(frames: Int(free) - 1)
        SelfTest.expect(frames.value.promisedFrames, equals: promised, "no promise is left")
        SelfTest.expect(frames.value.freeFrames, equals: all, "all frames are free again")
    }

    static func checkInvariants(_ memory: Permanent<KernelMemory<X86Platform>>) {
        do throws(InvariantViolation) {
            try memory.value.checkInvariants()
        } catch {
            SelfTest.expect(false, error.rule)
            Log.error("  at \(hex: error.location): found \(hex: error.found), expected \(hex: error.expected)")
        }
    }

    private static func counts(_ frames: Permanent<Frames>) -> (free: UInt, blocks: UInt) {
        // Blocks of every order, weighted so that no two distributions of one system look alike.
        var blocks: UInt = 0
        ZoneKind.forEach { zone in
            let statistics = frames.value.statistics(of: zone)
            for order in 0..<11 { blocks = blocks &* 1_000_003 &+ statistics.freeBlocks[order] }
        }
        return (frames.value.freeFrames, blocks)
    }
}
