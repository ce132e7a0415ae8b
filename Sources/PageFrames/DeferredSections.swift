/// Consecutive sections, `start ..< end`.
struct SectionRun {
    var start: UInt32
    var end: UInt32

    /// The number of sections.
    var count: UInt { UInt(end - start) }
}

/// What came of taking a certain section out of the deferred ones.
enum DeferredTake { case taken, unknown, noRoom }

/// The wholly free sections of a zone that have not been brought into use: their descriptors are not even written.
///
/// Filled in ascending order at bring-up and emptied from its start, a section at a time, or where a certain one is
/// needed.
@safe
struct DeferredSections: ~Copyable {
    private let runs: UnsafeMutablePointer<SectionRun>
    private let capacity: Int
    private var first = 0
    private var end = 0

    /// The number of sections.
    private(set) var sectionCount: UInt = 0

    /// Where the number of sections is kept, for a debugger.
    var countAddress: UInt {
        // Only the address is taken.
        mutating get { unsafe withUnsafePointer(to: &sectionCount) { UInt(bitPattern: $0) } }
    }

    /// - Parameter memory: room for `capacity` runs.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        unsafe runs = memory.bindMemory(to: SectionRun.self, capacity: capacity)
        self.capacity = capacity
    }

    /// Adds a run that lies above all others. - Returns: false when there is no room to note it down.
    /// - Complexity: O(1).
    mutating func append(_ run: SectionRun) -> Bool {
        if first < end, unsafe runs[end - 1].end == run.start {
            unsafe runs[end - 1].end = run.end
        } else {
            guard end < capacity else { return false }
            // Below the capacity by the check above.
            unsafe (runs + end).initialize(to: run)
            end += 1
        }
        sectionCount += run.count
        return true
    }

    /// Removes the lowest section; nil when there is none. - Complexity: O(1).
    mutating func takeFirst() -> UInt? {
        guard first < end else { return nil }
        // `first ..< end` are initialised.
        let section = unsafe runs[first].start
        unsafe runs[first].start = section + 1
        if unsafe runs[first].count == 0 { first += 1 }
        sectionCount -= 1
        return UInt(section)
    }

    /// Removes a certain section. - Complexity: O(runs).
    mutating func take(_ section: UInt) -> DeferredTake {
        let wanted = UInt32(truncatingIfNeeded: section)
        for index in first..<end {
            // `first ..< end` are initialised.
            let run = unsafe runs[index]
            guard run.start <= wanted, wanted < run.end else { continue }
            if run.count == 1 {
                remove(index)
            } else if wanted == run.start {
                unsafe runs[index].start += 1
            } else if wanted == run.end - 1 {
                unsafe runs[index].end -= 1
            } else if !split(index, around: wanted) {
                return .noRoom
            }
            sectionCount -= 1
            return .taken
        }
        return .unknown
    }

    /// Removes the last `count` sections of the highest run that has so many.
    /// - Returns: the first of them; nil where there is no such run. - Complexity: O(runs).
    mutating func takeLast(_ count: UInt) -> UInt? {
        var index = end
        while index > first {
            index -= 1
            // As above.
            if unsafe runs[index].count < count { continue }
            let start = unsafe UInt(runs[index].end) - count
            unsafe runs[index].end = UInt32(truncatingIfNeeded: start)
            if unsafe runs[index].count == 0 { remove(index) }
            sectionCount -= count
            return start
        }
        return nil
    }

    /// Makes two runs of one, without `section`, which is neither its first nor its last.
    /// - Returns: false, with nothing changed, where there is no room for one run more.
    private mutating func split(_ index: Int, around section: UInt32) -> Bool {
        let run = unsafe runs[index]
        let low: Int
        if end < capacity {
            // Up to the capacity, from the last run down.
            for later in stride(from: end, to: index + 1, by: -1) { unsafe runs[later] = runs[later - 1] }
            end += 1
            low = index
        } else if first > 0 {
            // Into the place of runs that are used up.
            for earlier in first..<index { unsafe runs[earlier - 1] = runs[earlier] }
            first -= 1
            low = index - 1
        } else {
            return false
        }
        unsafe runs[low] = SectionRun(start: run.start, end: section)
        unsafe runs[low + 1] = SectionRun(start: section + 1, end: run.end)
        return true
    }

    private mutating func remove(_ index: Int) {
        if index == first {
            first += 1
        } else {
            for later in index..<end - 1 { unsafe runs[later] = runs[later + 1] }
            end -= 1
        }
    }

    /// Calls `body` for each run, in ascending order.
    func forEach<Failure: Error>(_ body: (SectionRun) throws(Failure) -> Void) throws(Failure) {
        // `first ..< end` are initialised.
        for index in first..<end { try unsafe body(runs[index]) }
    }
}
