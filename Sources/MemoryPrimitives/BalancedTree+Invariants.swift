extension BalancedTree {
    /// Checks order, links, balance and heights. What nodes know of their subtrees besides is theirs to check: `check` is
    /// called with each node, in address order.
    ///
    /// Trusts no link: a damaged tree ends in a finding, never in an endless walk.
    /// - Throws: the first thing that is wrong, and what `check` throws. - Complexity: O(n).
    public func checkInvariants(
        checking check: (Node) throws(InvariantViolation) -> Void
    ) throws(InvariantViolation) {
        if let root, let parent = root.parent {
            throw InvariantViolation("the root has no parent", at: root.firstByte, found: parent.firstByte)
        }
        var found = 0
        var previous: Node?
        var current = try checkedLeftmost(root)
        while let node = current {
            found += 1
            if found > count {
                throw InvariantViolation(
                    "the tree holds as many nodes as it counts", at: node.firstByte, found: UInt(found),
                    expected: UInt(count))
            }
            // An empty one may begin where the next does.
            if let previous, node.firstByte <= previous.lastByte {
                throw InvariantViolation(
                    "nodes are in address order and do not overlap", at: node.firstByte, found: previous.lastByte)
            }
            try Self.checkHeight(node)
            try check(node)
            previous = node
            current = try checkedNext(after: node)
        }
        if found != count {
            throw InvariantViolation(
                "the tree holds as many nodes as it counts", found: UInt(found), expected: UInt(count))
        }
    }

    private func checkedLeftmost(_ top: Node?) throws(InvariantViolation) -> Node? {
        guard var current = top else { return nil }
        for _ in 0..<count {
            guard let left = current.left else { return current }
            if left.parent != current { throw Self.linkViolation(at: left) }
            current = left
        }
        throw InvariantViolation("a way down ends", at: current.firstByte)
    }

    private func checkedNext(after node: Node) throws(InvariantViolation) -> Node? {
        if let right = node.right {
            if right.parent != node { throw Self.linkViolation(at: right) }
            return try checkedLeftmost(right)
        }
        var child = node
        for _ in 0..<count {
            guard let parent = child.parent else { return nil }
            if parent.left == child { return parent }
            if parent.right != child { throw Self.linkViolation(at: child) }
            child = parent
        }
        throw InvariantViolation("a way up ends", at: child.firstByte)
    }

    private static func linkViolation(at node: Node) -> InvariantViolation {
        InvariantViolation("a child's parent is the node that it hangs from", at: node.firstByte)
    }

    private static func checkHeight(_ node: Node) throws(InvariantViolation) {
        let left = node.left?.height ?? 0
        let right = node.right?.height ?? 0
        if abs(left - right) > 1 {
            throw InvariantViolation(
                "the heights of two siblings differ by at most one", at: node.firstByte, found: UInt(bitPattern: left),
                expected: UInt(bitPattern: right))
        }
        if node.height != max(left, right) + 1 {
            throw InvariantViolation(
                "a node's height is one above its higher child's", at: node.firstByte,
                found: UInt(bitPattern: node.height), expected: UInt(bitPattern: max(left, right) + 1))
        }
    }
}
