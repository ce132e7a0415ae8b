/// Records by address, none of which overlap: an AVL tree.
///
/// All walks follow parent links: no recursion, no stack beyond one frame. Height is at most 1.44 log2(n).
struct LeakTree {
    private(set) var root: LeakReference?
    private(set) var count = 0

    // MARK: Looking up

    /// The record whose memory contains `address`. - Complexity: O(log n).
    @inline(__always)
    func find(containing address: UInt) -> LeakReference? {
        var current = root
        while let reference = current {
            let offset = address &- reference.record.start
            if offset < reference.record.byteCount { return reference }
            current = address < reference.record.start ? reference.record.left : reference.record.right
        }
        return nil
    }

    /// The lowest record with a byte at or above `address`. - Complexity: O(log n).
    func first(from address: UInt) -> LeakReference? {
        var best: LeakReference?
        var current = root
        while let reference = current {
            if reference.record.start &+ (reference.record.byteCount &- 1) >= address {
                best = reference
                current = reference.record.left
            } else {
                current = reference.record.right
            }
        }
        return best
    }

    // MARK: Changing

    /// Adds a record that overlaps none of the tree. - Complexity: O(log n).
    mutating func insert(_ new: LeakReference) {
        count += 1
        guard var parent = root else {
            root = new
            return
        }
        while true {
            let isLeft = new.record.start < parent.record.start
            guard let child = isLeft ? parent.record.left : parent.record.right else {
                new.record.parent = parent
                if isLeft { parent.record.left = new } else { parent.record.right = new }
                break
            }
            parent = child
        }
        rebalance(from: parent)
    }

    /// Takes out a record of the tree. - Complexity: O(log n).
    mutating func remove(_ old: LeakReference) {
        count -= 1
        guard let left = old.record.left, let right = old.record.right else {
            let parent = old.record.parent
            replace(old, with: old.record.left ?? old.record.right)
            rebalance(from: parent)
            return
        }
        // The next record in address order, which has no left child, takes the place.
        let successor = Self.leftmost(right)
        var lowestChanged = successor
        if successor != right, let parent = successor.record.parent {
            lowestChanged = parent
            replace(successor, with: successor.record.right)
            successor.record.right = right
            right.record.parent = successor
        }
        successor.record.left = left
        left.record.parent = successor
        replace(old, with: successor)
        rebalance(from: lowestChanged)
    }

    /// Updates all that stands above a change, and turns what has lost its balance.
    private mutating func rebalance(from lowestChanged: LeakReference?) {
        var current = lowestChanged
        while let reference = current {
            reference.update()
            current = balanced(reference).record.parent
        }
    }

    /// - Returns: what stands in the place of `top` afterwards.
    private mutating func balanced(_ top: LeakReference) -> LeakReference {
        let balance = top.balance
        if balance > 1, let left = top.record.left {
            if left.balance < 0, let inner = left.record.right { rotate(left, under: inner) }
            if let newTop = top.record.left {
                rotate(top, under: newTop)
                return newTop
            }
        } else if balance < -1, let right = top.record.right {
            if right.balance > 0, let inner = right.record.left { rotate(right, under: inner) }
            if let newTop = top.record.right {
                rotate(top, under: newTop)
                return newTop
            }
        }
        return top
    }

    /// Turns `top` and its child `child` so that the child stands above; the address order stays.
    private mutating func rotate(_ top: LeakReference, under child: LeakReference) {
        replace(top, with: child)
        let inner: LeakReference?
        if top.record.left == child {
            inner = child.record.right
            top.record.left = inner
            child.record.right = top
        } else {
            inner = child.record.left
            top.record.right = inner
            child.record.left = top
        }
        inner?.record.parent = top
        top.record.parent = child
        top.update()
        child.update()
    }

    /// Puts `new` where `old` hangs; what hangs below either stays as it is.
    private mutating func replace(_ old: LeakReference, with new: LeakReference?) {
        let parent = old.record.parent
        new?.record.parent = parent
        guard let parent else {
            root = new
            return
        }
        if parent.record.left == old { parent.record.left = new } else { parent.record.right = new }
    }

    // MARK: In address order

    /// The next record in address order. - Complexity: O(log n), O(1) on average over a whole walk.
    static func next(after reference: LeakReference) -> LeakReference? {
        if let right = reference.record.right { return leftmost(right) }
        var child = reference
        while let parent = child.record.parent {
            if parent.record.left == child { return parent }
            child = parent
        }
        return nil
    }

    private static func leftmost(_ top: LeakReference) -> LeakReference {
        var current = top
        while let left = current.record.left { current = left }
        return current
    }
}
