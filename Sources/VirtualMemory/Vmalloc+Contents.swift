import MemoryPrimitives
import PageFrames
import Paging

/// What is in areas, reached by their frames: no access here ever faults.
extension Vmalloc {
    /// Copies from `address` on into `buffer`, whatever is there: for dumps and debuggers, which may be given any address.
    ///
    /// What nobody may touch reads as zeros: guard pages, addresses in no area, areas that are being set up or freed, a
    /// device's registers, which reading could change. So do pages that are due at their first touch, which stay so.
    /// - Parameters:
    ///   - address: any. Bytes outside of the part of the address space that areas are taken from are zeros, too.
    ///   - buffer: is written to from end to end, and lies in no area.
    /// - Returns: how many of the bytes lie in areas in use.
    /// - Complexity: O(bytes + pages * log areas). Any context but a fault's; each page is copied with the areas' lock held.
    @discardableResult
    public func read(from address: VirtualAddress, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var done = 0
        var known = 0
        while done < buffer.count {
            let (place, overflow) = address.rawValue.addingReportingOverflow(UInt(bitPattern: done))
            let inPage = Int(bitPattern: PageSize.byteCount &- place & (PageSize.byteCount &- 1))
            let count = min(inPage, buffer.count &- done)
            // Within the buffer by the minimum.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done &+ count])
            if !overflow, unsafe readPage(VirtualAddress(place), into: part) {
                known &+= count
            } else {
                unsafe part.initializeMemory(as: UInt8.self, repeating: 0)
            }
            done &+= count
        }
        return known
    }

    /// Copies from one page. - Returns: false, with nothing copied, where it is in no area in use.
    private func readPage(_ address: VirtualAddress, into part: UnsafeMutableRawBufferPointer) -> Bool {
        ranges.withLiveArea(at: address) { area in
            if area.kind == .device || !area.usable.contains(address) { return false }
            // Nobody frees the area, and with it the frame, as long as the lock is held.
            if let frame = pageTables.value.frame(at: address) {
                let offset = Int(bitPattern: address.rawValue & (PageSize.byteCount &- 1))
                // No further than to the end of the page, by the caller.
                let source = unsafe frames.value.directMap.pointer(to: frame) + offset
                unsafe part.copyMemory(from: UnsafeRawBufferPointer(start: source, count: part.count))
            } else {
                unsafe part.initializeMemory(as: UInt8.self, repeating: 0)
            }
            return true
        } ?? false
    }

    /// Gives memory that `allocate` returned another size, with its contents as far as both sizes go.
    ///
    /// The area stays where it is as long as its pages have room for `byteCount`; else it moves to another, all of whose
    /// pages are there. Nobody may use the memory meanwhile.
    /// - Parameters:
    ///   - address: nil for new memory. What is not the start of such an area is reported as `free` would, and left alone.
    ///   - byteCount: 0 frees.
    ///   - flags: as of `allocate`. `.zero` clears what a larger area has more; a page's rest that was the caller's before is
    ///     not cleared.
    /// - Returns: where the memory is now; nil for 0 bytes, and where there is none: the old memory is as it was then.
    /// - Complexity: O(pages + log areas). Any context.
    public func reallocate(
        _ address: VirtualAddress?, _ byteCount: UInt, flags: AllocationFlags = .kernel
    ) -> VirtualAddress? {
        guard let address else { return allocate(byteCount, flags: flags, name: "vrealloc") }
        if byteCount == 0 {
            free(address)
            return nil
        }
        guard let old = ranges.area(containing: address), old.kind == .vmalloc, old.state == .live,
            old.usable.start == address
        else {
            // Says what is wrong with the address.
            free(address, kind: .vmalloc, call: "vrealloc")
            return nil
        }
        if pageCount(forBytes: byteCount) <= old.reservedPages { return address }
        guard let new = allocate(byteCount, flags: flags, populate: true, name: "vrealloc") else { return nil }
        copyPages(of: old.usable, to: new)
        free(address, kind: .vmalloc, call: "vrealloc")
        return new
    }

    /// Copies all pages of `old` to those from `new` on, which are all there. Both are the caller's.
    private func copyPages(of old: VirtualRange, to new: VirtualAddress) {
        var offset: UInt = 0
        while offset < old.byteCount {
            if let target = pageTables.value.frame(at: new + offset) {
                let page = unsafe frames.value.directMap.pointer(to: target)
                // Frames of two areas that nobody frees meanwhile.
                if let source = pageTables.value.frame(at: old.start + offset) {
                    unsafe page.copyMemory(
                        from: frames.value.directMap.pointer(to: source), byteCount: Int(PageSize.byteCount))
                } else {
                    // Due at its first touch: zeros.
                    unsafe page.initializeMemory(as: UInt8.self, repeating: 0, count: Int(PageSize.byteCount))
                }
            }
            offset &+= PageSize.byteCount
        }
    }
}
