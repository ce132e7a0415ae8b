import MemoryPrimitives
import PageFrames
import Paging

/// vmalloc by the names that kernel authors look for. Any context, interrupt handlers included; nothing sleeps.
extension Vmalloc {
    /// `byteCount` bytes that are contiguous in virtual addresses, mapped at their first touch.
    /// - Returns: nil for 0 bytes and where they cannot be had.
    /// - Complexity: O(pages + log areas). Any context.
    public func vmalloc(_ byteCount: UInt) -> VirtualAddress? { allocate(byteCount) }

    /// As `vmalloc`, and every byte is 0.
    /// - Complexity: O(pages + log areas). Any context.
    public func vzalloc(_ byteCount: UInt) -> VirtualAddress? {
        allocate(byteCount, flags: .kernel | .zero, name: "vzalloc")
    }

    /// Frees what `vmalloc` or `vzalloc` returned; nil is a no-op.
    /// - Complexity: O(pages + log areas). Any context.
    public func vfree(_ address: VirtualAddress?) { free(address) }

    /// `vfree` for contexts in which Linux's may not be called; here any may call either.
    /// - Complexity: O(pages + log areas). Any context.
    public func vfree_atomic(_ address: VirtualAddress?) { free(address) }

    /// Ends all frees that were put off: on return no CPU remembers a page of what was freed before. See `purge`.
    /// - Complexity: O(pages that wait). For contexts that may wait.
    public func vm_unmap_aliases() { purge() }

    /// As `vmalloc`, from the one memory node that there is.
    /// - Complexity: O(pages + log areas). Any context.
    public func vmalloc_node(_ byteCount: UInt, _ node: Int) -> VirtualAddress? {
        node == 0 || node == -1 ? allocate(byteCount, name: "vmalloc_node") : nil
    }

    /// As `vzalloc`, with every page there from the beginning: for memory that user mode is to be shown.
    /// - Complexity: O(pages + log areas). Any context.
    public func vmalloc_user(_ byteCount: UInt) -> VirtualAddress? {
        allocate(byteCount, flags: .kernel | .zero, populate: true, name: "vmalloc_user")
    }

    /// As `vmalloc`, of frames below 4 GiB, there from the beginning.
    /// - Complexity: O(pages + log areas). Any context.
    public func vmalloc_32(_ byteCount: UInt) -> VirtualAddress? {
        allocate(byteCount, flags: .kernel | .dma32, name: "vmalloc_32")
    }

    /// As `vmalloc`, all there from the beginning, with pages of 2 MiB and 1 GiB where memory allows.
    /// - Complexity: as `allocateLarge(_:flags:name:caller:)`. Any context.
    public func vmalloc_huge(_ byteCount: UInt, _ flags: AllocationFlags = .kernel) -> VirtualAddress? {
        allocateLarge(byteCount, flags: flags)
    }

    /// Maps `frames` one after the other; they stay the caller's. - Returns: nil where that cannot be.
    /// - Complexity: O(frames + log areas). Any context.
    public func vmap(
        _ frames: UnsafeBufferPointer<PageFrameNumber>, _ permissions: PagePermissions = .readWrite
    ) -> VirtualAddress? {
        unsafe mapFrames(frames, permissions: permissions)
    }

    /// Takes away what `vmap` returned; nil is a no-op.
    /// - Complexity: O(pages + log areas). Any context.
    public func vunmap(_ address: VirtualAddress?) { unmapFrames(address) }

    /// As `vmap`, for mappings that come and go often; on the one memory node that there is.
    /// - Complexity: O(frames + log areas). Any context.
    public func vm_map_ram(
        _ frames: UnsafeBufferPointer<PageFrameNumber>, _ node: Int = -1
    ) -> VirtualAddress? {
        node == 0 || node == -1 ? unsafe mapFrames(frames, name: "vm_map_ram") : nil
    }

    /// Takes away what `vm_map_ram` returned for `count` frames. Another count is reported as `wildFree`, and nothing
    /// changes.
    /// - Complexity: O(pages + log areas). Any context.
    public func vm_unmap_ram(_ address: VirtualAddress, _ count: Int) {
        if let area = ranges.area(containing: address), area.reservedPages != UInt(bitPattern: count) {
            return P.report(
                MemoryViolation(
                    .wildFree, in: "vm_unmap_ram", at: address.rawValue, "as many pages were mapped",
                    area.reservedPages))
        }
        unmapFrames(address)
    }

    /// The frame behind an address of a live area; nil where none is yet. The caller owns the area.
    /// - Complexity: O(levels of the tables). Any context.
    @inline(__always)
    public func vmalloc_to_page(_ address: VirtualAddress) -> PageFrameNumber? { pageTables.value.frame(at: address) }

    /// As `vmalloc_to_page`, its number.
    /// - Complexity: O(levels of the tables). Any context.
    @inline(__always)
    public func vmalloc_to_pfn(_ address: VirtualAddress) -> UInt? { vmalloc_to_page(address)?.rawValue }

    /// True for an address in vmalloc's part of the address space, whatever is there.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func is_vmalloc_addr(_ address: VirtualAddress) -> Bool { ranges.space.contains(address) }

    /// The area that an address lies in, guard pages included; nil where there is none.
    /// - Complexity: O(log areas). Any context.
    public func find_vm_area(_ address: VirtualAddress) -> Area? { ranges.area(containing: address) }

    /// Gives what `vmalloc` returned another size; see `reallocate`.
    /// - Complexity: O(pages + log areas). Any context.
    /// - Returns: its address now; nil, with the old memory as it was, where that cannot be.
    public func vrealloc(
        _ address: VirtualAddress?, _ byteCount: UInt, _ flags: AllocationFlags = .kernel
    ) -> VirtualAddress? {
        reallocate(address, byteCount, flags: flags)
    }

    /// Copies from `address` on, past holes and guard pages, which read as zeros. - Returns: bytes that lie in areas.
    /// - Complexity: as `read(from:into:)`. Any context but a fault's.
    public func vread(_ buffer: UnsafeMutableRawBufferPointer, _ address: VirtualAddress) -> Int {
        unsafe read(from: address, into: buffer)
    }
}

extension Permanent where Value: ~Copyable {
    /// Memory for code, to be written before it can be run: see `CodeDraft`. `vfree` frees it once it is sealed.
    /// - Complexity: O(pages + log areas). Any context.
    public func vmalloc_exec<P: Platform>(_ byteCount: UInt) -> CodeDraft<P>? where Value == Vmalloc<P> {
        CodeDraft(byteCount: byteCount, from: self)
    }
}
