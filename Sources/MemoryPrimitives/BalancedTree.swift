/// A node of a `BalancedTree`, by its place in memory: whatever holds the node's values, a tree stores nothing besides.
///
/// A conforming type is a reference: to set `left` changes the node, for everybody who refers to it.
public protocol BalancedTreeNode: Equatable {
    /// The first and the last byte of what the node stands for; no two nodes of a tree have a byte in common. An empty
    /// one, whose last byte is before its first, is passed by when a byte is sought.
    var firstByte: UInt { get }
    /// The last byte; see `firstByte`.
    var lastByte: UInt { get }

    /// The node above; nil at the root and in a node that is in no tree. The tree writes it.
    var parent: Self? { get nonmutating set }
    /// The subtree of smaller addresses. The tree writes it.
    var left: Self? { get nonmutating set }
    /// The subtree of larger addresses. The tree writes it.
    var right: Self? { get nonmutating set }
    /// Nodes on the longest way down from here, this one included; 1 for a node that is in no tree yet.
    var height: Int { get nonmutating set }

    /// Derives from the children, which are right already, what the node knows of its subtree besides the height. Called
    /// where the tree turns, which changes who is below whom.
    func updateSummary()
}

extension BalancedTreeNode {
    /// Does nothing: a node without a summary needs nothing else.
    @inline(__always)
    public func updateSummary() {}
}

/// Ranges in address order, none of which overlap: an AVL tree of nodes that live elsewhere.
///
/// A node may keep a summary of its subtree. The tree derives it anew where it turns; what a node that comes or goes means
/// for those above, its owner brings up to date between `link` or `unlink` and `rebalance`. All walks follow parent links:
/// no recursion, no stack beyond one frame. Height is at most 1.44 log2(n): 30 for a million nodes.
public struct BalancedTree<Node: BalancedTreeNode> {
    /// The topmost node; nil where the tree is empty.
    public private(set) var root: Node?
    /// The number of nodes.
    public private(set) var count = 0

    /// An empty tree.
    @inline(__always)
    public init() {}

    // MARK: Looking up

    /// The node that `address` lies in. - Complexity: O(log n).
    @inline(__always)
    public func find(containing address: UInt) -> Node? {
        guard let node = last(upTo: address), address <= node.lastByte else { return nil }
        return node
    }

    /// The lowest node with a byte at or above `address`. - Complexity: O(log n).
    public func first(from address: UInt) -> Node? {
        var best: Node?
        var current = root
        while let node = current {
            if node.lastByte >= address {
                best = node
                current = node.left
            } else {
                current = node.right
            }
        }
        return best
    }

    /// The highest node whose first byte is at or below `address`. - Complexity: O(log n).
    @inline(__always)
    public func last(upTo address: UInt) -> Node? {
        var best: Node?
        guard var node = root else { return nil }
        while true {
            if address < node.firstByte {
                guard let left = node.left else { return best }
                node = left
            } else {
                guard let right = node.right else { return node }
                best = node
                node = right
            }
        }
    }

    /// The next node in address order. - Complexity: O(log n), O(1) on average over a whole walk.
    public static func next(after node: Node) -> Node? {
        if let right = node.right { return leftmost(right) }
        var child = node
        while let parent = child.parent {
            if parent.left == child { return parent }
            child = parent
        }
        return nil
    }

    private static func leftmost(_ top: Node) -> Node {
        var current = top
        while let left = current.left { current = left }
        return current
    }

    @inline(__always)
    private static func rightmost(_ top: Node) -> Node {
        var current = top
        while let right = current.right { current = right }
        return current
    }

    // MARK: Adding

    /// Adds a node that overlaps none of the tree. - Complexity: O(log n).
    public mutating func insert(_ new: Node) {
        guard var parent = root else { return hang(new, below: nil, isLeft: false) }
        while true {
            let isLeft = new.firstByte < parent.firstByte
            guard let child = isLeft ? parent.left : parent.right else {
                hang(new, below: parent, isLeft: isLeft)
                return rebalance(from: parent)
            }
            parent = child
        }
    }

