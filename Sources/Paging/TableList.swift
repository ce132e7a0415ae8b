import MemoryPrimitives

/// Frames of tables, linked through their first word: those taken before a change, and those to free after it.
///
/// A frame's address has its low bits clear, so that to a page walk that still reaches the table through a stale
/// upper entry the link is one more entry that is not present.
struct TableList {
    private var head = PhysicalAddress.zero
    private(set) var count = 0

    mutating func push(_ frame: PhysicalAddress, _ directMap: DirectMap) {
        PageTable(at: frame, directMap)[0] = PageTableEntry(rawValue: count == 0 ? 0 : head.rawValue)
        head = frame
        count &+= 1
    }

    /// Removes a frame and clears its link; nil when there is none.
    mutating func pop(_ directMap: DirectMap) -> PhysicalAddress? {
        if count == 0 { return nil }
        let frame = head
        let table = PageTable(at: frame, directMap)
        head = PhysicalAddress(table[0].rawValue)
        table[0] = .empty
        count &-= 1
        return frame
    }

    /// Takes `needed` tables from `source`: all of them, or none and false.
    mutating func fill(
        _ needed: Int, from source: inout some TableFrameSource & ~Copyable, _ directMap: DirectMap
    ) -> Bool {
        while count < needed {
            guard let frame = source.allocateTableFrame() else {
                drain(into: &source, directMap)
                return false
            }
            push(frame, directMap)
        }
        return true
    }

    /// Gives every frame back to `source`.
    mutating func drain(into source: inout some TableFrameSource & ~Copyable, _ directMap: DirectMap) {
        while let frame = pop(directMap) { source.freeTableFrame(frame) }
    }
}
