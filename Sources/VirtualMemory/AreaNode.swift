import MemoryPrimitives

/// An area in the tree, with what the tree knows of the areas below it. Lives in memory from kmalloc.
struct AreaNode {
    var area: Area
    var parent: AreaReference?
    var left: AreaReference?
    var right: AreaReference?
    /// Nodes on the longest way down from here, this one included.
    var height: Int
    /// Where the lowest area of this subtree starts.
    var subtreeStart: VirtualAddress
    /// Where the highest area of this subtree ends.
    var subtreeEnd: VirtualAddress
    /// The largest run of free bytes between two neighbours of this subtree.
    var largestGap: UInt

    init(_ area: Area) {
        self.area = area
        height = 1
        subtreeStart = area.range.start
        subtreeEnd = area.range.end
        largestGap = 0
    }
}

/// A node of the tree by its place in memory.
///
/// Whoever holds one holds the allocator's lock, under which a node that the tree reaches is never given back; the
/// fatal report's walk, which has no lock, checks each reference before it looks through it.
@safe
struct AreaReference: Equatable {
    private let pointer: UnsafeMutablePointer<AreaNode>

    /// Makes the node of `area` in `memory`, which is the node's until `memory` is asked for again.
    @unsafe
    init(_ area: Area, in memory: UnsafeMutableRawPointer) {
        unsafe pointer = memory.bindMemory(to: AreaNode.self, capacity: 1)
        unsafe pointer.initialize(to: AreaNode(area))
    }

    /// The node's memory, to be given back once the tree no longer holds it.
    var memory: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(pointer) }

    var node: AreaNode {
        @inline(__always)
        unsafeAddress { unsafe UnsafePointer(pointer) }  // A node lives as long as the tree reaches it.
        @inline(__always)
        nonmutating unsafeMutableAddress { unsafe pointer }  // As above, and the lock makes this the only writer.
    }

    static func == (one: AreaReference, other: AreaReference) -> Bool { unsafe one.pointer == other.pointer }

    @inline(__always)
    var start: VirtualAddress { node.area.range.start }

    @inline(__always)
    var end: VirtualAddress { node.area.range.end }

    /// Above zero where the left side is the higher one; -1, 0 or 1 in a balanced tree.
    var balance: Int { (node.left?.node.height ?? 0) - (node.right?.node.height ?? 0) }

    /// Derives what the node knows of its subtree from its children, which must be right already.
    func update() {
        var height = 0
        var start = start
        var end = end
        var gap: UInt = 0
        if let left = node.left?.node {
            height = left.height
            start = left.subtreeStart
            gap = max(left.largestGap, self.start.distance(from: left.subtreeEnd))
        }
        if let right = node.right?.node {
            height = max(height, right.height)
            end = right.subtreeEnd
            gap = max(gap, right.largestGap, right.subtreeStart.distance(from: self.end))
        }
        node.height = height + 1
        node.subtreeStart = start
        node.subtreeEnd = end
        node.largestGap = gap
    }
}
