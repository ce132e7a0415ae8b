import MemoryPrimitives
import PageFrames

/// Memory for records: blocks of page frames of the detector's own, cut from their front.
///
///     | where the next block is | record | record | ... | never used yet |
///
/// Blocks are given back all together, when the detector is turned off. The detector's lock is held for every call but
/// those that speak of frames.
@safe
struct RecordPool {
    /// What a block begins with.
    @safe
    private struct Head {
        var next: UnsafeMutablePointer<Head>?
        var order: Int
    }

    private static var headByteCount: Int { 64 }

    /// Blocks that records have been cut from, and blocks that none has yet.
    private var blocks: UnsafeMutablePointer<Head>?
    private var fresh: UnsafeMutablePointer<Head>?
    private var free: LeakReference?
    /// What is left of the block that records are cut from: the next one's place, and how many there are.
    private var next: UnsafeMutablePointer<LeakRecord>?
    private var left = 0
    /// Records that have been given back and not taken again, and those of fresh blocks.
    private var freeCount = 0
    private var freshCount = 0
    private(set) var frameCount: UInt = 0

    /// No memory yet.
    init() {}

    /// The records that can be taken.
    var available: Int { freeCount + left + freshCount }

    /// A record that nobody has, with what it was before; nil where there is none. - Complexity: O(1).
    mutating func take() -> LeakReference? {
        if let record = free {
            free = record.record.next
            freeCount -= 1
            return record
        }
        if left == 0 { beginBlock() }
        guard left > 0, let place = unsafe next else { return nil }
        left -= 1
        // Within the block: that many records have room there.
        unsafe next = place + 1
        return unsafe LeakReference(place)
    }

    /// Takes a record back. - Complexity: O(1).
    mutating func put(_ record: LeakReference) {
        record.record.next = free
        free = record
        freeCount += 1
    }

    /// Adds a block of 2^`order` frames that is the pool's from now on. - Complexity: O(1).
    mutating func add(_ memory: UnsafeMutableRawPointer, order: Int) {
        // A block just allocated, aligned to a page.
        let head = unsafe memory.bindMemory(to: Head.self, capacity: 1)
        unsafe head.initialize(to: Head(next: fresh, order: order))
        unsafe fresh = head
        freshCount += Self.recordCount(order: order)
        frameCount += 1 << UInt(order)
    }

    private static func recordCount(order: Int) -> Int {
        (Int(PageSize.byteCount) << order - headByteCount) / MemoryLayout<LeakRecord>.stride
    }

    private mutating func beginBlock() {
        guard let head = unsafe fresh else { return }
        // The pool's own block.
        unsafe fresh = head.pointee.next
        unsafe head.pointee.next = blocks
        unsafe blocks = head
        left = unsafe Self.recordCount(order: head.pointee.order)
        freshCount -= left
        unsafe next = (UnsafeMutableRawPointer(head) + Self.headByteCount).bindMemory(
            to: LeakRecord.self, capacity: left)
    }

    /// Makes the pool an empty one. - Returns: where its blocks are, for `giveBack`; 0 for none.
    mutating func removeAll() -> UInt {
        while unsafe fresh != nil { beginBlock() }
        let first = unsafe UInt(bitPattern: blocks)
        self = RecordPool()
        return first
    }

    /// Frees blocks that `removeAll` returned. The detector's lock is not held.
    static func giveBack<P: Platform>(_ blocks: UInt, to frames: Permanent<PageFrameAllocator<P>>) {
        var address = blocks
        // Addresses of blocks that nobody uses any more, each with a head.
        while let head = unsafe UnsafeMutablePointer<Head>(bitPattern: address) {
            let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(address))
            let order = unsafe head.pointee.order
            address = unsafe UInt(bitPattern: head.pointee.next)
            frames.value.free(PageFrameNumber(containing: physical), order: order)
        }
    }
}
