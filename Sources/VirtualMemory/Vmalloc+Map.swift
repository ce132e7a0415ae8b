import MemoryPrimitives
import PageFrames
import Paging

/// Frames of the caller's, mapped one after the other.
extension Vmalloc {
    /// Maps `frames` to addresses that follow each other, with a guard page after them.
    ///
    /// The frames stay the caller's: they must not be freed before `unmapFrames`, which leaves them alone. A frame may be
    /// mapped several times.
    /// - Parameters:
    ///   - frames: in the order in which they are to appear.
    ///   - permissions: what may be done there; never to execute, since the direct map shows the frames writable.
    ///   - name: what reports call the area.
    ///   - caller: the return address of whoever asks, for reports; 0 where unknown.
    /// - Returns: the first address; nil, with everything as before, for no frames, for one that is not of RAM, and where
    ///   there is no memory or address space for it.
    /// - Complexity: O(frames + log areas). Any context.
    public func mapFrames(
        _ frames: UnsafeBufferPointer<PageFrameNumber>, permissions: PagePermissions = .readWrite,
        name: StaticString = "vmap", caller: UInt = 0
    ) -> VirtualAddress? {
        if P.isTracing { return unsafe mapTraced(frames, permissions, name, caller) }
        return unsafe makeMap(frames, permissions, name, caller)
    }

    @inline(never)
    private func mapTraced(
        _ frames: UnsafeBufferPointer<PageFrameNumber>, _ permissions: PagePermissions, _ name: StaticString,
        _ caller: UInt
    ) -> VirtualAddress? {
        let outer = P.enterTracedCall()
        let start = unsafe makeMap(frames, permissions, name, caller)
        P.leaveTracedCall(outer)
        unsafe traceMap(of: frames, start, permissions, caller)
        return start
    }

    @inline(__always)
    private func makeMap(
        _ frames: UnsafeBufferPointer<PageFrameNumber>, _ permissions: PagePermissions, _ name: StaticString,
        _ caller: UInt
    ) -> VirtualAddress? {
        if permissions.contains(.execute) { return nil }
        if unsafe !self.frames.value.manages(allOf: frames) { return nil }
        let request = AreaRequest(.map, pageCount: UInt(bitPattern: frames.count), name: name, caller: caller)
        guard let area = reserve(request, .kernel) else { return nil }
        var source = BuddyTableSource<P>(frames: self.frames)
        var done = 0
        while done < frames.count {
            // No further than to the end of the last-level table.
            let page = area.start + UInt(bitPattern: done) &<< PageSize.shift
            let inTable = 512 &- Int(bitPattern: (page.rawValue &>> PageSize.shift) & 511)
            let count = min(frames.count &- done, inTable)
            do throws(PagingError) {
                // Within the buffer by the minimum above.
                let batch = unsafe UnsafeBufferPointer(rebasing: frames[done..<done &+ count])
                try unsafe pageTables.value.mapFrames(from: page, to: batch, permissions: permissions, using: &source)
            } catch {
                dropUnpublished(area)
                return nil
            }
            done &+= count
        }
        let start = area.start
        ranges.publish(area, presentPages: UInt(bitPattern: frames.count))
        return start
    }

    /// Takes away what `mapFrames` returned; the frames stay their owner's. `nil` is a no-op; anything else is an error, as
    /// for `free`. - Complexity: O(pages + log areas). Any context.
    public func unmapFrames(_ address: VirtualAddress?) {
        guard let address, address.rawValue != 0 else { return }
        free(address, kind: .map, call: "vunmap")
    }
}
