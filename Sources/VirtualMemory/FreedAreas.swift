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
    @inline(never)
    mutating func latest(containing address: VirtualAddress) -> Area? {
        // By address: an inline array copies itself for an index that is not constant, and reports have little stack left.
        unsafe withUnsafeMutablePointer(to: &areas) { pointer in
            // An array of so many lies at its start.
            let first = unsafe UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Area?.self)
            var index = next
            for _ in 0..<Self.capacity {
                index = (index &- 1) & (Self.capacity &- 1)
                // Within the array by the mask.
                if let range = unsafe first[index]?.range, range.contains(address) { return unsafe first[index] }
            }
            return nil
        }
    }
}
