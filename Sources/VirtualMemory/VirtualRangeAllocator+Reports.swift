import MemoryPrimitives
import PageFrames

/// For fatal reports.
extension VirtualRangeAllocator {
    /// The area that contains `address`, or else the nearest one. Waits for no lock.
    ///
    /// Where another CPU, or this one, holds the lock, the answer may miss an area that is changing just now.
    /// - Complexity: O(log n), at most 64 steps without the lock.
    public func nearestArea(to address: VirtualAddress) -> Area? {
        guard let interrupts = lock.tryAcquire() else { return nearestAreaUnlocked(to: address) }
        defer { lock.release(interrupts) }
        return nearestInUse(to: address)?.node.area
    }

    /// The nearest area in use. The lock is held. - Complexity: O(log n + ranges that rest or were retired).
    private func nearestInUse(to address: VirtualAddress) -> AreaReference? {
        guard let nearest = unlockedState.tree.nearest(to: address) else { return nil }
        // The head, which has none before it, is no area.
        var below: AreaReference? = nearest
        while let area = below, !area.node.area.state.isInUse || area.node.previous == nil || area.start > address {
            below = area.node.previous
        }
        var above: AreaReference? = nearest
        while let area = above, !area.node.area.state.isInUse || area.start <= address { above = area.node.next }
        guard let below else { return above }
        guard let above else { return below }
        if address < below.end { return below }
        return address.distance(from: below.end) < above.start.distance(from: address) ? below : above
    }

    /// Where `address` lies among the areas. Waits for no lock, as `nearestArea`.
    public func describe(_ address: VirtualAddress) -> AddressDescription {
        guard space.contains(address) else { return AddressDescription(.outsideSpace) }
        guard let area = nearestArea(to: address) else {
            if let area = freedArea(containing: address) { return AddressDescription(.freed, area) }
            return AddressDescription(.noAreas)
        }
        if !area.range.contains(address), let freed = freedArea(containing: address) {
            return AddressDescription(.freed, freed)
        }
        return AddressDescription(of: address, near: area)
    }

    private func freedArea(containing address: VirtualAddress) -> Area? {
        guard let interrupts = lock.tryAcquire() else { return nil }
        defer { lock.release(interrupts) }
        if let reference = unlockedState.tree.find(containing: address), !reference.node.area.state.isInUse {
            return reference.node.area
        }
        return unlockedState.freed.latest(containing: address)
    }

    /// `nearestArea` while others may change the tree, of the areas on the way to the address: each link is checked to lead
    /// to RAM before it is followed, and the number of steps is limited. What it answers may be out of date, and it ends.
    func nearestAreaUnlocked(to address: VirtualAddress) -> Area? {
        var best: Area?
        var bestDistance = UInt.max
        var current = unlockedState.tree.tree.root
        for _ in 0..<64 {
            guard let reference = current, isReadable(reference) else { break }
            let area = reference.node.area
            let isBelow = area.range.end <= address
            if area.range.contains(address) && area.state.isInUse { return area }
            let distance =
                isBelow ? address.rawValue &- area.range.end.rawValue : area.range.start.rawValue &- address.rawValue
            // The head is empty, and no area.
            if distance < bestDistance, !area.range.isEmpty, area.state.isInUse {
                best = area
                bestDistance = distance
            }
            current = isBelow ? reference.node.right : reference.node.left
        }
        return best
    }

    /// True when all of the node lies in frames that the direct map reaches.
    private func isReadable(_ reference: AreaReference) -> Bool {
        let address = unsafe VirtualAddress(reference.memory)
        let directMap = frames.value.directMap
        let first = directMap.physicalAddress(of: address)
        let last = PhysicalAddress(first.rawValue &+ UInt(MemoryLayout<AreaNode>.size &- 1))
        return address.isAligned(to: UInt(MemoryLayout<AreaNode>.alignment))
            && frames.value.state(of: PageFrameNumber(containing: first)) != .absent
            && frames.value.state(of: PageFrameNumber(containing: last)) != .absent
    }
}
