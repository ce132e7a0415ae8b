import MemoryPrimitives
import PageFrames
import Paging

/// Memory for code that is still being written: Linux's `vmalloc_exec`, with the writing and the running told apart.
///
///     (nothing) --init--> draft: written at `writable` --seal--> code: run at `destination` --vfree--> (nothing)
///                           '------------ end of the draft ----------------------------------------------^
///
///     address        while it is a draft        once it is sealed
///     -----------    -----------------------    -----------------
///     writable       rw-                        gone
///     destination    r--, nobody's to free      r-x
///     direct map     r--                        r--
///
/// So at no moment can the memory be both written and executed, whatever its address. All that can fail happens in `init`:
/// the tables are there, and the direct map's large pages are split, before anything is written. A draft that goes out of
/// scope gives everything back.
@frozen
public struct CodeDraft<P: Platform>: ~Copyable, Sendable {
    private let area: Area
    private let alias: Area
    private let vmalloc: Permanent<Vmalloc<P>>

    /// Where the code is written.
    public var writable: VirtualRange { alias.usable }

    /// Where the code will run: the same bytes.
    public var destination: VirtualRange { area.usable }

    /// Makes a draft, whose bytes are what was in the memory before, or zeros where `flags` say so.
    /// - Parameters:
    ///   - byteCount: rounded up to whole pages.
    ///   - flags: as for `vmalloc`.
    ///   - name: what reports call the areas.
    ///   - caller: the return address of whoever asks, for reports; 0 where unknown.
    ///   - vmalloc: where the areas come from.
    /// - Returns: nil, with everything as before, for 0 bytes, and where there is no memory or address space.
    /// - Complexity: O(pages + log areas). Any context.
    public init?(
        byteCount: UInt, flags: AllocationFlags = .kernel, name: StaticString = "vmalloc_exec", caller: UInt = 0,
        from vmalloc: Permanent<Vmalloc<P>>
    ) {
        guard let areas = vmalloc.value.makeCodeAreas(pageCount(forBytes: byteCount), flags, name, caller) else {
            return nil
        }
        area = areas.code
        alias = areas.alias
        self.vmalloc = vmalloc
    }

    /// Ends the writing: takes the writable pages away from every CPU, and only then makes the code executable.
    /// - Returns: the code's first address, which `vfree` frees.
    /// - Complexity: O(pages + log areas). Any context.
    public consuming func seal() -> VirtualAddress {
        let start = area.usable.start
        vmalloc.value.seal(area, alias)
        if P.isTracing {
            vmalloc.value.traceAllocation(of: area.usable.byteCount, start, .kernel, 0, isPopulated: true)
        }
        discard self
        return start
    }

    deinit {
        vmalloc.value.dropUnpublished(alias)
        vmalloc.value.dropUnpublished(area)
    }
}

extension Vmalloc {
    /// Two areas for the same frames, neither of them published: `code` to be read, `alias` to be written.
    fileprivate func makeCodeAreas(
        _ pages: UInt, _ flags: AllocationFlags, _ name: StaticString, _ caller: UInt
    ) -> (code: Area, alias: Area)? {
        if pages > frames.value.managedFrames {
            P.report(FailedAllocation(areaOf: UInt.max, lack: .areaFrames, flags: flags.rawValue))
            return nil
        }
        let request = AreaRequest(.vmalloc, pageCount: pages, name: name, caller: caller)
        guard let codeNote = reserve(request, flags) else { return nil }
        var code = VirtualRangeAllocator<P>.copy(codeNote)
        // Its frames are shown read-only, as long as it is there.
        ranges.notePermissionChange(in: code.range)
        code.hasOtherPermissions = true
        let aliasRequest = AreaRequest(.map, pageCount: pages, name: name, caller: caller)
        guard let aliasNote = reserve(aliasRequest, flags) else {
            ranges.abandon(code)
            return nil
        }
        let alias = VirtualRangeAllocator<P>.copy(aliasNote)
        if mapCode(code.usable, alias.usable, flags | .noLeakTrace) { return (code, alias) }
        dropUnpublished(alias)
        dropUnpublished(code)
        return nil
    }

    /// Maps frames at both ranges, and makes the direct map's pages of them read-only.
    /// - Returns: false where something is lacking; some may be mapped then.
    @inline(never)
    private func mapCode(_ code: VirtualRange, _ alias: VirtualRange, _ flags: AllocationFlags) -> Bool {
        var source = BuddyTableSource<P>(frames: frames)
        var offset: UInt = 0
        while offset < code.byteCount {
            guard let frame = frames.value.allocate(order: 0, flags: flags) else { return false }
            do throws(PagingError) {
                try pageTables.value.map(code.start + offset, to: frame.address, permissions: .readOnly, using: &source)
            } catch {
                frames.value.free(frame, order: 0)
                return false
            }
            // The area's from here on.
            do throws(PagingError) {
                if let directMap {
                    let page = directMap.start + frame.address.rawValue
                    try pageTables.value.adjustRange(
                        VirtualRange(page, page + PageSize.byteCount), removing: .write, using: &source)
                }
                try pageTables.value.map(
                    alias.start + offset, to: frame.address, permissions: .readWrite, using: &source)
            } catch {
                return false
            }
            offset &+= PageSize.byteCount
        }
        return true
    }

    /// The writable pages go, and are flushed, before any page becomes executable.
    fileprivate func seal(_ code: borrowing Area, _ alias: borrowing Area) {
        let range = code.usable
        // Damaged tables may still lead there, which is reported: then nothing may run.
        if !dropUnpublished(copy alias) {
            ranges.publish(code, presentPages: range.byteCount &>> PageSize.shift)
            return
        }
        var source = BuddyTableSource<P>(frames: frames)
        do throws(PagingError) {
            try pageTables.value.adjustRange(range, adding: .execute, using: &source)
        } catch {
            // All of it is mapped page by page: nothing is lacking, unless somebody has changed the tables.
            P.report(
                MemoryViolation(
                    .corruption, in: "CodeDraft.seal", at: range.start.rawValue, "the area's tables are not its own",
                    UInt(error.rawValue)))
        }
        ranges.publish(code, presentPages: range.byteCount &>> PageSize.shift)
        frames.value.noteAllocation(range.start.rawValue, byteCount: range.byteCount, .area, .kernel)
    }
}
