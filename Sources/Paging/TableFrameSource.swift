import MemoryPrimitives

/// Where page tables get their frames from.
///
/// Frames are taken with the page tables' lock held and interrupts disabled, and given back without; it may take locks
/// below that one (a zone's).
public protocol TableFrameSource: ~Copyable {
    /// A frame filled with zeros that the direct map reaches; nil where there is none.
    mutating func allocateTableFrame() -> PhysicalAddress?

    /// Takes back a frame that `allocateTableFrame` gave. Its contents mean nothing any more.
    mutating func freeTableFrame(_ frame: PhysicalAddress)
}
