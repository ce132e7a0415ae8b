import MemoryPrimitives
import PageFrames

/// What is known of an allocation, for reports; a copy.
public struct LeakReport: Sendable {
    /// The address of its first byte.
    public let start: UInt
    /// Its size.
    public let byteCount: UInt
    /// What kind of memory it is.
    public let kind: WatchedKind
    /// The CPU that allocated it, and the cycle counter then.
    public let cpu: UInt16
    /// The cycle counter when it was allocated.
    public let time: UInt64
    /// The references that it takes not to be lost: 1, or 0 for none; below 0 where it is never reported.
    public let minimumCount: Int32
    /// The references that the last scan found, up to `minimumCount`.
    public let count: Int32
    /// What its contents added up to when they were last looked at.
    public let checksum: UInt64
    /// Whether it counts as lost.
    public let isLeak: Bool
    /// Who allocated it.
    public let trace: StackTrace
    let marks: LeakRecord.Marks
    /// The first bytes, as many as can be read.
    var bytes = InlineArray<32, UInt8>(repeating: 0)
    var readableBytes = 0

    init(_ reference: LeakReference) {
        start = reference.record.start
        byteCount = reference.record.byteCount
        kind = reference.record.kind
        cpu = reference.record.cpu
        time = reference.record.time
        minimumCount = reference.record.minimumCount
        count = reference.record.count
        checksum = reference.record.checksum
        isLeak = reference.has(.isReported) && reference.record.isWhite
        trace = reference.record.trace
        marks = reference.record.marks
    }
}

extension LeakDetector {
    /// The lost allocation with the lowest address from `address` on; nil where there is none.
    /// - Complexity: O(allocations in between), in steps.
    public func firstLeak(from address: UInt = 0) -> LeakReport? {
        var cursor: UInt? = address
        while let from = cursor {
            let found = leakStep(from: from)
            if found.leak != nil { return found.leak }
            cursor = found.cursor
        }
        return nil
    }

    private func leakStep(from cursor: UInt) -> (leak: LeakReport?, cursor: UInt?) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // Here and below: the detector's own memory, under its lock.
        if unsafe !state.pointee.isOn { return (nil, nil) }
        var current = unsafe state.pointee.tree.first(from: cursor)
        var count = 0
        while let reference = current {
            if count == 128 { return (nil, reference.record.start) }
            if reference.has(.isReported), reference.record.isWhite { return (report(reference), nil) }
            current = LeakTree.next(after: reference)
            count += 1
        }
        return (nil, nil)
    }

    /// What is known of the allocation that contains `address`; nil where there is none.
    /// - Complexity: O(log allocations).
    public func describe(_ address: UInt) -> LeakReport? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard unsafe state.pointee.isOn, let reference = unsafe state.pointee.tree.find(containing: address) else {
            return nil
        }
        return report(reference)
    }

    /// Whether `address` lies in an allocation that is noted down. - Complexity: O(log allocations).
    public func contains(_ address: UInt) -> Bool {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        return unsafe state.pointee.isOn && state.pointee.tree.find(containing: address) != nil
    }

    /// A copy with the first bytes of the memory. The lock is held.
    private func report(_ reference: LeakReference) -> LeakReport {
        var report = LeakReport(reference)
        guard let page = page(of: reference, 0), page.address != 0 else { return report }
        report.readableBytes = Int(min(32, page.byteCount))
        for index in 0..<report.readableBytes {
            // The memory is still its user's, and this page of it is there.
            report.bytes[index] =
                unsafe UnsafePointer<UInt8>(bitPattern: page.address).unsafelyUnwrapped[index]
        }
        return report
    }

    /// What is reported now is not reported again, but counts as referred to.
    /// - Complexity: O(allocations), in steps.
    public func clear() {
        forEachRecord { _, reference in
            if reference.has(.isReported), reference.record.isWhite { reference.record.minimumCount = 0 }
        }
    }

    /// Writes all lost allocations in the format of Linux's `/sys/kernel/debug/kmemleak`. What a process is to Linux is the
    /// idle task of a CPU here, and jiffies are ticks of the cycle counter.
    public func writeLeaks<Writer: ReportWriter>(to writer: inout Writer) {
        let now = P.cycleCounter
        var next: UInt? = 0
        while let from = next, let leak = firstLeak(from: from) {
            writer.write(unreferenced: leak, now: now)
            let (end, overflow) = leak.start.addingReportingOverflow(leak.byteCount)
            next = overflow ? nil : end
        }
    }

    /// Writes what is known of the allocation that contains `address`, as Linux's command `dump=` does.
    public func dump<Writer: ReportWriter>(_ address: UInt, to writer: inout Writer) {
        guard let found = describe(address) else {
            writer.write("kmemleak: Unknown object at 0x")
            writer.write(hex: address, digits: 16)
            return writer.endLine()
        }
        writer.write(dump: found)
    }
}

