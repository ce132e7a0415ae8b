import MemoryPrimitives

/// Why a contiguous range cannot be had. Frames are the first that stand in the way.
public enum ContiguousError: Error, Equatable, Sendable {
    /// The range has no frame, or the size is 0.
    case emptyRange
    /// There is no memory so high.
    case outsideMemory(PageFrameNumber)
    /// The frame is not RAM that was ever free.
    case hole(PageFrameNumber)
    /// The frame has been kept from the allocator since boot.
    case reserved(PageFrameNumber)
    /// The frame is in use, and nobody moves what is in it; or another call puts together a range beside it.
    case busy(PageFrameNumber)
    /// There is no memory that what is in the frame could be moved to.
    case outOfMemory(PageFrameNumber)
    /// Fewer frames would be left, at least meanwhile, than are promised.
    case promised
    /// No area is kept for contiguous buffers, or it is smaller than what is asked for.
    case areaTooSmall

    /// The error in words, for reports.
    public var reason: StaticString {
        switch self {
        case .emptyRange: "the range is empty"
        case .outsideMemory: "there is no memory so high"
        case .hole: "the range has a hole"
        case .reserved: "the range has a reserved frame"
        case .busy: "a frame is in use and cannot be moved"
        case .outOfMemory: "there is no memory to move a frame to"
        case .promised: "promised frames would be missing"
        case .areaTooSmall: "no area of that size is kept for contiguous buffers"
        }
    }

    /// The frame that the error names; nil where there is none.
    public var frame: PageFrameNumber? {
        switch self {
        case .outsideMemory(let frame), .hole(let frame), .reserved(let frame), .busy(let frame),
            .outOfMemory(let frame):
            frame
        case .emptyRange, .promised, .areaTooSmall: nil
        }
    }
}