    /// Adds a node between two that follow each other, `next` being nil where `previous` is the last one. `rebalance(from:)`
    /// is to be called with the new node's parent. - Complexity: O(1).
    @inline(__always)
    public mutating func link(_ new: Node, after previous: Node, before next: Node?) {
        // One of the two has room on the side that faces the other: the lower of them in the tree.
        if let next, previous.right != nil {
            hang(new, below: next, isLeft: true)
        } else {
            hang(new, below: previous, isLeft: false)
        }
    }

    @inline(__always)
    private mutating func hang(_ new: Node, below parent: Node?, isLeft: Bool) {
        count &+= 1
        new.parent = parent
        new.left = nil
        new.right = nil
        new.height = 1
        guard let parent else {
            root = new
            return
        }
        if isLeft { parent.left = new } else { parent.right = new }
    }

    // MARK: Removing

    /// Takes out a node of the tree. - Complexity: O(log n).
    public mutating func remove(_ old: Node) { rebalance(from: unlink(old)) }

    /// Takes out a node. Where it has a left child, the node before it in address order takes its place; else its right
    /// child does.
    /// - Returns: what `rebalance(from:)` is to be called with. - Complexity: O(log n).
    @inline(__always)
    public mutating func unlink(_ old: Node) -> Node? {
        count &-= 1
        guard let left = old.left else {
            replace(old, with: old.right)
            return old.parent
        }
        let previous = Self.rightmost(left)
        var lowestChanged = previous
        if previous != left, let parent = previous.parent {
            lowestChanged = parent
            replace(previous, with: previous.left)
            previous.left = left
            left.parent = previous
        }
        let right = old.right
        previous.right = right
        right?.parent = previous
        previous.height = old.height
        replace(old, with: previous)
        return lowestChanged
    }

    // MARK: Balance

    /// Brings heights up to date from a node whose children have changed, as far up as that makes a difference, and turns
    /// what has lost its balance. - Complexity: O(log n), O(1) on average.
    @inline(__always)
    public mutating func rebalance(from lowestChanged: Node?) {
        var current = lowestChanged
        while let node = current {
            let left = node.left?.height ?? 0
            let right = node.right?.height ?? 0
            let difference = left &- right
            if difference.magnitude > 1 {
                let height = node.height
                let top = turned(node, leftIsHigher: difference > 0)
                if top.height == height { return }
                current = top.parent
                continue
            }
            let height = max(left, right) &+ 1
            if height == node.height { return }
            node.height = height
            current = node.parent
        }
    }

    /// - Returns: what stands in the place of `top` afterwards.
    @inline(never)
    private mutating func turned(_ top: Node, leftIsHigher: Bool) -> Node {
        guard let high = leftIsHigher ? top.left : top.right else { return top }
        let inner = leftIsHigher ? high.right : high.left
        let outer = leftIsHigher ? high.left : high.right
        guard let inner, inner.height > outer?.height ?? 0 else {
            rotate(top, under: high)
            return high
        }
        rotate(high, under: inner)
        rotate(top, under: inner)
        return inner
    }

    /// Turns `top` and its child `child` so that the child stands above; the address order stays.
    private mutating func rotate(_ top: Node, under child: Node) {
        replace(top, with: child)
        let inner: Node?
        if top.left == child {
            inner = child.right
            top.left = inner
            child.right = top
        } else {
            inner = child.left
            top.right = inner
            child.left = top
        }
        inner?.parent = top
        top.parent = child
        Self.derive(top)
        Self.derive(child)
    }

    private static func derive(_ node: Node) {
        node.height = max(node.left?.height ?? 0, node.right?.height ?? 0) &+ 1
        node.updateSummary()
    }

    /// Puts `new` where `old` hangs; what hangs below either stays as it is.
    @inline(__always)
    private mutating func replace(_ old: Node, with new: Node?) {
        let parent = old.parent
        new?.parent = parent
        guard let parent else {
            root = new
            return
        }
        if parent.left == old { parent.left = new } else { parent.right = new }
    }
}
