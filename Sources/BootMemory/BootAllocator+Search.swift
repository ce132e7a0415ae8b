import MemoryPrimitives

/// What is free: memory that is not reserved. Nothing of it is stored; both lists are searched each time.
extension BootAllocator {
    /// The first free range, or part of one, at or above `address`.
    /// - Complexity: O(log n), and the reservations passed over.
    func nextFreeRange(from address: PhysicalAddress) -> PhysicalRange? {
        if hasLostReservation { return nil }
        var cursor = address
        while true {
            let memoryIndex = memory.firstIndex(endingAfter: cursor)
            guard memoryIndex < memory.count else { return nil }
            let available = memory[memoryIndex].range
            let start = max(cursor, available.start)
            let reservedIndex = reserved.firstIndex(endingAfter: start)
            guard reservedIndex < reserved.count else { return PhysicalRange(start, available.end) }
            let taken = reserved[reservedIndex].range
            if taken.start > start { return PhysicalRange(start, min(available.end, taken.start)) }
            cursor = taken.end
        }
    }

    /// The last free range, or part of one, below `address`.
    /// - Complexity: O(log n), and the reservations passed over.
    func previousFreeRange(below address: PhysicalAddress) -> PhysicalRange? {
        if hasLostReservation { return nil }
        var cursor = address
        while true {
            guard let memoryIndex = memory.lastIndex(startingBelow: cursor) else { return nil }
            let available = memory[memoryIndex].range
            let end = min(cursor, available.end)
            guard let reservedIndex = reserved.lastIndex(startingBelow: end) else {
                return PhysicalRange(available.start, end)
            }
            let taken = reserved[reservedIndex].range
            if taken.end < end { return PhysicalRange(max(available.start, taken.end), end) }
            cursor = taken.start
        }
    }

    /// Where an allocation would go; see `allocate`.
    /// - Parameter avoiding: a range that is about to be recorded and must not be used.
    /// - Complexity: O(n log n).
    func findFree(
        byteCount: UInt, alignment: UInt, from: PhysicalAddress, below: PhysicalAddress, direction: Direction,
        avoiding: PhysicalRange?
    ) -> PhysicalRange? {
        guard byteCount > 0, alignment > 0, alignment & (alignment &- 1) == 0 else { return nil }
        // Address 0 stands for "none" in too many places to hand out its page.
        let low = max(from, PhysicalAddress(PageSize.byteCount))
        guard low < below else { return nil }
        switch direction {
        case .bottomUp:
            var cursor = low
            while let free = nextFreeRange(from: cursor), free.start < below {
                cursor = free.end
                var part = PhysicalRange(free.start, min(free.end, below))
                if let avoiding, let conflict = part.intersection(avoiding) {
                    // The piece below the conflict is tried now, the one above it in the next round.
                    cursor = conflict.end
                    part = PhysicalRange(part.start, conflict.start)
                }
                if let found = Self.lowestFit(byteCount, alignment, in: part) { return found }
            }
        case .topDown:
            var cursor = below
            while let free = previousFreeRange(below: cursor), free.end > low {
                cursor = free.start
                var part = PhysicalRange(max(free.start, low), free.end)
                if let avoiding, let conflict = part.intersection(avoiding) {
                    // The piece above the conflict is tried now, the one below it in the next round.
                    cursor = conflict.start
                    part = PhysicalRange(conflict.end, part.end)
                }
                if let found = Self.highestFit(byteCount, alignment, in: part) { return found }
            }
        }
        return nil
    }

    private static func lowestFit(_ byteCount: UInt, _ alignment: UInt, in range: PhysicalRange) -> PhysicalRange? {
        guard let start = range.start.roundedUp(to: alignment),
            let fit = PhysicalRange(start, byteCount: byteCount), fit.end <= range.end
        else { return nil }
        return fit
    }

    private static func highestFit(_ byteCount: UInt, _ alignment: UInt, in range: PhysicalRange) -> PhysicalRange? {
        guard byteCount <= range.byteCount else { return nil }
        let start = (range.end - byteCount).roundedDown(to: alignment)
        // No overflow: start + byteCount <= range.end.
        return start >= range.start ? PhysicalRange(start, start + byteCount) : nil
    }
}
