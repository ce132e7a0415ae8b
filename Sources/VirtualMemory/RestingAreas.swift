import MemoryPrimitives

/// Ranges that were freed lately and keep their notes, so that the next request for as many pages takes one over: without
/// a search, and without a change of the tree.
///
/// A queue for each size up to `largestPageCount`: what was freed first is taken first, so that a stale pointer meets
/// nothing for as long as possible. A queue holds a few ranges, and no more than `pageLimit` pages, so that what rests
/// does not keep others apart for much of the space.
@safe
struct RestingAreas {
    /// Sizes above are not kept. Pages, guard pages included.
    static var largestPageCount: UInt { 127 }

    /// So many of one size at most.
    private static var countLimit: UInt { 8 }

    private struct Queue {
        var first: AreaReference?
        var last: AreaReference?
        /// How many more may rest.
        var room: Int
    }

    /// Bytes of memory that `init` needs.
    static var byteCount: Int { Int(largestPageCount + 1) * MemoryLayout<Queue>.stride }

    /// The pages of one size that may rest.
    let pageLimit: UInt
    private let queues: UnsafeMutablePointer<Queue>

    /// - Parameters:
    ///   - pageLimit: how many pages of one size may rest; 0 for none.
    ///   - memory: `byteCount` bytes, aligned to 8, used for nothing else.
    @unsafe
    init(pageLimit: UInt, in memory: UnsafeMutableRawPointer) {
        self.pageLimit = pageLimit
        let count = Int(Self.largestPageCount + 1)
        unsafe queues = memory.bindMemory(to: Queue.self, capacity: count)
        for size in 0..<count {
            let room = size == 0 ? 0 : min(Self.countLimit, pageLimit / UInt(size))
            // Within the memory, which has room for so many.
            unsafe (queues + size).initialize(to: Queue(room: Int(room)))
        }
    }

    @inline(__always)
    private func queue(_ pageCount: UInt) -> UnsafeMutablePointer<Queue> {
        // The mask keeps it within.
        unsafe queues + Int(bitPattern: pageCount & Self.largestPageCount)
    }

    /// Lets an area rest, which is in the tree and stays there.
    /// - Returns: false, with nothing changed, where there is no room for one of that size. - Complexity: O(1).
    @inline(__always)
    func put(_ area: AreaReference, pageCount: UInt) -> Bool {
        if pageCount > Self.largestPageCount { return false }
        let queue = unsafe queue(pageCount)
        if unsafe queue.pointee.room == 0 { return false }
        unsafe queue.pointee.room &-= 1
        area.node.area.state = .resting
        area.node.nextResting = nil
        if let last = unsafe queue.pointee.last {
            last.node.nextResting = area
        } else {
            unsafe queue.pointee.first = area
        }
        unsafe queue.pointee.last = area
        return true
    }

    /// The area of `pageCount` pages that has rested longest; nil where none does. - Complexity: O(1).
    @inline(__always)
    func take(_ pageCount: UInt) -> AreaReference? {
        if pageCount > Self.largestPageCount { return nil }
        let queue = unsafe queue(pageCount)
        guard let area = unsafe queue.pointee.first else { return nil }
        unsafe queue.pointee.room &+= 1
        unsafe queue.pointee.first = area.node.nextResting
        if area.node.nextResting == nil { unsafe queue.pointee.last = nil }
        return area
    }

    /// An area of the smallest size that rests; nil where none does. - Complexity: O(1), 128 steps.
    func takeAny() -> AreaReference? {
        for pageCount in 1...Self.largestPageCount {
            if let area = take(pageCount) { return area }
        }
        return nil
    }

    /// Checks that the queues hold what they say. - Returns: how many areas rest. - Complexity: O(areas that rest).
    func checkInvariants() throws(InvariantViolation) -> Int {
        var count = 0
        for pageCount in 1...Self.largestPageCount {
            let queue = unsafe queue(pageCount).pointee
            var room = min(Self.countLimit, pageLimit / pageCount)
            var last: AreaReference?
            var current = queue.first
            while let area = current {
                if room == 0 { throw InvariantViolation("no more rests than may", found: pageCount) }
                room -= 1
                count += 1
                if area.node.area.state != .resting || area.node.area.range.byteCount >> PageSize.shift != pageCount {
                    throw InvariantViolation("areas rest by their size", at: area.start.rawValue, found: pageCount)
                }
                last = area
                current = area.node.nextResting
            }
            if queue.last != last || queue.room != Int(room) {
                throw InvariantViolation("a queue knows its end and its room", found: pageCount)
            }
        }
        return count
    }
}
