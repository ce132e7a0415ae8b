import MemoryPrimitives

extension VirtualRangeAllocator {
    /// Checks the tree (order, balance, gaps, no overlap), each area by itself, and the figures over all.
    /// - Throws: the first thing that is wrong. - Complexity: O(n), with the lock held. For tests and the monitor.
    public func checkInvariants() throws(InvariantViolation) {
        try lock.withLock { () throws(InvariantViolation) in
            try unlockedState.tree.checkInvariants(in: space)
            var sum = AreaStatistics()
            var resting = 0
            var retired = 0
            var current = unlockedState.tree.first
            while let reference = current {
                try Self.check(reference.node.area)
                if reference.node.area.state == .resting {
                    resting += 1
                } else if reference.node.area.state == .retired {
                    retired += 1
                    sum.retiredPages += reference.node.area.presentPages
                } else {
                    sum.areas += 1
                    sum.reservedPages += reference.node.area.reservedPages
                    sum.add(reference.node.area.presentPages, of: reference.node.area.kind)
                    if reference.node.area.isOnDemand && reference.node.area.state != .reserved {
                        sum.promisedFrames += reference.node.area.promisedFrames
                        sum.touchedPages += reference.node.area.presentPages
                    }
                }
                current = reference.node.next
            }
            let queued = try unlockedState.resting.checkInvariants()
            if resting != queued {
                throw InvariantViolation("what rests is in the tree", found: UInt(resting), expected: UInt(queued))
            }
            let waiting = try unlockedState.retired.checkInvariants() + unlockedState.areasBeingPurged
            if retired != waiting {
                throw InvariantViolation(
                    "what was retired is in the tree", found: UInt(retired), expected: UInt(waiting))
            }
            let figures = unlockedState.figures
            if sum != figures {
                throw InvariantViolation(
                    "the figures are the sums over all areas", found: sum.reservedPages ^ sum.presentPages,
                    expected: figures.reservedPages ^ figures.presentPages)
            }
        }
    }

    private static func check(_ area: Area) throws(InvariantViolation) {
        let address = area.range.start.rawValue
        if (area.range.start.rawValue | area.range.end.rawValue) & (PageSize.byteCount - 1) != 0 {
            throw InvariantViolation("an area is made of whole pages", at: address, found: area.range.end.rawValue)
        }
        let guards = (UInt(area.guardPagesBelow) + UInt(area.guardPagesAbove)) << PageSize.shift
        if area.range.byteCount <= guards {
            throw InvariantViolation(
                "an area has pages besides its guard pages", at: address, found: area.range.byteCount,
                expected: guards + PageSize.byteCount)
        }
        if area.presentPages > area.reservedPages {
            throw InvariantViolation(
                "an area has no more frames than pages", at: address, found: area.presentPages,
                expected: area.reservedPages)
        }
    }

    /// Calls `body` for each area in address order, with the lock held: for reports and tests; `body` must not touch
    /// memory that is mapped on demand, nor call the allocator.
    /// - Parameter includesRetired: whether those are visited that are no areas any more, but wait with their frames for a purge.
    /// - Throws: what `body` throws, which ends the walk.
    public func forEachArea<Failure: Error>(
        includesRetired: Bool = false, _ body: (Area) throws(Failure) -> Void
    ) throws(Failure) {
        try lock.withLock { () throws(Failure) in
            var current = unlockedState.tree.first
            while let reference = current {
                let state = reference.node.area.state
                if state.isInUse || state == .retired && includesRetired { try body(reference.node.area) }
                current = reference.node.next
            }
        }
    }
}
