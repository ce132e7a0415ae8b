import MemoryPrimitives
import PageFrames
import Paging

/// Why addresses of a device cannot be mapped. Nothing has changed then.
public enum DeviceMappingError: UInt8, Error, Sendable {
    /// There are no bytes to map.
    case emptyRange
    /// The last byte's address is lower than the first's.
    case wraps
    /// The CPU has not so many address bits.
    case beyondPhysicalLimit
    /// Some of it is RAM, which the direct map shows already, cached.
    case isMemory
    /// There is no gap in the address space, or no memory for tables.
    case outOfMemory

    /// The error in words, for reports.
    public var reason: StaticString {
        switch self {
        case .emptyRange: "there are no bytes to map"
        case .wraps: "the range wraps round"
        case .beyondPhysicalLimit: "the CPU has no such physical address"
        case .isMemory: "some of the range is RAM"
        case .outOfMemory: "no address space or no memory for tables"
        }
    }
}

/// Registers and memory of devices, mapped where the device says.
extension Vmalloc {
    /// Maps the bytes from `physical` on, which are no RAM, with the largest pages that their address allows.
    ///
    /// Nobody may read there as from memory: `read(from:into:)` leaves such areas alone.
    /// - Parameters:
    ///   - physical: the first byte's address; its offset within a page is kept.
    ///   - byteCount: as many bytes as the caller needs; whole pages are mapped.
    ///   - cacheMode: how the CPU may cache and combine accesses. Who maps the same memory twice asks for the same.
    ///   - name: what reports call the area.
    ///   - caller: the return address of whoever asks, for reports; 0 where unknown.
    /// - Returns: where the byte at `physical` is now, to be read, written, and never executed.
    /// - Complexity: O(pages + log areas), with interrupts disabled while the tables change. Any context.
    /// - Throws: what the range is, such as `isMemory`, or `outOfMemory`; nothing has changed then.
    @inline(never)
    public func mapDevice(
        _ physical: PhysicalAddress, byteCount: UInt, cacheMode: CacheMode = .uncachedOverridable,
        name: StaticString = "ioremap", caller: UInt = 0
    ) throws(DeviceMappingError) -> VirtualAddress {
        let outer = P.enterTracedCall()
        defer { P.leaveTracedCall(outer) }
        let start = try makeDevice(physical, byteCount, cacheMode, name, caller)
        if P.isTracing {
            // The call itself is not nested.
            P.leaveTracedCall(outer)
            traceMap(of: physical, byteCount, start, .readWrite.cached(cacheMode), "ioremap", caller)
        }
        return start
    }

    @inline(__always)
    private func makeDevice(
        _ physical: PhysicalAddress, _ byteCount: UInt, _ cacheMode: CacheMode, _ name: StaticString, _ caller: UInt
    ) throws(DeviceMappingError) -> VirtualAddress {
        let pages = try devicePages(physical, byteCount)
        if holdsMemory(pages) { throw .isMemory }
        var request = AreaRequest(
            .device, pageCount: pages.byteCount &>> PageSize.shift, alignment: alignment(for: pages), name: name,
            caller: caller)
        request.hasLargePages = true
        guard let note = reserve(request, .kernel) else { throw .outOfMemory }
        let area = VirtualRangeAllocator<P>.copy(note)
        var source = BuddyTableSource<P>(frames: frames)
        do throws(PagingError) {
            try pageTables.value.mapRange(
                area.usable, to: pages.start, permissions: .readWrite.cached(cacheMode), using: &source)
        } catch {
            // Nothing has been mapped.
            ranges.abandon(area)
            throw .outOfMemory
        }
        // No page of it has a frame.
        ranges.publish(area, presentPages: 0)
        return area.usable.start + physical.distance(from: pages.start)
    }

    /// Takes away what `mapDevice` returned: any byte of the first page. `nil` is a no-op; anything else is an error, as
    /// for `free`. - Complexity: O(pages + log areas). Any context.
    public func unmapDevice(_ address: VirtualAddress?) {
        guard let address, address.rawValue != 0 else { return }
        free(address.roundedDown(to: PageSize.byteCount), kind: .device, call: "iounmap")
    }

    /// Whether all bytes of a range are RAM that the direct map shows, and where it does so; nil where a byte is not.
    /// - Complexity: O(pages of the direct map there). Any context.
    public func directlyMapped(_ physical: PhysicalAddress, byteCount: UInt) -> VirtualAddress? {
        guard let directMap, let pages = try? devicePages(physical, byteCount),
            pages.end.rawValue <= directMap.byteCount
        else { return nil }
        var offset = pages.start.rawValue
        while offset < pages.end.rawValue {
            guard let page = pageTables.value.translate(directMap.start + offset) else { return nil }
            offset = (offset & ~(page.size.byteCount &- 1)) &+ page.size.byteCount
        }
        return directMap.start + physical.rawValue
    }

    /// True when the direct map shows a page of the range: it shows all RAM, whoever has it, and nothing else.
    /// - Parameter pages: whole pages. - Complexity: O(1); parts of the direct map in which nothing is are skipped whole.
    public func holdsMemory(_ pages: PhysicalRange) -> Bool {
        guard let directMap else {
            var frame = PageFrameNumber(containing: pages.start)
            while frame.address < pages.end {
                if frames.value.manages(frame) { return true }
                frame = frame + 1
            }
            return false
        }
        if pages.isEmpty || pages.start.rawValue >= directMap.byteCount { return false }
        let end = min(pages.end.rawValue, directMap.byteCount)
        var found = false
        do throws(PagingError) {
            try pageTables.value.walk(
                from: directMap.start + pages.start.rawValue, through: directMap.start + (end &- 1)
            ) { _ in
                found = true
                return false
            }
        } catch {
            // The direct map is one half's, and canonical: what cannot be walked is not given away.
            return true
        }
        return found
    }

    /// The whole pages that `byteCount` bytes from `physical` on lie in.
    private func devicePages(
        _ physical: PhysicalAddress, _ byteCount: UInt
    ) throws(DeviceMappingError) -> PhysicalRange {
        if byteCount == 0 { throw .emptyRange }
        let (last, overflow) = physical.rawValue.addingReportingOverflow(byteCount &- 1)
        if overflow { throw .wraps }
        if last >> pageTables.value.features.physicalAddressBits != 0 { throw .beyondPhysicalLimit }
        // At most 52 bits: rounding up cannot overflow.
        return PhysicalRange(
            physical.roundedDown(to: PageSize.byteCount),
            PhysicalAddress((last | (PageSize.byteCount &- 1)) &+ 1))
    }

    /// What the area's first address is to be a multiple of, so that the largest pages fit.
    private func alignment(for pages: PhysicalRange) -> UInt {
        func fits(_ size: PageSize) -> Bool {
            pages.start.isAligned(to: size.byteCount) && pages.byteCount >= size.byteCount
        }
        if fits(.size1GiB) && pageTables.value.features.gigabytePages { return PageSize.size1GiB.byteCount }
        return fits(.size2MiB) ? PageSize.size2MiB.byteCount : PageSize.byteCount
    }
}
