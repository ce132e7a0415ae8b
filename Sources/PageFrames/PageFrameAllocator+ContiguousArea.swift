import MemoryPrimitives

// An area kept at boot for large contiguous buffers, as Linux's `cma=`. Until one is wanted, movable contents may use it,
// and nothing else; their movers make room then.
extension PageFrameAllocator {
    /// Allocates frames of the contiguous area that follow each other: the first that can be had. Linux's `cma_alloc`.
    ///
    /// - Parameters:
    ///   - byteCount: rounded up to whole frames.
    ///   - alignment: of the first byte: a power of two, in bytes; less than a frame is a frame.
    ///   - flags: as of `allocateContiguous`.
    /// - Returns: the frames, as blocks of one frame with one reference each. `releaseContiguousArea` frees them.
    /// - Throws: `areaTooSmall` where there is no such area; else why the last place that was tried cannot be had.
    /// - Complexity: O(frames in the area), and copying what is moved.
    public func allocateContiguousArea(
        byteCount: UInt, alignment: UInt = PageSize.byteCount, flags: AllocationFlags = .kernel
    ) throws(ContiguousError) -> Range<PageFrameNumber> {
        if byteCount == 0 { throw .emptyRange }
        let step = max(1, alignment >> PageSize.shift)
        let count = pageCount(forBytes: byteCount)
        guard alignment.nonzeroBitCount == 1, count <= contiguousArea.frameCount else { throw .areaTooSmall }
        var failure = ContiguousError.areaTooSmall
        var first = contiguousArea.lowerBound.rounded(upTo: step)
        while first + count <= contiguousArea.upperBound {
            do throws(ContiguousError) {
                try allocateContiguous(first..<first + count, flags: flags)
                return first..<first + count
            } catch {
                failure = error
                // Behind the frame that stands in the way; without one, no other place would do.
                guard case .busy(let frame) = error else { throw error }
                first = (frame + 1).rounded(upTo: step)
            }
        }
        throw failure
    }

    /// Frees frames that `allocateContiguousArea` returned, all or a part of them. Linux's `cma_release`.
    ///
    /// A range that is not in the area is an error: reported as `wildFree`. Else as `freeContiguous`.
    ///
    /// - Returns: false for an error; nothing has changed.
    /// - Complexity: O(frames).
    @discardableResult
    public func releaseContiguousArea(_ range: Range<PageFrameNumber>) -> Bool {
        guard contiguousArea.lowerBound <= range.lowerBound, range.upperBound <= contiguousArea.upperBound else {
            P.report(
                MemoryViolation(
                    .wildFree, in: "cma_release", at: range.lowerBound.rawValue << PageSize.shift,
                    "the range is not one of the contiguous area", range.frameCount))
            return false
        }
        return freeContiguous(range)
    }

    /// Keeps an area, at bring-up: the highest run of unused sections in the highest zone that has one, but not more than
    /// half of memory, so that the rest can work. - Returns: an empty range where there is none.
    @inline(never)
    func keepContiguousArea(byteCount: UInt) -> Range<PageFrameNumber> {
        let none = PageFrameNumber(0)..<PageFrameNumber(0)
        let frames = pageCount(forBytes: byteCount)
        guard frames > 0, frames <= managedFrames / 2 else { return none }
        let sections = (frames + Section.frameCount - 1) >> Section.shift
        var zone = ZoneKind.normal.rawValue
        while zone >= ZoneKind.dma32.rawValue {
            if let first = zones[zone].value.withState({ state in state.keepContiguous(sections: sections) }) {
                return PageFrameNumber(first << Section.shift)..<PageFrameNumber((first + sections) << Section.shift)
            }
            zone -= 1
        }
        return none
    }
}

extension PageFrameNumber {
    /// The number rounded up to a multiple of `step`, a power of two.
    fileprivate func rounded(upTo step: UInt) -> PageFrameNumber {
        let (sum, isOverflow) = rawValue.addingReportingOverflow(step - 1)
        return PageFrameNumber(isOverflow ? .max >> PageSize.shift : sum & ~(step - 1))
    }
}
