import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import X86

/// The page tables that the CPU really walks.
enum PagingTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    /// An address that nothing else uses, with a top-level slot of its own: above all that is drawn, below the image.
    static var window: VirtualAddress { LayoutDraw.window.end }

    /// 2 MiB of it.
    static var windowRange: VirtualRange { VirtualRange(window, window + PageSize.size2MiB.byteCount) }

    static func run(_ memory: Memory) {
        SelfTest.run("page tables: one frame through two mappings") { twoMappings(memory) }
        SelfTest.run("page tables: a remapped page shows the new frame at once") { remapping(memory) }
        SelfTest.run("page tables: large pages are mapped, split and removed") { largePages(memory) }
        SelfTest.run("page tables: the object alias shows the direct map") { alias(memory) }
        SelfTest.run("page tables: the CPU notes what is used, and again after that is cleared") { usage(memory) }
        SelfTest.run("page tables: small pages that are alike become a large one") { merging(memory) }
        SelfTest.run("page tables: each cache mode is the one asked for") { cacheModes(memory) }
        SelfTest.run("page tables: what bring-up alone writes is sealed") { sealed(memory) }
        SelfTest.run("page tables: no page is writable and executable") { audit(memory) }
    }

    private static func twoMappings(_ memory: Memory) {
        let tables = memory.value.pageTables
        let free = memory.value.frames.value.freeFrames
        var source = BuddyTableSource<X86Platform>(frames: memory.value.frames)
        guard let frame = SelfTest.require(memory.value.frames.value.allocate(order: 0), "a frame") else { return }
        let direct = memory.value.directMap.virtualAddress(of: frame.address).rawValue
        do throws(PagingError) {
            try tables.value.map(window, to: frame.address, permissions: .readWrite, using: &source)
            for offset in stride(from: UInt(0), to: 4096, by: 8) {
                x86_store64(window.rawValue + offset, UInt64(offset) ^ 0xa5a5_a5a5_a5a5_a5a5)
            }
            var differences = 0
            for offset in stride(from: UInt(0), to: 4096, by: 8)
            where x86_load64(direct + offset) != UInt64(offset) ^ 0xa5a5_a5a5_a5a5_a5a5 {
                differences += 1
            }
            SelfTest.expect(differences, equals: 0, "what one mapping writes the other reads")
            let translation = tables.value.translate(window + 123)
            SelfTest.expect(translation?.physical == frame.address + 123, "translate finds the frame")
            try tables.value.unmap(window, using: &source)
        } catch {
            SelfTest.expect(false, "mapping a page succeeds")
        }
        memory.value.frames.value.free(frame, order: 0)
        SelfTest.expect(memory.value.frames.value.freeFrames, equals: free, "tables that became empty are freed")
    }

    private static func remapping(_ memory: Memory) {
        let frames = memory.value.frames
        let tables = memory.value.pageTables
        var source = BuddyTableSource<X86Platform>(frames: frames)
        guard let first = frames.value.allocate(order: 0), let second = frames.value.allocate(order: 0) else {
            return SelfTest.expect(false, "two frames")
        }
        x86_store64(memory.value.directMap.virtualAddress(of: first.address).rawValue, 1)
        x86_store64(memory.value.directMap.virtualAddress(of: second.address).rawValue, 2)
        do throws(PagingError) {
            try tables.value.map(window, to: first.address, permissions: .readWrite, using: &source)
            SelfTest.expect(x86_load64(window.rawValue) == 1, "the first frame is seen")
            try tables.value.unmap(window, using: &source)
            try tables.value.map(window, to: second.address, permissions: .readWrite, using: &source)
            SelfTest.expect(x86_load64(window.rawValue) == 2, "no stale translation is used")
            try tables.value.unmap(window, using: &source)
        } catch {
            SelfTest.expect(false, "remapping succeeds")
        }
        frames.value.free(first, order: 0)
        frames.value.free(second, order: 0)
    }

    private static func largePages(_ memory: Memory) {
        let frames = memory.value.frames
        let tables = memory.value.pageTables
        let free = frames.value.freeFrames
        var source = BuddyTableSource<X86Platform>(frames: frames)
        guard let block = SelfTest.require(frames.value.allocate(order: 9), "2 MiB") else { return }
        let range = VirtualRange(window, window + PageSize.size2MiB.byteCount)
        do throws(PagingError) {
            try tables.value.mapRange(range, to: block.address, permissions: .readWrite, using: &source)
            SelfTest.expect(tables.value.translate(window)?.size == .size2MiB, "2 MiB become one large page")
            x86_store64(window.rawValue + 5 * 4096, 55)
            try tables.value.protect(window + 5 * 4096, permissions: .readOnly, splitting: true, using: &source)
            SelfTest.expect(tables.value.translate(window)?.size == .size4KiB, "protecting a part splits the page")
            SelfTest.expect(x86_load64(window.rawValue + 5 * 4096) == 55, "splitting changes no translation")
            try tables.value.unmapRange(range, using: &source)
            SelfTest.expect(tables.value.translate(window + 4096) == nil, "nothing is mapped any more")
        } catch {
            SelfTest.expect(false, "large pages can be mapped and split")
        }
        frames.value.free(block, order: 9)
        SelfTest.expect(frames.value.freeFrames, equals: free, "all tables are freed")
    }

    private static func alias(_ memory: Memory) {
        guard let frame = SelfTest.require(memory.value.frames.value.allocate(order: 0, flags: .dma32), "a frame")
        else {
            return
        }
        let direct = memory.value.directMap.virtualAddress(of: frame.address).rawValue
        x86_store64(direct + 8, 0x1234_5678_9abc_def0)
        SelfTest.expect(
            x86_load64(direct &+ SwiftRuntime.aliasDistance &+ 8) == 0x1234_5678_9abc_def0, "the alias shows the frame")
        memory.value.frames.value.free(frame, order: 0)
    }

    /// The boot has passed this once already: see PageTableAudit.
    private static func audit(_ memory: Memory) {
        let audit = memory.value.pageTables.value.audit()
        // Without NX every page is executable.
        let isEnforceable = memory.value.pageTables.value.features.noExecute
        SelfTest.expect(audit.passes || !isEnforceable, "the audit finds nothing")
        SelfTest.expect(audit.badEntries, equals: 0, "no entry is bad")
        SelfTest.expect(audit.userPages, equals: 0, "no page is user code's")
        SelfTest.expect(audit.executablePages > 0, "the audit sees the kernel's code")
        PageFrameTests.checkInvariants(memory)
    }
}
