import MemoryPrimitives
import PageFrames

/// What of the detector changes, under its lock.
@safe
struct LeakState {
    static var rootCapacity: Int { 16 }

    var tree = LeakTree()
    var pool = RecordPool()
    /// False for good once the detector has been turned off.
    var isOn = true
    var isScanning = false
    /// Grey records that have not been looked through.
    var queue: LeakReference?
    /// The lowest and the highest address of any allocation so far: most words of memory lie outside.
    var lowest = UInt.max
    var highest: UInt = 0
    /// Blocks in the tree, and the highest frame number of any so far: numbers below it may refer to a block.
    var blockCount = 0
    var frameLimit: UInt = 0
    /// Memory that is always there and always looked through.
    var roots = InlineArray<16, AddressSpan>(repeating: AddressSpan(0, byteCount: 0))
    var rootCount = 0
    /// Records that a later allocation of the same memory has shown to be out of date.
    var staleRecords: UInt = 0
    /// Of the scan that is under way, or was last.
    var scanned = ScanFigures()
    /// Scans that came to their end.
    var scans: UInt = 0

    // MARK: Tracking

    /// Adds a record; there is one in the pool. What overlaps it is out of date.
    mutating func insert(_ new: LeakRecord) {
        let removed = remove(new.start, byteCount: new.byteCount)
        if removed { staleRecords &+= 1 }
        guard let reference = pool.take() else { return }
        // Room for a record that nobody uses.
        unsafe reference.pointer.initialize(to: new)
        lowest = min(lowest, new.start)
        highest = max(highest, new.start &+ (new.byteCount &- 1))
        if new.kind == .block { blockCount += 1 }
        tree.insert(reference)
    }

    /// Takes memory off all records: those that lie in it go, others lose a part. Where one is cut in two and the pool is
    /// empty, the part behind is known no more. - Returns: whether there were any. - Complexity: O(log n) each.
    mutating func remove(_ start: UInt, byteCount: UInt) -> Bool {
        if byteCount == 0 { return false }
        let last = start &+ (byteCount &- 1)
        var found = false
        while let reference = tree.first(from: start), reference.record.start <= last {
            found = true
            cut(reference, start, last)
        }
        return found
    }

    private mutating func cut(_ reference: LeakReference, _ start: UInt, _ last: UInt) {
        let oldStart = reference.record.start
        let oldLast = reference.record.end &- 1
        if oldStart < start {
            // The front stays.
            reference.record.byteCount = start &- oldStart
            reference.unset(.hasChecksum)
            if oldLast > last { insertTail(of: reference, from: last &+ 1, through: oldLast) }
        } else {
            drop(reference)
            if oldLast > last { insertTail(of: reference, from: last &+ 1, through: oldLast) }
        }
    }

    /// A record for what is left behind a part that has gone, as `old` was, which may be dropped, but not reused yet.
    private mutating func insertTail(of old: LeakReference, from start: UInt, through last: UInt) {
        let tail = LeakRecord(
            start, byteCount: last &- start &+ 1, old.record.kind, cpu: Int(old.record.cpu), time: old.record.time,
            minimumCount: old.record.minimumCount, trace: old.record.trace)
        let isNotScanned = old.has(.noScan)
        insert(tail)
        if isNotScanned, let reference = tree.find(containing: start) { reference.set(.noScan) }
    }

    /// Takes a record out of the tree, and back unless somebody holds it.
    private mutating func drop(_ reference: LeakReference) {
        tree.remove(reference)
        if reference.record.kind == .block { blockCount -= 1 }
        if reference.has(.isHeld) { reference.set(.isDead) } else { pool.put(reference) }
    }

    // MARK: References

    /// Counts what a word may refer to, and queues what has become grey.
    @inline(__always)
    mutating func visit(_ word: UInt, _ forms: AddressForms) {
        if word == 0 { return }
        if word &- lowest <= highest &- lowest {
            if let reference = tree.find(containing: word) { count(reference) }
        } else if word &- forms.alias.start < forms.alias.byteCount {
            if let reference = tree.find(containing: word &- forms.aliasDistance) { count(reference) }
        } else if blockCount > 0 {
            visitNumber(word, forms)
        }
    }

    /// A block may be known by the number of its first frame, or by that frame's physical address.
    @inline(__always)
    private mutating func visitNumber(_ word: UInt, _ forms: AddressForms) {
        if word <= frameLimit {
            countBlock(forms.directMapBase &+ word &<< PageSize.shift)
        } else if word & (PageSize.byteCount &- 1) == 0, word &>> PageSize.shift <= frameLimit {
            countBlock(forms.directMapBase &+ word)
        }
    }

    private mutating func countBlock(_ start: UInt) {
        guard let reference = tree.find(containing: start), reference.record.kind == .block,
            reference.record.start == start
        else { return }
        count(reference)
    }

    private mutating func count(_ reference: LeakReference) {
        if !reference.record.isWhite { return }
        reference.record.count &+= 1
        if !reference.record.isWhite { enqueue(reference) }
    }

    // MARK: The queue

    mutating func enqueue(_ reference: LeakReference) {
        if reference.has(.noScan) || reference.has(.isHeld) || reference.record.minimumCount < 0 { return }
        reference.set(.isHeld)
        reference.record.next = queue
        queue = reference
    }

    /// The next grey record, which the caller holds until `release`.
    mutating func dequeue() -> LeakReference? {
        guard let reference = queue else { return nil }
        queue = reference.record.next
        return reference
    }

    /// Ends what `dequeue` or setting `isHeld` began.
    mutating func release(_ reference: LeakReference) {
        reference.unset(.isHeld)
        if reference.has(.isDead) { pool.put(reference) }
    }
}

/// Addresses from `start` on.
struct AddressSpan: Sendable {
    var start: UInt
    var byteCount: UInt

    init(_ start: UInt, byteCount: UInt) {
        self.start = start
        self.byteCount = byteCount
    }
}

/// In what forms a word may refer to memory.
struct AddressForms {
    /// Where the direct map shows physical address 0.
    let directMapBase: UInt
    /// Another range of addresses that shows the same memory.
    let alias: AddressSpan

    /// From an address in the direct map to the alias.
    var aliasDistance: UInt { alias.start &- directMapBase }
}
