import MemoryPrimitives

/// Where page tables get their frames from.
///
/// It is called with the page tables' lock held and interrupts disabled, and may take locks below it (a zone's).
public protocol TableFrameSource: ~Copyable {
    /// A frame filled with zeros that the direct map reaches; nil where there is none.
    mutating func allocateTableFrame() -> PhysicalAddress?

    /// Takes back a frame that `allocateTableFrame` gave. Its contents mean nothing any more.
    mutating func freeTableFrame(_ frame: PhysicalAddress)
}
