import MemoryPrimitives

/// Areas in address order: an AVL tree that also knows, for each subtree, its extent and its largest gap.
///
/// The gaps need no nodes of their own: a free range is what lies between two neighbours, so that freeing an area
/// joins the gaps on both sides without further work. All walks follow parent links: no recursion, no stack beyond one
/// frame. Height is at most 1.44 log2(n): 30 for a million areas.
struct AreaTree {
    private(set) var root: AreaReference?
    private(set) var count = 0

    // MARK: Looking up

    /// The area whose range (guard pages included) contains `address`. Complexity: O(log n).
    func find(containing address: VirtualAddress) -> AreaReference? {
        var current = root
        while let reference = current {
            if address < reference.start {
                current = reference.node.left
            } else if address < reference.end {
                return reference
            } else {
                current = reference.node.right
            }
        }
        return nil
    }

    /// The area that contains `address`, or else the one with the fewest bytes between them, the lower of two equally
    /// near. Complexity: O(log n).
    func nearest(to address: VirtualAddress) -> AreaReference? {
        var below: AreaReference?
        var above: AreaReference?
        var current = root
        while let reference = current {
            if address < reference.start {
                above = reference
                current = reference.node.left
            } else if address < reference.end {
                return reference
            } else {
                below = reference
                current = reference.node.right
            }
        }
        guard let below else { return above }
        guard let above else { return below }
        let distanceBelow = address.distance(from: below.end)
        return distanceBelow < above.start.distance(from: address) ? below : above
    }

    /// The start of the lowest free run of at least `byteCount` bytes within `space`. Complexity: O(log n).
    func lowestGap(of byteCount: UInt, in space: VirtualRange) -> VirtualAddress? {
        guard let root else { return byteCount <= space.byteCount ? space.start : nil }
        if root.node.subtreeStart.distance(from: space.start) >= byteCount { return space.start }
        if root.node.largestGap >= byteCount { return lowestInnerGap(of: byteCount, below: root) }
        if space.end.distance(from: root.node.subtreeEnd) >= byteCount { return root.node.subtreeEnd }
        return nil
    }

    /// As `lowestGap`, between areas of a subtree that has such a gap: its left side, beside its top, its right side.
    private func lowestInnerGap(of byteCount: UInt, below top: AreaReference) -> VirtualAddress? {
        var current = top
        while true {
            if let left = current.node.left {
                if left.node.largestGap >= byteCount {
                    current = left
                    continue
                }
                let gapStart = left.node.subtreeEnd
                if current.start.distance(from: gapStart) >= byteCount { return gapStart }
            }
            guard let right = current.node.right else { return nil }
            if right.node.subtreeStart.distance(from: current.end) >= byteCount { return current.end }
            current = right
        }
    }

    // MARK: Changing

    /// Adds a node whose range overlaps no area of the tree. Complexity: O(log n).
    mutating func insert(_ new: AreaReference) {
        count += 1
        guard var parent = root else {
            root = new
            return
        }
        while true {
            let isLeft = new.start < parent.start
            guard let child = isLeft ? parent.node.left : parent.node.right else {
                new.node.parent = parent
                if isLeft { parent.node.left = new } else { parent.node.right = new }
                break
            }
            parent = child
        }
        rebalance(from: parent)
    }

    /// Takes out a node of the tree. Complexity: O(log n).
    mutating func remove(_ old: AreaReference) {
        count -= 1
        guard let left = old.node.left, let right = old.node.right else {
            let parent = old.node.parent
            replace(old, with: old.node.left ?? old.node.right)
            rebalance(from: parent)
            return
        }
        // The next area in address order, which has no left child, takes the place.
        let successor = Self.leftmost(right)
        var lowestChanged = successor
        if successor != right, let parent = successor.node.parent {
            lowestChanged = parent
            replace(successor, with: successor.node.right)
            successor.node.right = right
            right.node.parent = successor
        }
        successor.node.left = left
        left.node.parent = successor
        replace(old, with: successor)
        rebalance(from: lowestChanged)
    }

    /// Updates all that stands above a change, and turns what has lost its balance.
    private mutating func rebalance(from lowestChanged: AreaReference?) {
        var current = lowestChanged
        while let reference = current {
            reference.update()
            current = balanced(reference).node.parent
        }
    }

    /// - Returns: what stands in the place of `top` afterwards.
    private mutating func balanced(_ top: AreaReference) -> AreaReference {
        let balance = top.balance
        if balance > 1, let left = top.node.left {
            if left.balance < 0, let inner = left.node.right { rotate(left, under: inner) }
            if let newTop = top.node.left {
                rotate(top, under: newTop)
                return newTop
            }
        } else if balance < -1, let right = top.node.right {
            if right.balance > 0, let inner = right.node.left { rotate(right, under: inner) }
            if let newTop = top.node.right {
                rotate(top, under: newTop)
                return newTop
            }
        }
        return top
    }

    /// Turns `top` and its child `child` so that the child stands above; the address order stays.
    private mutating func rotate(_ top: AreaReference, under child: AreaReference) {
        replace(top, with: child)
        let inner: AreaReference?
        if top.node.left == child {
            inner = child.node.right
            top.node.left = inner
            child.node.right = top
        } else {
            inner = child.node.left
            top.node.right = inner
            child.node.left = top
        }
        inner?.node.parent = top
        top.node.parent = child
        top.update()
        child.update()
    }

    /// Puts `new` where `old` hangs; what hangs below either stays as it is.
    private mutating func replace(_ old: AreaReference, with new: AreaReference?) {
        let parent = old.node.parent
        new?.node.parent = parent
        guard let parent else {
            root = new
            return
        }
        if parent.node.left == old { parent.node.left = new } else { parent.node.right = new }
    }

    // MARK: In address order

    var first: AreaReference? {
        guard let root else { return nil }
        return Self.leftmost(root)
    }

    /// The next area in address order. Complexity: O(log n), O(1) on average over a whole walk.
    static func next(after reference: AreaReference) -> AreaReference? {
        if let right = reference.node.right { return leftmost(right) }
        var child = reference
        while let parent = child.node.parent {
            if parent.node.left == child { return parent }
            child = parent
        }
        return nil
    }

    private static func leftmost(_ top: AreaReference) -> AreaReference {
        var current = top
        while let left = current.node.left { current = left }
        return current
    }
}
