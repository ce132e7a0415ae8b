import MemoryPrimitives

extension AreaTree {
    /// Checks order, links, balance, and what each node knows of its neighbours and its subtree. Complexity: O(n).
    func checkInvariants(in space: VirtualRange) throws(InvariantViolation) {
        var last: AreaReference?
        try tree.checkInvariants { reference throws(InvariantViolation) in
            if reference.node.previous != last || (last.map { $0.node.next != reference } ?? false) {
                throw InvariantViolation("the list is in the order of the tree", at: reference.start.rawValue)
            }
            if let last { try Self.checkGap(after: last, upTo: reference.start) }
            try Self.checkLargestGap(reference)
            if last == nil && (reference.start != space.start || reference.end != space.start) {
                throw InvariantViolation("the head stands at the start of the space", at: reference.start.rawValue)
            }
            last = reference
        }
        guard let last else { throw InvariantViolation("there is a head") }
        if last.node.next != nil {
            throw InvariantViolation("the list is in the order of the tree", at: last.start.rawValue)
        }
        if last.end > space.end {
            throw InvariantViolation(
                "areas lie within the space", found: last.end.rawValue, expected: space.end.rawValue)
        }
        try Self.checkGap(after: last, upTo: space.end)
    }

    private static func checkGap(
        after reference: AreaReference, upTo end: VirtualAddress
    ) throws(InvariantViolation) {
        if reference.end.rawValue &+ reference.node.gap != end.rawValue {
            throw InvariantViolation(
                "an area knows the gap after it", at: reference.start.rawValue, found: reference.node.gap,
                expected: end.rawValue &- reference.end.rawValue)
        }
    }

    private static func checkLargestGap(_ reference: AreaReference) throws(InvariantViolation) {
        let node = reference.node
        let gap = max(node.gap, node.left?.node.largestGap ?? 0, node.right?.node.largestGap ?? 0)
        if node.largestGap != gap {
            throw InvariantViolation(
                "a subtree knows its largest gap", at: reference.start.rawValue, found: node.largestGap, expected: gap)
        }
    }
}
