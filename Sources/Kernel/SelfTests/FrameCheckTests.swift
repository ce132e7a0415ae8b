import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// The checks of page frames that were chosen at boot, and requests that fail on purpose.
enum FrameCheckTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        let active = memory.value.frames.value.activeChecks
        SelfTest.run("page frame checks: a request fails on purpose, once") { failure(memory) }
        if active.contains(.poison) {
            SelfTest.run("page frame checks: a write to a freed frame is found") { poison(memory) }
        } else if active.contains(.zeroOnFree) {
            SelfTest.run("page frame checks: a freed frame is zeroed") { zeroOnFree(memory) }
        }
        if active.contains(.zeroOnAllocation) {
            SelfTest.run("page frame checks: a frame is zeroed for whoever asks") { zeroOnAllocation(memory) }
        }
        if active.contains(.owners) {
            SelfTest.run("page frame checks: who has a block is known, and who freed it") { owners(memory) }
        }
        if active.contains(.guardPages) {
            SelfTest.run("page frame checks: a write behind a block is found") { guardPages(memory) }
        }
    }

    private static func address(_ memory: Memory, _ frame: PageFrameNumber) -> UInt {
        memory.value.directMap.virtualAddress(of: frame.address).rawValue
    }

    private static func failure(_ memory: Memory) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        frames.value.failAllocation(nth: 2)
        let first = SelfTest.require(frames.value.allocate(order: 0, flags: .kernel | .noWarn), "the first succeeds")
        SelfTest.expect(frames.value.allocate(order: 0, flags: .kernel | .noWarn) == nil, "the second fails")
        let third = SelfTest.require(frames.value.allocate(order: 0, flags: .kernel | .noWarn), "the third succeeds")
        if let first { frames.value.free(first, order: 0) }
        if let third { frames.value.free(third, order: 0) }
        SelfTest.expect(frames.value.freeFrames, equals: free, "a failure changes no count")
    }

    private static func poison(_ memory: Memory) {
        let frames = memory.value.frames
        guard let frame = SelfTest.require(frames.value.allocate(order: 0), "a frame") else { return }
        frames.value.free(frame, order: 0)
        let start = address(memory, frame)
        SelfTest.expect(x86_load64(start) == 0xaaaa_aaaa_aaaa_aaaa, "a freed frame is filled")
        x86_store8(start + 100, 1)
        var again: PageFrameNumber?
        let violation = ViolationReport.expect { again = frames.value.allocate(order: 0) }
        SelfTest.expect(again == frame, "the lowest frame is handed out again")
        SelfTest.expect(violation?.kind == .writeAfterFree, "the write is found")
        SelfTest.expect(violation?.address ?? 0, equals: frame.address.rawValue + 100, "the byte is named")
        if let again { frames.value.free(again, order: 0) }
    }

    private static func zeroOnFree(_ memory: Memory) {
        let frames = memory.value.frames
        guard let frame = SelfTest.require(frames.value.allocate(order: 0), "a frame") else { return }
        x86_store64(address(memory, frame) + 8, 77)
        frames.value.free(frame, order: 0)
        SelfTest.expect(x86_load64(address(memory, frame) + 8) == 0, "nothing is left of the contents")
    }

    private static func zeroOnAllocation(_ memory: Memory) {
        let frames = memory.value.frames
        guard let frame = SelfTest.require(frames.value.allocate(order: 2, flags: .kernel), "a block") else { return }
        x86_store64(address(memory, frame) + 0x3ff8, 77)
        frames.value.free(frame, order: 2)
        guard let again = SelfTest.require(frames.value.allocate(order: 2, flags: .kernel), "a block") else { return }
        for offset in stride(from: 0, to: 4 * PageSize.byteCount, by: 8) {
            if x86_load64(address(memory, again) + offset) != 0 {
                SelfTest.expect(offset, equals: 4 * PageSize.byteCount, "every byte is 0")
                break
            }
        }
        frames.value.free(again, order: 2)
    }

    private static func owners(_ memory: Memory) {
        let frames = memory.value.frames
        guard let block = SelfTest.require(frames.value.allocate(order: 1, flags: .atomic), "a block") else { return }
        guard let held = SelfTest.require(frames.value.ownerReport(of: block + 1), "a history") else { return }
        SelfTest.expect(held.isAllocated, "the block is in use")
        SelfTest.expect(Int(held.order), equals: 1, "the order is known")
        SelfTest.expect(held.flags == .atomic, "the flags are known")
        SelfTest.expect(
            held.allocationTrace.count > 1 && KernelAddress.imagePart(held.allocationTrace[0]) == .code,
            "the callers are known")
        frames.value.free(block, order: 1)
        guard let freed = SelfTest.require(frames.value.ownerReport(of: block), "a history") else { return }
        SelfTest.expect(!freed.isAllocated, "the block is free")
        SelfTest.expect(freed.freeTime > freed.allocationTime, "the free comes after the allocation")
        SelfTest.expect(freed.freeTrace.count > 1, "who freed it is known")
    }

    private static func guardPages(_ memory: Memory) {
        let frames = memory.value.frames
        guard let block = SelfTest.require(frames.value.allocate(order: 0), "a frame") else { return }
        SelfTest.expect(frames.value.state(of: block + 1) == .guardPage, "a guard page follows")
        PageFrameTests.expect(.wildFree) { frames.value.free(block + 1, order: 0) }
        x86_store8(address(memory, block) + PageSize.byteCount, 1)
        PageFrameTests.expect(.overrun) { frames.value.free(block, order: 0) }
    }
}
