import MemoryPrimitives

extension AreaTree {
    /// Checks order, links, balance and what each node knows of its subtree. Complexity: O(n).
    func checkInvariants(in space: VirtualRange) throws(InvariantViolation) {
        if let root, let parent = root.node.parent {
            throw InvariantViolation("the root has no parent", at: root.start.rawValue, found: parent.start.rawValue)
        }
        var found = 0
        var lowestFree = space.start
        var current = try checkedLeftmost(root)
        while let reference = current {
            found += 1
            let address = reference.start.rawValue
            if found > count {
                throw InvariantViolation(
                    "the tree holds as many areas as it counts", at: address, found: UInt(found),
                    expected: UInt(count))
            }
            if reference.start < lowestFree {
                throw InvariantViolation(
                    "areas are in address order and do not overlap", at: address, found: address,
                    expected: lowestFree.rawValue)
            }
            try Self.checkNode(reference)
            lowestFree = reference.end
            current = try checkedNext(after: reference)
        }
        if lowestFree > space.end {
            throw InvariantViolation(
                "areas lie within the space", found: lowestFree.rawValue, expected: space.end.rawValue)
        }
        if found != count {
            throw InvariantViolation(
                "the tree holds as many areas as it counts", found: UInt(found), expected: UInt(count))
        }
    }

    // The walk trusts no link: a damaged tree must end in a finding, never in an endless walk.

    private func checkedLeftmost(_ top: AreaReference?) throws(InvariantViolation) -> AreaReference? {
        guard var current = top else { return nil }
        for _ in 0..<count {
            guard let left = current.node.left else { return current }
            if left.node.parent != current { throw Self.linkViolation(at: left) }
            current = left
        }
        throw InvariantViolation("a way down ends", at: current.start.rawValue)
    }

    private func checkedNext(after reference: AreaReference) throws(InvariantViolation) -> AreaReference? {
        if let right = reference.node.right {
            if right.node.parent != reference { throw Self.linkViolation(at: right) }
            return try checkedLeftmost(right)
        }
        var child = reference
        for _ in 0..<count {
            guard let parent = child.node.parent else { return nil }
            if parent.node.left == child { return parent }
            if parent.node.right != child { throw Self.linkViolation(at: child) }
            child = parent
        }
        throw InvariantViolation("a way up ends", at: child.start.rawValue)
    }

    private static func linkViolation(at reference: AreaReference) -> InvariantViolation {
        InvariantViolation("a child's parent is the node that it hangs from", at: reference.start.rawValue)
    }

    private static func checkNode(_ reference: AreaReference) throws(InvariantViolation) {
        let node = reference.node
        let address = reference.start.rawValue
        if (node.left.map { $0.end > reference.start } ?? false)
            || (node.right.map { $0.start < reference.end } ?? false)
        {
            throw InvariantViolation("the left child lies below, the right one above", at: address)
        }
        let leftHeight = node.left?.node.height ?? 0
        let rightHeight = node.right?.node.height ?? 0
        if abs(leftHeight - rightHeight) > 1 {
            throw InvariantViolation(
                "the heights of two siblings differ by at most one", at: address, found: UInt(leftHeight),
                expected: UInt(rightHeight))
        }
        if node.height != max(leftHeight, rightHeight) + 1 {
            throw InvariantViolation(
                "a node's height is one above its higher child's", at: address, found: UInt(node.height),
                expected: UInt(max(leftHeight, rightHeight) + 1))
        }
        let lowest = node.left?.node.subtreeStart ?? reference.start
        if node.subtreeStart != lowest {
            throw InvariantViolation(
                "a subtree starts where its lowest area does", at: address, found: node.subtreeStart.rawValue,
                expected: lowest.rawValue)
        }
        let highest = node.right?.node.subtreeEnd ?? reference.end
        if node.subtreeEnd != highest {
            throw InvariantViolation(
                "a subtree ends where its highest area does", at: address, found: node.subtreeEnd.rawValue,
                expected: highest.rawValue)
        }
        try checkGap(reference)
    }

    private static func checkGap(_ reference: AreaReference) throws(InvariantViolation) {
        let node = reference.node
        var gap: UInt = 0
        if let left = node.left?.node {
            gap = max(left.largestGap, reference.start.distance(from: left.subtreeEnd))
        }
        if let right = node.right?.node {
            gap = max(gap, right.largestGap, right.subtreeStart.distance(from: reference.end))
        }
        if node.largestGap != gap {
            throw InvariantViolation(
                "a subtree knows its largest gap", at: reference.start.rawValue, found: node.largestGap, expected: gap)
        }
    }
}
