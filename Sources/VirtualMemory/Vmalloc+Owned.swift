import MemoryPrimitives
import PageFrames
import Paging

// Which frames areas have, for maps of memory.
extension Vmalloc {
    /// Calls `body` with the frames behind the pages of each area whose frames are its own: what the area is for, the first
    /// frame, and how many follow on it.
    ///
    /// - Complexity: O(areas + pages), with the areas' lock held, under which `body` runs: it must not call these areas.
    public func forEachOwnedFrame(_ body: (AreaKind, PageFrameNumber, UInt) -> Void) {
        let tables = pageTables
        ranges.forEachArea { area in
            // The head of the list is empty, and no area.
            if area.range.isEmpty || !area.kind.ownsFrames { return }
            // Areas are usable where they lie.
            try? tables.value.walk(from: area.usable.start, through: VirtualAddress(area.usable.end.rawValue &- 1)) {
                if case .mapped(let page) = $0.content {
                    body(area.kind, PageFrameNumber(containing: page.physical), $0.byteCount >> PageSize.shift)
                }
                return true
            }
        }
    }
}

extension KernelStacks {
    /// Calls `body` with each frame that waits for a stack to grow. A snapshot. - Complexity: O(CPUs).
    public func forEachReserveFrame(_ body: (PageFrameNumber) -> Void) { reserve.forEach(body) }
}

extension StackReserve {
    fileprivate func forEach(_ body: (PageFrameNumber) -> Void) {
        for cpu in 0..<P.cpuCount {
            for index in 0..<capacity {
                let frame = frame(cpu, index)
                if frame != 0 { body(PageFrameNumber(frame)) }
            }
        }
    }
}
