import MemoryPrimitives

/// The areas that were freed last, so that a report can tell a second `vfree` from a wild one and name the area that a
/// stray access once belonged to. Nothing depends on it.
struct FreedAreas: ~Copyable {
    private static var capacity: Int { 8 }

    private var areas = InlineArray<8, Area?>(repeating: nil)
    private var next = 0

    mutating func note(_ area: Area) {
        areas[next] = area
        next = (next &+ 1) & (Self.capacity &- 1)
    }

    /// The area freed last of those that contained `address`. For reports; O(1), eight steps.
    func latest(containing address: VirtualAddress) -> Area? {
        var index = next
        for _ in 0..<Self.capacity {
            index = (index &- 1) & (Self.capacity &- 1)
            if let area = areas[index], area.range.contains(address) { return area }
        }
        return nil
    }
}
