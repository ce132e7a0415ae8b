import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// The calls around page frames, under the names that Linux has for them.
enum PageFrameCallTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("page frames: a reference that outlives the free leaks nothing") { references(memory) }
        SelfTest.run("page frames: exact sizes, splitting and bulk") { pieces(memory) }
        SelfTest.run("page frames: addresses lead there and back") { addresses(memory) }
    }

    /// The loop of Linux's lib/test_free_pages.c.
    private static func references(_ memory: Memory) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        for order in 0...10 {
            for round in 0..<64 {
                let flags = round & 1 == 0 ? AllocationFlags.GFP_KERNEL : .GFP_KERNEL | .__GFP_COMP
                guard let block = unsafe SelfTest.require(frames.value.__get_free_pages(flags, order), "a block") else {
                    return
                }
                let page = unsafe frames.value.virt_to_page(block)
                frames.value.get_page(page)
                unsafe frames.value.free_pages(block, order)
                if round & 1 != 0 {
                    SelfTest.expect(frames.value.compound_order(page), equals: order, "a compound block stays whole")
                }
                frames.value.put_page(page)
            }
        }
        SelfTest.expect(frames.value.freeFrames, equals: free, "frames are free again")
        PageFrameTests.checkInvariants(memory)
    }

    private static func pieces(_ memory: Memory) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        if let exact = unsafe SelfTest.require(frames.value.alloc_pages_exact(5 * 4096 + 1, .kernel), "six pages") {
            SelfTest.expect(frames.value.freeFrames, equals: free - 6, "no more pages are taken than needed")
            unsafe frames.value.free_pages_exact(exact, 5 * 4096 + 1)
        }
        SelfTest.expect(unsafe frames.value.alloc_pages_exact(0, .kernel) == nil, "zero bytes are refused")
        if let block = SelfTest.require(frames.value.alloc_pages(.kernel, 3), "a block of eight") {
            frames.value.split_page(block, 3)
            for index in 0..<UInt(8) { frames.value.__free_page(block + index) }
        }
        if let list = unsafe SelfTest.require(frames.value.get_zeroed_page(.kernel), "a page") {
            let pages = unsafe list.bindMemory(to: PageFrameNumber.self, capacity: 512)
            // The page has room for 512 frame numbers.
            let count = unsafe frames.value.alloc_pages_bulk(.kernel, 300, pages)
            SelfTest.expect(count, equals: 300, "pages in bulk")
            for index in 0..<count { unsafe frames.value.free(pages[index], order: 0, isCold: true) }
            unsafe frames.value.free_page(list)
        }
        SelfTest.expect(frames.value.freeFrames, equals: free, "frames are free again")
        SelfTest.expect(frames.value.__alloc_pages(.kernel, 0, 1, nil) == nil, "there is one node")
        PageFrameTests.checkInvariants(memory)
    }

    private static func addresses(_ memory: Memory) {
        let frames = memory.value.frames
        guard let page = unsafe SelfTest.require(frames.value.get_free_page(.kernel), "a page") else { return }
        let frame = unsafe frames.value.virt_to_page(page)
        SelfTest.expect(unsafe frames.value.page_address(frame) == page, "a page's address leads to its frame")
        SelfTest.expect(
            unsafe frames.value.phys_to_virt(frames.value.virt_to_phys(page + 7)) == page + 7, "and a byte's, too")
        SelfTest.expect(frames.value.pfn_to_page(frames.value.page_to_pfn(frame)) == frame, "and its number")
        PageFrameTests.expect(.misalignedFree) { unsafe frames.value.free_page(page + 8) }
        PageFrameTests.expect(.wildFree) {
            unsafe frames.value.free_page(
                UnsafeMutableRawPointer(bitPattern: memory.value.layout.areas.start.rawValue + 4096))
        }
        unsafe frames.value.free_page(nil)
        unsafe frames.value.free_page(page)
    }
}
