import MemoryPrimitives

/// What is free: memory that is not reserved. Nothing of it is stored; both lists are searched each time.
extension BootAllocator {
    /// The first free range, or part of one, at or above `address`.
    /// - Parameter node: the node to stay on; nil for all. A range never spans two.
    /// - Complexity: O(log n), and the ranges passed over.
    func nextFreeRange(from address: PhysicalAddress, on node: MemoryNode? = nil) -> PhysicalRange? {
        if hasLostReservation { return nil }
        var cursor = address
        while true {
            let memoryIndex = memory.firstIndex(endingAfter: cursor)
            guard memoryIndex < memory.count else { return nil }
            let available = memory[memoryIndex].range
            if node != nil && memory[memoryIndex].node != node {
                cursor = available.end
                continue
            }
            let start = max(cursor, available.start)
            let reservedIndex = reserved.firstIndex(endingAfter: start)
            guard reservedIndex < reserved.count else { return PhysicalRange(start, available.end) }
            let taken = reserved[reservedIndex].range
            if taken.start > start { return PhysicalRange(start, min(available.end, taken.start)) }
            cursor = taken.end
        }
    }

    /// The last free range, or part of one, below `address`.
    /// - Parameter node: the node to stay on; nil for all. A range never spans two.
    /// - Complexity: O(log n), and the ranges passed over.
    func previousFreeRange(below address: PhysicalAddress, on node: MemoryNode? = nil) -> PhysicalRange? {
        if hasLostReservation { return nil }
        var cursor = address
        while true {
            guard let memoryIndex = memory.lastIndex(startingBelow: cursor) else { return nil }
            let available = memory[memoryIndex].range
            if node != nil && memory[memoryIndex].node != node {
                cursor = available.start
                continue
            }
            let end = min(cursor, available.end)
            guard let reservedIndex = reserved.lastIndex(startingBelow: end) else {
                return PhysicalRange(available.start, end)
            }
            let taken = reserved[reservedIndex].range
            if taken.end < end { return PhysicalRange(max(available.start, taken.end), end) }
            cursor = taken.start
        }
    }

    /// Where an allocation would go: the node first, then, as far as `options` allow, other nodes, then both again below
    /// the lower limit.
    /// - Complexity: O(n log n).
    func findFree(_ request: PlacementRequest, _ options: PlacementOptions) -> PhysicalRange? {
        if let range = findFreePreferringNode(request, options) { return range }
        guard options.contains(.mayLieBelowLowerLimit), request.from > .zero else { return nil }
        var lower = request
        lower.from = .zero
        return findFreePreferringNode(lower, options)
    }

    private func findFreePreferringNode(_ request: PlacementRequest, _ options: PlacementOptions) -> PhysicalRange? {
        if let range = findFree(request) { return range }
        if request.node == nil || options.contains(.exactNode) { return nil }
        var anywhere = request
        anywhere.node = nil
        return findFree(anywhere)
    }

    /// The place for exactly this request.
    func findFree(_ request: PlacementRequest) -> PhysicalRange? {
        let alignment = request.alignment
        guard request.byteCount > 0, alignment > 0, alignment & (alignment &- 1) == 0 else { return nil }
        // Address 0 stands for "none" in too many places to hand out its page.
        let low = max(request.from, PhysicalAddress(PageSize.byteCount))
        guard low < request.below else { return nil }
        return request.direction == .bottomUp ? lowestPlace(request, low) : highestPlace(request, low)
    }

    private func lowestPlace(_ request: PlacementRequest, _ low: PhysicalAddress) -> PhysicalRange? {
        var cursor = low
        while let free = nextFreeRange(from: cursor, on: request.node), free.start < request.below {
            cursor = free.end
            var part = PhysicalRange(free.start, min(free.end, request.below))
            if let avoiding = request.avoiding, let conflict = part.intersection(avoiding) {
                // The piece below the conflict is tried now, the one above it in the next round.
                cursor = conflict.end
                part = PhysicalRange(part.start, conflict.start)
            }
            if let start = part.start.roundedUp(to: request.alignment),
                let fit = PhysicalRange(start, byteCount: request.byteCount), fit.end <= part.end
            {
                return fit
            }
        }
        return nil
    }

    private func highestPlace(_ request: PlacementRequest, _ low: PhysicalAddress) -> PhysicalRange? {
        var cursor = request.below
        while let free = previousFreeRange(below: cursor, on: request.node), free.end > low {
            cursor = free.start
            var part = PhysicalRange(max(free.start, low), free.end)
            if let avoiding = request.avoiding, let conflict = part.intersection(avoiding) {
                // The piece above the conflict is tried now, the one below it in the next round.
                cursor = conflict.start
                part = PhysicalRange(conflict.end, part.end)
            }
            guard request.byteCount <= part.byteCount else { continue }
            let start = (part.end - request.byteCount).roundedDown(to: request.alignment)
            // No overflow: start + byteCount <= part.end.
            if start >= part.start { return PhysicalRange(start, start + request.byteCount) }
        }
        return nil
    }
}
