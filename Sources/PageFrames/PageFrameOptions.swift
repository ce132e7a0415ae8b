/// How a page frame allocator is to work; chosen once, at bring-up.
public struct PageFrameOptions: Sendable {
    /// Whether each CPU keeps free blocks of orders 0 to 3 of its own (`PageFrameAllocator.setFrameCaches(enabled:)`
    /// changes that later).
    public var frameCaches: Bool

    /// What the watermarks are made of, in KiB; nil computes it from the amount of memory, as Linux does. 0 keeps
    /// nothing in reserve.
    public var minimumFreeKiB: UInt?

    /// The size, in bytes, of the area that is kept for large contiguous buffers, rounded up to whole sections; 0 for none.
    /// See `PageFrameAllocator.allocateContiguousArea`.
    public var contiguousByteCount: UInt = 0
    /// What is checked beyond what always is. Where anything is, there are no frame caches.
    public var checks = FrameChecks.none

    /// Which request for frames from the beginning on is to fail, counted from 1; 0 for none.
    public var failedRequest: UInt = 0

    /// Options for frame caches and watermarks; nothing is checked beyond what always is.
    public init(frameCaches: Bool = true, minimumFreeKiB: UInt? = nil) {
        self.frameCaches = frameCaches
        self.minimumFreeKiB = minimumFreeKiB
    }
}
