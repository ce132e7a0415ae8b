import MemoryPrimitives
import PageFrames

// What nothing refers to and yet changes is in use: such an allocation waits for a scan that finds it as the last one did.
extension LeakDetector {
    /// Has each white allocation that has changed since the last scan, or was not white then, count as referred to.
    func compareChecksums() {
        var cursor: UInt? = 0
        while let from = cursor {
            let found = nextWhite(from: from)
            cursor = found.cursor
            guard let reference = found.reference else { continue }
            var sum: UInt64 = 0xcbf2_9ce4_8422_2325
            var offset: UInt = 0
            while let next = addPage(of: reference, offset, to: &sum) { offset = next }
            compare(reference, sum)
        }
    }

    /// The next white record, which is held then, and where to go on behind it; no record where a step found none.
    private func nextWhite(from cursor: UInt) -> (reference: LeakReference?, cursor: UInt?) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        if unsafe !state.pointee.isOn { return (nil, nil) }
        var current = unsafe state.pointee.tree.first(from: cursor)
        var count = 0
        while let reference = current {
            if count == 128 { return (nil, reference.record.start) }
            if reference.record.isWhite, !reference.has(.isHeld) {
                reference.set(.isHeld)
                return (reference, reference.record.end)
            }
            current = LeakTree.next(after: reference)
            count += 1
        }
        return (nil, nil)
    }

    private func addPage(of reference: LeakReference, _ offset: UInt, to sum: inout UInt64) -> UInt? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let page = page(of: reference, offset) else { return nil }
        var word = page.address
        while page.address != 0, word &+ 8 <= page.address &+ page.byteCount {
            // Fowler, Noll and Vo's hash, a word at a time.
            sum = (sum ^ UInt64(Self.load(word))) &* 0x100_0000_01b3
            word &+= 8
        }
        return page.nextOffset
    }

    private func compare(_ reference: LeakReference, _ sum: UInt64) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        let isSame = reference.has(.hasChecksum) && reference.record.checksum == sum
        reference.record.checksum = sum
        reference.set(.hasChecksum)
        let isAlive = !reference.has(.isDead)
        unsafe state.pointee.release(reference)
        if isSame || !isAlive || !reference.record.isWhite { return }
        unsafe state.pointee.scanned.waiting += 1
        reference.record.count = reference.record.minimumCount
        unsafe state.pointee.enqueue(reference)
    }
}
