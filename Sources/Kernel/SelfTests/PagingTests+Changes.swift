import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import X86

/// What the CPU itself makes of pages that change: of what it notes down, of sizes, and of permissions.
extension PagingTests {
    /// Some 2 MiB of memory at the window, as the body finds it, and everything as before behind it.
    @inline(never)
    private static func withLargePage(
        _ memory: Memory, _ body: (inout BuddyTableSource<X86Platform>) throws(PagingError) -> Void
    ) {
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        var source = BuddyTableSource<X86Platform>(frames: frames)
        guard let block = SelfTest.require(frames.value.allocate(order: 9), "2 MiB") else { return }
        do throws(PagingError) {
            try memory.value.pageTables.value.mapRange(
                windowRange, to: block.address, permissions: .readWrite, using: &source)
            try body(&source)
            try memory.value.pageTables.value.clear(windowRange, using: &source) { _, _ in }
        } catch {
            SelfTest.expect(false, "the tables can be changed")
        }
        frames.value.free(block, order: 9)
        SelfTest.expect(frames.value.freeFrames, equals: free, "all tables are freed")
    }

    @inline(never)
    static func usage(_ memory: Memory) {
        let tables = memory.value.pageTables
        withLargePage(memory) { source throws(PagingError) in
            SelfTest.expect(
                tables.value.usage(of: window) == .accessed | .dirty, "a new page leaves the CPU nothing to note")
            _ = x86_load64(window.rawValue)
            try tables.value.clearUsage(.accessed | .dirty, in: windowRange)
            SelfTest.expect(tables.value.usage(of: window) == PageUsage.none, "the notes are cleared")
            _ = x86_load64(window.rawValue + 64)
            SelfTest.expect(tables.value.usage(of: window) == .accessed, "the CPU notes a read")
            x86_store64(window.rawValue + 128, 1)
            SelfTest.expect(tables.value.usage(of: window) == .accessed | .dirty, "the CPU notes a write")
            try tables.value.clearUsage(.dirty, in: windowRange)
            _ = x86_load64(window.rawValue + 128)
            SelfTest.expect(tables.value.usage(of: window) == .accessed, "a read is no write")
            x86_store64(window.rawValue + 128, 2)
            SelfTest.expect(tables.value.usage(of: window) == .accessed | .dirty, "the next write is noted again")
        }
    }

    @inline(never)
    static func merging(_ memory: Memory) {
        let tables = memory.value.pageTables
        withLargePage(memory) { source throws(PagingError) in
            let part = VirtualRange(window + 8 * 4096, window + 9 * 4096)
            try tables.value.adjustRange(part, removing: .write, using: &source)
            for index in UInt(0)..<512 where index != 8 { x86_store64(window.rawValue + index * 4096, UInt64(index)) }
            let merged = try tables.value.collapse(windowRange, using: &source)
            SelfTest.expect(merged, equals: 0, "a page that differs keeps its neighbours apart")
            try tables.value.adjustRange(part, adding: .write, using: &source)
            x86_store64(window.rawValue + 8 * 4096, 8)
            SelfTest.expect(
                try tables.value.collapse(windowRange, using: &source), equals: 1, "alike, they are one page")
            SelfTest.expect(tables.value.translate(window + 4096)?.size == .size2MiB, "of 2 MiB")
            var differences = 0
            for index in UInt(0)..<512 where x86_load64(window.rawValue + index * 4096) != UInt64(index) {
                differences += 1
            }
            SelfTest.expect(differences, equals: 0, "with the same contents")
        }
    }

    /// The attribute table is what pages count on, and a page of each cache mode works.
    @inline(never)
    static func cacheModes(_ memory: Memory) {
        let attributes = x86_read_msr(CPUFeatures.pageAttributeRegister)
        SelfTest.expect(attributes == CPUFeatures.pageAttributes, "the page attribute table is programmed")
        let tables = memory.value.pageTables
        withLargePage(memory) { source throws(PagingError) in
            // Not every number is a mode.
            for number in UInt16(0)...5 {
                guard let mode = CacheMode(rawValue: number) else { continue }
                try tables.value.protectRange(
                    windowRange, permissions: .readWrite.cached(mode), splitting: true, using: &source)
                x86_store64(window.rawValue + 4096, 0x55aa)
                SelfTest.expect(x86_load64(window.rawValue + 4096) == 0x55aa, "memory is memory in each cache mode")
                SelfTest.expect(
                    tables.value.translate(window)?.permissions.cacheMode == mode, "the mode is the page's")
            }
        }
    }

    @inline(never)
    static func sealed(_ memory: Memory) {
        let tables = memory.value.pageTables
        guard let sealed = SelfTest.require(memory.value.image.value.sealed, "sealed data") else { return }
        SelfTest.expect(sealed.contains(VirtualAddress(descriptor_idt_address())), "the descriptor tables are sealed")
        for page in 0..<sealed.byteCount / PageSize.byteCount {
            guard let found = tables.value.translate(sealed.start + page * PageSize.byteCount) else {
                SelfTest.expect(false, "sealed data is mapped")
                continue
            }
            let direct = tables.value.translate(memory.value.directMap.virtualAddress(of: found.physical))
            SelfTest.expect(!found.permissions.contains(.write), "sealed data is read-only")
            SelfTest.expect(direct?.permissions.contains(.write) == false, "in the direct map too")
        }
        SelfTest.expect(tables.value.auditAliases().passes || !tables.value.features.noExecute, "no alias of code")
    }
}
