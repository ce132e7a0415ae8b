import MemoryPrimitives
import PageFrames
import Synchronization

/// What kernel stacks come to at one moment.
public struct StackFigures: Equatable, Sendable {
    /// Pages that became present when a stack grew, since bring-up.
    public var growths: UInt
    /// Stacks that are ready for the next who asks.
    public var ready: UInt
    /// Frames that the reserve holds when it is full, and how many are missing.
    public var reserveFrames: Int
    /// How many frames the reserve lacks.
    public var missingReserveFrames: Int
    /// The most bytes that a stack had used when it was freed.
    public var deepestFreed: UInt
}

/// One stack, as a report lists it.
public struct StackRow: Sendable {
    /// Whose stack it is.
    public var name: StaticString
    /// What of its addresses may be used.
    public var usable: VirtualRange
    /// Bytes of pages that are there.
    public var mapped: UInt
    /// The most bytes that were ever in use, by this owner.
    public var deepest: UInt

    /// A row for a stack.
    public init(name: StaticString, usable: VirtualRange, mapped: UInt, deepest: UInt) {
        self.name = name
        self.usable = usable
        self.mapped = mapped
        self.deepest = deepest
    }
}

extension KernelStacks {
    /// What the stacks add up to at one moment.
    /// - Complexity: O(CPUs).
    public var figures: StackFigures {
        let reserve = reserve.figures
        return StackFigures(
            growths: growths.load(ordering: .relaxed), ready: cache.count, reserveFrames: reserve.places,
            missingReserveFrames: reserve.empty, deepestFreed: deepestFreed.load(ordering: .relaxed))
    }

    /// Calls `body` with each stack, those that are ready too, in the order of addresses. No lock is held meanwhile: nobody
    /// may free stacks.
    /// - Complexity: O(areas), and reading what of each stack was never used.
    public func forEachStack(_ body: (StackRow) -> Void) {
        var last = VirtualAddress(0)
        while let area = vmalloc.value.ranges.stack(after: last) {
            last = area.range.start
            let usable = area.usable
            body(
                StackRow(
                    name: area.name, usable: usable, mapped: mappedPages(of: usable) &<< PageSize.shift,
                    deepest: deepest(of: usable)))
        }
    }
}

extension KernelStacks {
    /// Checks that what has grown is counted, that a frame is promised for each page that is due and each that the reserve
    /// lacks, and that the stacks that are ready are all paint.
    /// - Throws: the first thing that is wrong.
    /// - Complexity: O(pages of stacks). For tests and the monitor, while no stack is made or freed.
    public func checkInvariants() throws(InvariantViolation) {
        let missing = UInt(bitPattern: reserve.figures.empty)
        let due = vmalloc.value.untouchedFrames
        let promised = vmalloc.value.frames.value.promisedFrames
        if promised < due &+ missing {
            throw InvariantViolation(
                "a frame is promised for each page that is due and each that the reserve lacks", found: promised,
                expected: due &+ missing)
        }
        var grown: UInt = 0
        var last = VirtualAddress(0)
        while let area = vmalloc.value.ranges.stack(after: last) {
            last = area.range.start
            grown &+= mappedPages(of: area.usable) &- area.presentPages
        }
        let counted = vmalloc.value.grownStackPages.load(ordering: .relaxed)
        if grown != counted {
            throw InvariantViolation("pages that stacks have grown by are counted", found: counted, expected: grown)
        }
        try cache.forEach { (stack) throws(InvariantViolation) in
            let area = stack.node.area
            if area.kind != .stack || area.state != .live || deepest(of: area.usable) != 0 {
                throw InvariantViolation("a stack that is ready is all paint", at: area.range.start.rawValue)
            }
        }
    }
}
