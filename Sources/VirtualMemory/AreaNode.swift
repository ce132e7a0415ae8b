import MemoryPrimitives

/// An area in the tree, with what the tree knows of it and of the areas below it.
struct AreaNode {
    var area: Area
    var parent: AreaReference?
    var left: AreaReference?
    var right: AreaReference?
    /// Nodes on the longest way down from here, this one included.
    var height = 1
    /// The areas before and after this one in address order.
    var previous: AreaReference?
    var next: AreaReference?
    /// The next of those that rest and are as large, or that were retired; see `RestingAreas` and `RetiredAreas`.
    var nextResting: AreaReference?
    /// Free bytes between the end of this area and the next one, or the end of the space.
    var gap: UInt = 0
    /// The largest gap after an area of this subtree.
    var largestGap: UInt = 0

    init(_ area: Area) { self.area = area }
}

/// A node of the tree by its place in memory.
///
/// Whoever holds one holds the allocator's lock, under which a node that the tree reaches is never given back; or is
/// setting the area up or taking it apart, and it is his to give back. The fatal report's walk, which has no lock,
/// checks each reference before it looks through it.
@safe
struct AreaReference: Equatable, @unchecked Sendable {
    private let pointer: UnsafeMutablePointer<AreaNode>

    /// Makes the node of `area` in `memory`, which is the node's until `memory` is asked for again.
    @unsafe
    @inline(__always)
    init(_ area: Area, in memory: UnsafeMutableRawPointer) {
        unsafe pointer = memory.bindMemory(to: AreaNode.self, capacity: 1)
        unsafe pointer.initialize(to: AreaNode(area))
    }

    /// The node that was noted down by the address of its memory; nil for 0.
    @unsafe
    @inline(__always)
    init?(noteAt address: UInt) {
        guard let node = unsafe UnsafeMutablePointer<AreaNode>(bitPattern: address) else { return nil }
        unsafe pointer = node
    }

    /// The node's memory, to be given back once the tree no longer holds it.
    var memory: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(pointer) }

    var node: AreaNode {
        @inline(__always)
        unsafeAddress { unsafe UnsafePointer(pointer) }  // A node lives as long as the tree reaches it.
        @inline(__always)
        nonmutating unsafeMutableAddress { unsafe pointer }  // As above, and the lock makes this the only writer.
    }

    @inline(__always)
    static func == (one: AreaReference, other: AreaReference) -> Bool { unsafe one.pointer == other.pointer }

    @inline(__always)
    var start: VirtualAddress { node.area.range.start }

    @inline(__always)
    var end: VirtualAddress { node.area.range.end }
}

extension AreaReference: BalancedTreeNode {
    @inline(__always)
    var firstByte: UInt { start.rawValue }

    // Areas lie above the first page; and the head of the list, which is empty, ends before it begins.
    @inline(__always)
    var lastByte: UInt { end.rawValue &- 1 }

    var parent: AreaReference? {
        @inline(__always)
        get { node.parent }
        @inline(__always)
        nonmutating set { node.parent = newValue }
    }

    var left: AreaReference? {
        @inline(__always)
        get { node.left }
        @inline(__always)
        nonmutating set { node.left = newValue }
    }

    var right: AreaReference? {
        @inline(__always)
        get { node.right }
        @inline(__always)
        nonmutating set { node.right = newValue }
    }

    var height: Int {
        @inline(__always)
        get { node.height }
        @inline(__always)
        nonmutating set { node.height = newValue }
    }

    @inline(__always)
    func updateSummary() { node.largestGap = largestGapBelow }

    /// The largest gap after this area and those below it, as the children say.
    @inline(__always)
    var largestGapBelow: UInt {
        var gap = node.gap
        if let left = node.left { gap = max(gap, left.node.largestGap) }
        if let right = node.right { gap = max(gap, right.node.largestGap) }
        return gap
    }
}
