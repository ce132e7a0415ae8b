/// Consecutive sections, `start ..< end`.
struct SectionRun {
    var start: UInt32
    var end: UInt32

    /// The number of sections.
    var count: UInt { UInt(end - start) }
}

/// The wholly free sections of a zone that have not been brought into use: their descriptors are not even written.
///
/// Filled in ascending order at bring-up and emptied from its start, a section at a time.
@safe
struct DeferredSections: ~Copyable {
    private let runs: UnsafeMutablePointer<SectionRun>
    private let capacity: Int
    private var first = 0
    private var end = 0

    /// The number of sections.
    private(set) var sectionCount: UInt = 0

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

    /// Calls `body` for each run, in ascending order.
    func forEach<Failure: Error>(_ body: (SectionRun) throws(Failure) -> Void) throws(Failure) {
        // `first ..< end` are initialised.
        for index in first..<end { try unsafe body(runs[index]) }
    }
}
