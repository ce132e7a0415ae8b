import MemoryPrimitives

/// What came of isolating a section.
enum IsolationOutcome {
    case isolated
    /// Another call has isolated it.
    case busy
    /// Without its free frames there would be fewer than are promised.
    case promised
}

// While a contiguous range is put together, the sections that it touches are isolated: what is free there, or becomes so,
// is handed out to nobody. Whole sections, because no block of memory goes beyond one.
//
//     unmovable, movable, ... --isolate--> isolated --rejoin--> as before
extension ZoneState {
    /// Brings a certain section into use, if it is deferred.
    /// - Returns: false for a section that has no descriptors and will have none. - Complexity: O(frames in a section).
    mutating func bringIn(section: UInt) -> Bool {
        if buddy.table.isInitialized(section: section) { return true }
        while true {
            let taken: UInt?
            switch deferred.take(section) {
            case .taken: taken = section
            case .unknown: return false
            // There is no room to note down two runs in place of one: what comes before it is brought into use, too.
            case .noRoom: taken = deferred.takeFirst()
            }
            guard let taken else { return false }
            bringIn(section: taken, as: .interior, .movable)
            buddy.put(UInt32(truncatingIfNeeded: taken << Section.shift), order: BlockOrder.highest)
            if taken == section { return true }
        }
    }

    /// Isolates a section that has descriptors. - Complexity: O(orders).
    mutating func isolate(section: UInt) -> IsolationOutcome {
        let first = UInt32(truncatingIfNeeded: section << 1)
        for number in first...first | 1 where buddy.table.pageBlock(number).mobility == .isolated { return .busy }
        for number in first...first | 1 {
            buddy.table.pageBlock(number).formerMobility = buddy.table.pageBlock(number).mobility
        }
        for number in first...first | 1 { buddy.convert(number, to: .isolated) }
        let left = freeFrames - buddy.counts.setAsideFrames(.contiguous) - buddy.counts.setAsideFrames(.isolated)
        if left >= promisedFrames { return .isolated }
        rejoin(section: section)
        return .promised
    }

    /// Ends a section's isolation. - Complexity: O(orders).
    mutating func rejoin(section: UInt) {
        let first = UInt32(truncatingIfNeeded: section << 1)
        buddy.convert(first, to: buddy.table.pageBlock(first).formerMobility)
        // A section that was freed as one block meanwhile stays one, of one mobility.
        if !buddy.table.pageBlock(first).isFreeSection {
            buddy.convert(first | 1, to: buddy.table.pageBlock(first | 1).formerMobility)
        }
        buddy.mergeSection(first >> 1)
    }

    /// Takes the frames `first ..< end` of one section, if all are free.
    /// - Returns: nil, or the first that is not free, with nothing changed. - Complexity: O(free blocks * orders).
    mutating func takeRange(_ first: UInt32, _ end: UInt32) -> UInt32? {
        if let frame = buddy.firstFrameInUse(first, end) { return frame }
        buddy.takeRange(first, end)
        freeFrames &-= UInt(end - first)
        return nil
    }

    /// Takes consecutive sections that nobody has used yet, the highest, out of those that are deferred, and keeps them
    /// for contiguous buffers.
    ///
    /// - Returns: the first; nil where there are not so many together.
    /// - Complexity: O(frames). At bring-up.
    mutating func keepContiguous(sections: UInt) -> UInt? {
        guard let first = deferred.takeLast(sections) else { return nil }
        for section in first..<first + sections {
            bringIn(section: section, as: .interior, .contiguous)
            buddy.put(UInt32(truncatingIfNeeded: section << Section.shift), order: BlockOrder.highest)
        }
        return first
    }
}
