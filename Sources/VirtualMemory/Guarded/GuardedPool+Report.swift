import MemoryPrimitives
import PageFrames
import Slab

extension GuardedPool {
    /// Writes what is known of an error, in the shape of Linux's KFENCE reports: what and where, the object, who
    /// allocated it and who freed it. Beside an object the distance is counted from its nearest byte.
    ///
    /// - Parameters:
    ///   - error: what `diagnose` answered.
    ///   - trace: the callers of whoever brought it about, the nearest first.
    ///   - writer: where it goes.
    /// - Complexity: O(1). For reports: no lock is taken.
    @inline(never)
    public func write(_ error: GuardedError, _ trace: StackTrace, to writer: inout some ReportWriter) {
        Self.writeLine(to: &writer)
        writer.write("BUG: KFENCE: ")
        writer.write(error.kind.name(capitalised: false))
        writer.write(" in ")
        if let call = error.call { writer.write(call) } else { writer.write(returnAddress: trace[0]) }
        writer.endLine()
        writer.endLine()
        writeHeading(error, to: &writer)
        writer.write(trace)
        if let object = error.object { writeObject(object, to: &writer) }
        writer.endLine()
        Self.writeLine(to: &writer)
    }

    @inline(never)
    private static func writeLine(to writer: inout some ReportWriter) {
        writer.write("==================================================================")
        writer.endLine()
    }

    /// "Out-of-bounds read at 0xffffc90000001fff (1B left of kfence-#72):"
    @inline(never)
    private func writeHeading(_ error: GuardedError, to writer: inout some ReportWriter) {
        switch error.kind {
        case .corruption: writer.write("Corrupted memory at ")
        case .invalidFree: writer.write("Invalid free of ")
        default:
            writer.write(error.kind.name(capitalised: true))
            writer.write(" at ")
        }
        writer.write(pointer: error.address.rawValue)
        if error.kind == .corruption { writeBytes(at: error.address.rawValue, to: &writer) }
        guard let object = error.object else {
            writer.write(":")
            return writer.endLine()
        }
        writer.write(" (")
        if case .outOfBounds = error.kind {
            writer.write(decimal: error.distance)
            writer.write(error.address.rawValue < self[object].address ? "B left of " : "B right of ")
        } else {
            writer.write("in ")
        }
        writer.write(object: object)
        writer.write("):")
        writer.endLine()
    }

    /// The bytes from the first wrong one on, up to sixteen of the page; those that are as they should be are dots.
    @inline(never)
    private func writeBytes(at address: UInt, to writer: inout some ReportWriter) {
        guard let index = slot(at: address) else { return }
        let start = Int(bitPattern: address & (PageSize.byteCount &- 1))
        let end = start < self[index].range.lowerBound ? self[index].range.lowerBound : GuardPattern.pageByteCount
        // The slot's own memory.
        let memory = unsafe memory(of: index)
        writer.write(" [")
        for offset in start..<min(start + 16, end) {
            writer.write(" ")
            let byte = unsafe memory.load(fromByteOffset: offset, as: UInt8.self)
            if byte == GuardPattern.byte(at: UInt(offset)) {
                writer.write(".")
            } else {
                writer.write("0x")
                writer.write(hex: UInt(byte), digits: 2)
            }
        }
        writer.write(" ]")
    }

    /// "kfence-#72: 0xffffc90000002000-0xffffc9000000201f, size=32, cache=kmalloc-32", and both traces.
    @inline(never)
    func writeObject(_ index: Int, to writer: inout some ReportWriter) {
        writer.endLine()
        writer.write(object: index)
        writer.write(": ")
        writer.write(pointer: self[index].address)
        writer.write("-")
        writer.write(pointer: self[index].address &+ self[index].byteCount &- 1)
        writer.write(", size=")
        writer.write(decimal: self[index].byteCount)
        writer.write(", cache=")
        writer.write(self[index].cacheName)
        writer.endLine()
        writer.endLine()
        writer.write(self[index].allocation, "allocated")
        if self[index].state == .freed {
            writer.endLine()
            writer.write(self[index].release, "freed")
        }
    }
}

extension GuardedError.Kind {
    /// "out-of-bounds read", "Out-of-bounds read".
    fileprivate func name(capitalised: Bool) -> StaticString {
        switch self {
        case .outOfBounds(isWrite: false): capitalised ? "Out-of-bounds read" : "out-of-bounds read"
        case .outOfBounds(isWrite: true): capitalised ? "Out-of-bounds write" : "out-of-bounds write"
        case .useAfterFree(isWrite: false): capitalised ? "Use-after-free read" : "use-after-free read"
        case .useAfterFree(isWrite: true): capitalised ? "Use-after-free write" : "use-after-free write"
        case .invalidAccess(isWrite: false): capitalised ? "Invalid read" : "invalid read"
        case .invalidAccess(isWrite: true): capitalised ? "Invalid write" : "invalid write"
        case .invalidFree: capitalised ? "Invalid free" : "invalid free"
        case .objectInUse: capitalised ? "Object in use" : "object in use"
        case .corruption: capitalised ? "Memory corruption" : "memory corruption"
        }
    }
}

extension ReportWriter {
    fileprivate mutating func write(pointer address: UInt) {
        write("0x")
        write(hex: address, digits: 16)
    }

    fileprivate mutating func write(object index: Int) {
        write("kfence-#")
        write(decimal: UInt(bitPattern: index))
    }

    /// "allocated on cpu 0 at 123456 ticks:", and the callers.
    @inline(never)
    fileprivate mutating func write(_ event: GuardedEvent, _ what: StaticString) {
        write(what)
        write(" on cpu ")
        write(decimal: event.cpu)
        write(" at ")
        write(decimal: UInt(event.time))
        write(" ticks:")
        endLine()
        write(event.trace)
    }
}
