import MemoryPrimitives

/// Areas in address order, as a list and as a balanced tree that also knows the largest gap of each subtree.
///
/// Free ranges need no nodes of their own: each area knows the gap after it, so that to free an area is to add its range
/// and its gap to the gap before. What is free below the first area is the gap of the **head**, an empty area that stands
/// at the start of the space for ever.
struct AreaTree {
    private(set) var tree = BalancedTree<AreaReference>()
    let head: AreaReference

    /// - Parameters:
    ///   - space: where the areas lie; not at address 0.
    ///   - head: an area of no bytes at the start of the space, in no tree.
    init(space: VirtualRange, head: AreaReference) {
        self.head = head
        head.node.gap = space.byteCount
        head.node.largestGap = space.byteCount
        tree.insert(head)
    }

    /// The areas; the head is none.
    var count: Int { tree.count - 1 }

    // MARK: Looking up

    /// The area whose range (guard pages included) contains `address`. Complexity: O(log n).
    @inline(__always)
    func find(containing address: VirtualAddress) -> AreaReference? { tree.find(containing: address.rawValue) }

    /// The area that contains `address`, or else the one with the fewest bytes between them, the lower of two equally
    /// near. Complexity: O(log n).
    func nearest(to address: VirtualAddress) -> AreaReference? {
        guard let below = tree.last(upTo: address.rawValue), below != head else { return first }
        guard address >= below.end, let above = below.node.next else { return below }
        let distanceBelow = address.distance(from: below.end)
        return distanceBelow < above.start.distance(from: address) ? below : above
    }

    /// The area after which the lowest gap comes that has `byteCount` bytes at or above `lowest`; the head for the gap at
    /// the start of the space. Complexity: O(log n).
    @inline(__always)
    func areaBeforeGap(of byteCount: UInt, from lowest: VirtualAddress) -> AreaReference? {
        if lowest > head.start { return areaBeforeGap(of: byteCount, above: lowest) }
        guard let root = tree.root, root.node.largestGap >= byteCount else { return nil }
        return Self.areaBeforeGap(of: byteCount, in: root)
    }

    /// As above, in a subtree that has such a gap: its left side, after its top, its right side.
    @inline(__always)
    private static func areaBeforeGap(of byteCount: UInt, in top: AreaReference) -> AreaReference? {
        var current = top
        while true {
            if let left = current.node.left, left.node.largestGap >= byteCount {
                current = left
                continue
            }
            if current.node.gap >= byteCount { return current }
            guard let right = current.node.right else { return nil }
            current = right
        }
    }

    /// As above, from an address in the middle of the space on: the gap that it lies in, then those after it.
    private func areaBeforeGap(of byteCount: UInt, above lowest: VirtualAddress) -> AreaReference? {
        guard let around = tree.last(upTo: lowest.rawValue) else { return nil }
        let gapEnd = around.end + around.node.gap
        if max(around.end, lowest) <= gapEnd, gapEnd.distance(from: max(around.end, lowest)) >= byteCount {
            return around
        }
        // Up from there: what is to the right of each node on the way comes after it.
        var current = around
        while true {
            if let right = current.node.right, right.node.largestGap >= byteCount {
                return Self.areaBeforeGap(of: byteCount, in: right)
            }
            // Up to the next node in address order that is not below this one.
            var child = current
            while let parent = child.node.parent, parent.node.right == child { child = parent }
            guard let parent = child.node.parent else { return nil }
            if parent.node.gap >= byteCount { return parent }
            current = parent
        }
    }

    // MARK: Changing

    /// Adds an area that lies in the gap after `previous`. Complexity: O(log n).
    @inline(__always)
    mutating func insert(_ new: AreaReference, after previous: AreaReference) {
        let next = previous.node.next
        new.node.previous = previous
        new.node.next = next
        previous.node.next = new
        next?.node.previous = new
        tree.link(new, after: previous, before: next)
        let parent = new.node.parent

        let gap = previous.node.gap
        let before = new.start.rawValue &- previous.end.rawValue
        let after = gap &- before &- new.node.area.range.byteCount
        new.node.gap = after
        new.node.largestGap = after
        // `previous` stands above, and knew of a larger gap than what is left of it.
        Self.raise(parent, to: after)
        previous.node.gap = before
        Self.lower(previous, from: gap)
        tree.rebalance(from: parent)
    }

    /// Takes out an area. Complexity: O(log n).
    @inline(__always)
    mutating func remove(_ old: AreaReference) {
        // Only the head has nothing before it.
        guard let previous = old.node.previous else { return }
        let next = old.node.next
        previous.node.next = next
        next?.node.previous = previous

        let gap = previous.node.gap
        let joined = gap &+ old.node.area.range.byteCount &+ old.node.gap
        let lowestChanged: AreaReference?
        if old.node.left != nil {
            // `previous` is below, and will stand in this place: its gap leaves the nodes between.
            previous.node.gap = 0
            Self.lower(previous, from: gap)
            lowestChanged = tree.unlink(old)
            previous.node.gap = joined
            previous.node.largestGap = previous.largestGapBelow
            Self.raise(previous.node.parent, to: joined)
        } else {
            // `previous` stands above: from there on up the joined gap outdoes the one that goes.
            previous.node.gap = joined
            Self.raise(previous, to: joined)
            let gone = old.node.gap
            old.node.gap = 0
            Self.lower(old, from: gone)
            lowestChanged = tree.unlink(old)
        }
        tree.rebalance(from: lowestChanged)
    }

    /// Makes known, from `node` up, that there is a gap of `byteCount`. Complexity: O(log n).
    @inline(__always)
    private static func raise(_ node: AreaReference?, to byteCount: UInt) {
        var current = node
        while let reference = current, reference.node.largestGap < byteCount {
            reference.node.largestGap = byteCount
            current = reference.node.parent
        }
    }

    /// Makes known, from `node` up, that there is a gap of `byteCount` less. Complexity: O(log n).
    @inline(__always)
    private static func lower(_ node: AreaReference, from byteCount: UInt) {
        var current: AreaReference? = node
        while let reference = current, reference.node.largestGap == byteCount {
            let largest = reference.largestGapBelow
            if largest == byteCount { return }
            reference.node.largestGap = largest
            current = reference.node.parent
        }
    }

    // MARK: In address order

    var first: AreaReference? { head.node.next }
}