extension ReportWriter {
    /// Writes a lost allocation as kmemleak does.
    @inline(never)
    mutating func write(unreferenced leak: LeakReport, now: UInt64) {
        write("unreferenced object 0x")
        write(hex: leak.start, digits: 16)
        write(" (size ")
        write(decimal: leak.byteCount)
        write("):\n")
        writeOrigin(leak)
        write(" (age ")
        write(decimal: UInt(now &- leak.time))
        write(")\n")
        write("  hex dump (first ")
        write(decimal: UInt(leak.readableBytes))
        write(" bytes):\n")
        for row in 0..<2 where row * 16 < leak.readableBytes { writeRow(leak, row * 16) }
        writeBacktrace(leak)
    }

    /// Writes what is known of an allocation as kmemleak's `dump=` does.
    @inline(never)
    mutating func write(dump found: LeakReport) {
        write("kmemleak: Object 0x")
        write(hex: found.start, digits: 16)
        write(" (size ")
        write(decimal: found.byteCount)
        write("):\n")
        writeOrigin(found)
        endLine()
        write(found.minimumCount < 0 ? "  min_count = -" : "  min_count = ")
        write(decimal: UInt(found.minimumCount.magnitude))
        write("\n  count = ")
        write(decimal: UInt(found.count.magnitude))
        write("\n  flags = 0x")
        write(hex: linuxFlags(found.marks))
        write("\n  checksum = ")
        write(decimal: UInt(found.checksum))
        endLine()
        writeBacktrace(found)
    }

    private mutating func writeOrigin(_ found: LeakReport) {
        write("  comm \"swapper/")
        write(decimal: UInt(found.cpu))
        write("\", pid 0, cycles ")
        write(decimal: UInt(found.time))
    }

    private mutating func writeBacktrace(_ found: LeakReport) {
        write("  backtrace:\n")
        for index in 0..<StackTrace.capacity where found.trace[index] != 0 {
            write("    ")
            write(returnAddress: found.trace[index])
            endLine()
        }
    }

    /// Sixteen bytes in hexadecimal and as text.
    private mutating func writeRow(_ leak: LeakReport, _ first: Int) {
        write("    ")
        let end = min(first + 16, leak.readableBytes)
        for index in first..<first + 16 {
            if index < end {
                write(hex: UInt(leak.bytes[index]), digits: 2)
                write(" ")
            } else {
                write("   ")
            }
        }
        write(" ")
        for index in first..<end {
            let byte = leak.bytes[index]
            write(0x20 <= byte && byte < 0x7f ? byte : UInt8(ascii: "."))
        }
        endLine()
    }

    /// As Linux numbers them: allocated, reported, not to be scanned.
    private func linuxFlags(_ marks: LeakRecord.Marks) -> UInt {
        1 | (marks.contains(.isReported) ? 2 : 0) | (marks.contains(.noScan) ? 4 : 0)
    }
}
