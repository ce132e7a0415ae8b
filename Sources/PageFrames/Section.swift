import MemoryPrimitives

/// A section is 1024 frames, 4 MiB: one block of the highest order, and the unit in which descriptors come into being.
public enum Section {
    /// log2 of the frames in a section.
    public static var shift: UInt { 10 }

    /// The frames in a section.
    public static var frameCount: UInt { 1 << shift }

    /// The bytes of memory in a section.
    public static var byteCount: UInt { frameCount * PageSize.byteCount }

    /// Where the section's two page blocks lie: behind its descriptors.
    @inline(__always)
    static var pageBlocksOffset: Int { Int(frameCount) * MemoryLayout<FrameDescriptor>.stride }

    /// The bytes that a section's descriptors and its page blocks take.
    static var metadataByteCount: UInt { UInt(pageBlocksOffset + 2 * PageBlock.byteCount) }
}

/// The orders of blocks: a block of order n is 2^n frames, aligned to its size.
public enum BlockOrder {
    /// The highest order. A block of it is a section, and never merges.
    public static var highest: Int { 10 }

    /// The number of orders, 0 to `highest`.
    public static var count: Int { highest + 1 }
}
