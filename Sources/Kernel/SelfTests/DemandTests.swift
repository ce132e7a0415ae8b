import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import VirtualMemory
import X86

/// What a touch brings besides its page, on the CPU's own page tables, and from where pages may be touched.
enum DemandTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    /// What the breakpoint's handler touches.
    nonisolated(unsafe) private static var touched: UInt = 0

    static func run(_ memory: Memory) {
        SelfTest.run("on demand: a touch brings the pages around it, cleared") { windows(memory) }
        SelfTest.run("on demand: 2 MiB come as one page, and can be cut") { largePages(memory) }
        SelfTest.run("on demand: an exception's handler may touch pages") { handlers(memory) }
    }

    /// Pages that are there, but for those of stacks, of which the one that this runs on may grow meanwhile.
    private static func present(_ memory: Memory) -> UInt {
        let areas = memory.value.vmalloc.value.statistics.areas
        return areas.presentPages - areas.stackPages
    }

    private static func windows(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        let free = VmallocTests.settledFreeFrames(memory)
        // Memory that is not zero is left for the next owner.
        guard let dirty = SelfTest.require(vmalloc.value.vmalloc(64 * 4096), "an area") else { return }
        for page in 0..<UInt(64) { x86_store64(dirty.rawValue + page * 4096 + 64, .max) }
        vmalloc.value.vfree(dirty)
        guard let area = SelfTest.require(vmalloc.value.vmalloc(64 * 4096), "an area") else { return }
        let before = present(memory)
        let place = (area.rawValue + 20 * 4096) & ~0xffff
        x86_store64(place + 5 * 4096, 7)
        let brought = present(memory) - before
        SelfTest.expect(brought >= 1 && brought <= 16, "no more than a window")
        var sum: UInt64 = 0
        for page in 0..<UInt(64) { sum |= x86_load64(area.rawValue + page * 4096 + 64) }
        SelfTest.expect(sum == 0, "all pages are zeroed")
        SelfTest.expect(x86_load64(place + 5 * 4096) == 7, "the touched page has what was stored")
        SelfTest.expect(present(memory) - before, equals: 64, "all pages are there")
        PageFrameTests.checkInvariants(memory)
        vmalloc.value.vfree(area)
        VmallocTests.expectFree(memory, free)
    }

    private static func largePages(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        let free = VmallocTests.settledFreeFrames(memory)
        let size = PageSize.size2MiB.byteCount
        guard let area = SelfTest.require(vmalloc.value.vmalloc(2 * size), "an area") else { return }
        SelfTest.expect(area.isAligned(to: size), "it begins where a large page does")
        x86_store64(area.rawValue + size - 8, 9)
        // Where there is no such block, or it is not wanted, pages come.
        let page = memory.value.pageTables.value.translate(area + size - 4096)
        SelfTest.expect(page != nil, "the touched page is there")
        let areWanted = memory.value.vmalloc.value.options.mapsLargePages
        if areWanted && free > 16384 { SelfTest.expect(page?.size == .size2MiB, "it is a large one") }
        for offset in stride(from: UInt(0), to: 2 * size, by: 4096) {
            SelfTest.expect(x86_load64(area.rawValue + offset) == 0, "all pages are zeroed")
            x86_store64(area.rawValue + offset, UInt64(offset))
        }
        do throws(PagingError) {
            let part = VirtualRange(area + 5 * 4096, area + 7 * 4096)
            try memory.value.setMemory(part, .readOnly)
            try memory.value.setMemory(part, .writable)
        } catch {
            SelfTest.expect(false, "a part can be made read-only and writable again")
        }
        for offset in stride(from: UInt(0), to: 2 * size, by: 4096)
        where x86_load64(area.rawValue + offset) != UInt64(offset) {
            SelfTest.expect(false, "what was stored is still there")
        }
        PageFrameTests.checkInvariants(memory)
        vmalloc.value.vfree(area)
        // The direct map's pages of these frames may have been cut for the part, and keep their tables.
        let kept = free - VmallocTests.settledFreeFrames(memory)
        SelfTest.expect(kept <= 2, "every frame is free again, but for tables of the direct map")
    }

    private static func handlers(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        let promised = memory.value.frames.value.promisedFrames
        guard let area = SelfTest.require(vmalloc.value.vmalloc(4 << 20), "an area") else { return }
        unsafe Exceptions.breakpointHandler = { DemandTests.touch() }
        for offset in [0, 4096, 3 << 20, (4 << 20) - 8] as [UInt] {
            unsafe touched = area.rawValue + offset
            let violation = ViolationReport.expect { x86_breakpoint() }
            SelfTest.expect(violation == nil, "the handler's touch asks for nothing that may wait")
            SelfTest.expect(x86_load64(area.rawValue + offset) == UInt64(area.rawValue + offset), "and is answered")
        }
        unsafe Exceptions.breakpointHandler = nil
        vmalloc.value.vfree(area)
        SelfTest.expect(memory.value.frames.value.promisedFrames, equals: promised, "promises are withdrawn")
    }

    @inline(never)
    private static func touch() { unsafe x86_store64(touched, UInt64(touched)) }
}
