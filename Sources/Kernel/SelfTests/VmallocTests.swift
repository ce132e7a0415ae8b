import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory
import X86

/// vmalloc with the CPU's own page faults.
enum VmallocTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("vmalloc: a page is mapped, zeroed, at its first touch") { onDemand(memory) }
        SelfTest.run("vmalloc: populate maps at once") { populate(memory) }
        SelfTest.run("vmalloc: a freed range is used again without stale translations") { reuse(memory) }
        SelfTest.run("vmalloc: what is promised can be touched when memory has run out") { promises(memory) }
        SelfTest.run("vmalloc: wrong frees are reported and not obeyed") { misuse(memory) }
    }

    private static func faults(_ memory: Memory) -> UInt { memory.value.vmalloc.value.statistics.resolvedFaults }

    private static func onDemand(_ memory: Memory) {
        let pages: UInt = 300
        let free = settledFreeFrames(memory)
        let promised = memory.value.frames.value.promisedFrames
        let before = faults(memory)
        // Without neighbours, so that each page is a fault of its own.
        let request = AreaRequest(.vmalloc, pageCount: pages, name: "test")
        let found = memory.value.vmalloc.value.allocateOnDemand(request)
        guard let area = SelfTest.require(found?.usable.start, "an area") else { return }
        SelfTest.expect(faults(memory), equals: before, "nothing is mapped yet")
        var dirty = 0
        // Every third page, from the top down: order does not matter, and what is not touched costs nothing.
        var touched: UInt = 0
        for page in stride(from: pages - 1, through: 2, by: -3) {
            let address = area.rawValue + page * 4096
            if x86_load64(address + 8) != 0 || x86_load64(address + 4088) != 0 { dirty += 1 }
            x86_store64(address, UInt64(page))
            touched += 1
        }
        SelfTest.expect(dirty, equals: 0, "pages are zeroed")
        SelfTest.expect(faults(memory) - before, equals: touched, "one fault for each page touched")
        var wrong = 0
        for page in stride(from: pages - 1, through: 2, by: -3)
        where x86_load64(area.rawValue + page * 4096) != UInt64(page) {
            wrong += 1
        }
        SelfTest.expect(wrong, equals: 0, "pages keep what was written")
        PageFrameTests.checkInvariants(memory)
        memory.value.vmalloc.value.vfree(area)
        SelfTest.expect(memory.value.frames.value.promisedFrames, equals: promised, "promises are withdrawn")
        expectFree(memory, free)
    }

    private static func populate(_ memory: Memory) {
        let free = settledFreeFrames(memory)
        let before = faults(memory)
        let area = memory.value.vmalloc.value.allocate(
            64 * 4096, flags: .kernel | .zero, populate: true, name: "populated")
        guard let area = SelfTest.require(area, "an area") else { return }
        var sum: UInt64 = 0
        for page in 0..<UInt(64) { sum |= x86_load64(area.rawValue + page * 4096) }
        SelfTest.expect(sum == 0, "the area is zeroed")
        SelfTest.expect(faults(memory), equals: before, "no access faults")
        memory.value.vmalloc.value.vfree(area)
        expectFree(memory, free)
    }

    private static func reuse(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        guard let first = SelfTest.require(vmalloc.value.vmalloc(4 * 4096), "an area") else { return }
        for page in 0..<UInt(4) { x86_store64(first.rawValue + page * 4096, 0xdead) }
        vmalloc.value.vfree(first)
        // Where frees are put off, nobody gets the range before.
        vmalloc.value.vm_unmap_aliases()
        // Other ranges that were freed may come first: each is kept, and says which came before it.
        var last: UInt = 0
        for _ in 0..<1000 {
            guard let next = SelfTest.require(vmalloc.value.vmalloc(4 * 4096), "an area") else { break }
            for page in 0..<UInt(4) {
                SelfTest.expect(x86_load64(next.rawValue + page * 4096) == 0, "the new area's pages are new ones")
            }
            x86_store64(next.rawValue, UInt64(last))
            last = next.rawValue
            if next == first { break }
        }
        SelfTest.expect(last, equals: first.rawValue, "the freed range is taken again")
        while last != 0 {
            let before = UInt(x86_load64(last))
            vmalloc.value.vfree(VirtualAddress(last))
            last = before
        }
    }

    private static func promises(_ memory: Memory) {
        let frames = memory.value.frames
        let vmalloc = memory.value.vmalloc
        let free = settledFreeFrames(memory)
        // At most 64 MiB, so that a large machine is not filled page by page.
        let pages = min(free / 2, 16384)
        guard let area = SelfTest.require(vmalloc.value.vmalloc(pages * 4096), "half of memory") else { return }
        let rest = Int(frames.value.promisableFrames)
        SelfTest.expect(frames.value.promise(frames: rest), "the rest of memory is promised too")
        SelfTest.expect(frames.value.allocate(order: 0, flags: .kernel | .noWarn) == nil, "nothing is left")
        let before = vmalloc.value.statistics.areas.presentPages
        for page in 0..<pages { x86_store8(area.rawValue + page * 4096, 1) }
        SelfTest.expect(
            vmalloc.value.statistics.areas.presentPages - before, equals: pages, "every page can be touched")
        frames.value.withdrawPromise(frames: rest)
        vmalloc.value.vfree(area)
        expectFree(memory, free)
    }

    private static func misuse(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        guard let area = SelfTest.require(vmalloc.value.vmalloc(3 * 4096), "an area") else { return }
        PageFrameTests.expect(.misalignedFree) { vmalloc.value.vfree(area + 4096) }
        vmalloc.value.vfree(area)
        PageFrameTests.expect(.doubleFree) { vmalloc.value.vfree(area) }
        PageFrameTests.expect(.wildFree) { vmalloc.value.vfree(VirtualAddress(0x1000)) }
        vmalloc.value.vfree(nil)
        SelfTest.expect(vmalloc.value.vmalloc(0) == nil, "an area of no bytes is refused")
        // Without the report, which here would say nothing new.
        SelfTest.expect(
            vmalloc.value.allocate(.max, flags: .kernel | .noWarn) == nil, "an area of all addresses is refused")
        let tooMuch = (memory.value.frames.value.freeFrames + 1) * 4096
        SelfTest.expect(
            vmalloc.value.allocate(tooMuch, flags: .kernel | .noWarn) == nil, "more than there is memory for is refused"
        )
    }

    /// Free frames once kmalloc keeps no slab of free objects, and no stack is ready: a count that can be the same later.
    /// What the main stack has grown by meanwhile is counted as free, because it goes on having it.
    static func settledFreeFrames(_ memory: Memory) -> UInt {
        memory.value.vmalloc.value.purge()
        memory.value.stacks.value.shrink()
        memory.value.kmalloc.value.shrink()
        memory.value.stacks.value.refillReserve()
        return memory.value.frames.value.freeFrames + memory.value.vmalloc.value.statistics.areas.stackPages
    }

    static func expectFree(_ memory: Memory, _ free: UInt) {
        SelfTest.expect(settledFreeFrames(memory), equals: free, "every frame is free again")
    }
}
