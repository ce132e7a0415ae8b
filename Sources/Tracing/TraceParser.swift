import MemoryPrimitives
import PageFrames

/// What is wrong with a line of a trace.
public enum TraceTextError: Error, Equatable, Sendable {
    /// There is no `TASK-PID` before the CPU.
    case noTask
    /// There is no `[CPU]`.
    case noCPU
    /// There is no `seconds.microseconds:`.
    case noTime
    /// There is no `event:` behind the time.
    case noEvent
    /// The event lacks a field.
    case fieldMissing(StaticString)
    /// The field is no such number as it should be.
    case badField(StaticString)

    /// Whether two errors are of one kind, and about one field.
    public static func == (left: TraceTextError, right: TraceTextError) -> Bool {
        switch (left, right) {
        case (.noTask, .noTask), (.noCPU, .noCPU), (.noTime, .noTime), (.noEvent, .noEvent): true
        case (.fieldMissing(let one), .fieldMissing(let other)), (.badField(let one), .badField(let other)):
            unsafe one.utf8Start == other.utf8Start
                || TraceName(one) == TraceName(other)
        default: false
        }
    }
}

/// A line of a trace.
public enum TraceLine: Sendable {
    /// Nothing, or a line of the header.
    case comment
    /// Events were lost on a CPU.
    case lost(count: UInt64, cpu: Int)
    /// An event that is known. Code addresses that are names are 0.
    case event(TraceEvent)
    /// An event of another kind than those of `TraceKind`.
    case other
}

/// Reads the lines of `TraceText`, and of a Linux kernel's `trace` with events of the same names.
///
/// Times are in microseconds. Allocates nothing.
@safe
public struct TraceParser {
    private let text: UnsafeRawBufferPointer
    private var position = 0

    private init(_ text: UnsafeRawBufferPointer) { unsafe self.text = text }

    /// Reads a line. - Parameter line: its bytes without the end of line.
    /// - Returns: what the line says. - Throws: what is wrong with it. - Complexity: O(bytes).
    @unsafe
    public static func parse(_ line: UnsafeRawBufferPointer) throws(TraceTextError) -> TraceLine {
        var parser = unsafe TraceParser(line)
        parser.skipSpaces()
        guard let first = parser.next, first != UInt8(ascii: "#"), first != UInt8(ascii: "\r") else { return .comment }
        if parser.accept("CPU:") { return try parser.lost() }
        return try parser.event()
    }

    // MARK: Parts of a line

    private mutating func lost() throws(TraceTextError) -> TraceLine {
        guard let cpu = decimal(), accept(" [LOST "), let count = decimal(), accept(" EVENTS]") else { throw .noCPU }
        return .lost(count: UInt64(count), cpu: Int(clamping: cpu))
    }

    private mutating func event() throws(TraceTextError) -> TraceLine {
        let task = position
        guard let bracket = find("["), let dash = lastDash(from: task, to: bracket) else { throw .noTask }
        let isAllocator = bytes(task..<dash, are: "allocator")
        position = dash &+ 1
        guard let pid = decimal() else { throw .noTask }
        position = bracket &+ 1
        guard let cpu = decimal(), accept("]") else { throw .noCPU }
        skipSpaces()
        var isAtomic = false
        // The flags: Linux leaves them out where `irq-info` is off.
        if let first = next, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) {
            isAtomic = first == UInt8(ascii: "d") || first == UInt8(ascii: "D")
            while let byte = next, byte != UInt8(ascii: " ") { position += 1 }
            skipSpaces()
        }
        guard let seconds = decimal(), accept("."), let micros = decimal(), accept(":") else { throw .noTime }
        skipSpaces()
        let name = position
        guard let colon = find(":") else { throw .noEvent }
        guard let kind = kind(of: name..<colon) else { return .other }
        position = colon &+ 1
        var event = try fields(of: kind)
        event.depth = isAllocator ? UInt8(clamping: pid) : 0
        event.cpu = UInt16(clamping: cpu)
        event.isAtomic = isAtomic
        event.time = UInt64(seconds) &* 1_000_000 &+ UInt64(micros)
        return .event(event)
    }

    private func kind(of range: Range<Int>) -> TraceKind? {
        if bytes(range, are: "page_fault_kernel") { return .pageFault }
        var value: UInt8 = 0
        while let kind = TraceKind(rawValue: value) {
            if kind != .pageFault, bytes(range, are: kind.name) { return kind }
            value += 1
        }
        return nil
    }

    // MARK: Fields

    private func fields(of kind: TraceKind) throws(TraceTextError) -> TraceEvent {
        var event = TraceEvent(kind, 0)
        switch kind {
        case .pageAllocation, .pageFree:
            event.address = try number("pfn=", radix: nil)
            event.size = try number("order=", radix: 10)
            event.extent = try optionalNumber("page=", radix: 16)
            if kind == .pageAllocation { event.flags = try flags() }
        case .pageFault:
            event.address = try number("address=", radix: nil)
            event.size = try number("error_code=", radix: nil)
            event.caller = codeAddress("ip=")
        case .kmalloc, .cacheAllocation, .vmalloc:
            event.size = try number("bytes_req=", radix: 10)
            event.extent = try number("bytes_alloc=", radix: 10)
            event.flags = try flags()
            fallthrough
        default:
            event.address = try number("ptr=", radix: 16)
            event.caller = codeAddress("call_site=")
            if kind == .cacheFree { event.name = name("name=") }
            if kind == .vmalloc { event.name = name("backing=") }
            if kind == .map || kind == .unmap {
                event.size = try number("bytes=", radix: 10)
                event.name = name("by=")
            }
            if kind == .map {
                event.extent = try number("phys=", radix: nil)
                event.flags = UInt32(truncatingIfNeeded: try number("prot=", radix: nil))
            }
        }
        return event
    }

    /// A number behind a key. - Parameter radix: nil where `0x` says that it is hexadecimal.
    private func number(_ key: StaticString, radix: UInt?) throws(TraceTextError) -> UInt {
        guard let range = value(of: key) else { throw .fieldMissing(key) }
        var parser = self
        parser.position = range.lowerBound
        let isPrefixed = parser.accept("0x")
        let found = isPrefixed || radix == 16 ? parser.hexadecimal() : parser.decimal()
        guard let found, parser.position == range.upperBound else { throw .badField(key) }
        return found
    }

    private func optionalNumber(_ key: StaticString, radix: UInt?) throws(TraceTextError) -> UInt {
        value(of: key) == nil ? 0 : try number(key, radix: radix)
    }

    /// An address in hexadecimal; 0 where there is a name instead, or nothing.
    private func codeAddress(_ key: StaticString) -> UInt { (try? number(key, radix: 16)) ?? 0 }

    private func name(_ key: StaticString) -> TraceName {
        var name = TraceName()
        guard let range = value(of: key) else { return name }
        // Within the text.
        for place in range { name.set(place &- range.lowerBound, unsafe text[place]) }
        return name
    }

    private func flags() throws(TraceTextError) -> UInt32 {
        guard let range = value(of: "gfp_flags=") else { throw .fieldMissing("gfp_flags=") }
        var flags: UInt32 = 0
        var start = range.lowerBound
        while start < range.upperBound {
            var end = start
            // Within the text.
            while end < range.upperBound, unsafe text[end] != UInt8(ascii: "|") { end += 1 }
            guard let found = flag(start..<end) else { throw .badField("gfp_flags=") }
            flags |= found
            start = end &+ 1
        }
        return flags
    }

    private func flag(_ range: Range<Int>) -> UInt32? {
        if bytes(range, are: "none") { return 0 }
        for index in 0..<FlagName.count where bytes(range, are: FlagName.name(index).text) {
            return FlagName.name(index).flags.rawValue
        }
        var parser = self
        parser.position = range.lowerBound
        guard parser.accept("0x"), let bits = parser.hexadecimal(), parser.position == range.upperBound else {
            return nil
        }
        return UInt32(truncatingIfNeeded: bits)
    }

    /// Where the value behind a key is, which a space precedes; nil where there is no such key.
    private func value(of key: StaticString) -> Range<Int>? {
        var parser = self
        while parser.next != nil {
            parser.skipSpaces()
            if parser.accept(key) {
                let start = parser.position
                while let byte = parser.next, byte != UInt8(ascii: " "), byte != UInt8(ascii: "\r") {
                    parser.position += 1
                }
                return start..<parser.position
            }
            while let byte = parser.next, byte != UInt8(ascii: " ") { parser.position += 1 }
        }
        return nil
    }

    // MARK: Bytes

    private var next: UInt8? {
        // Within the text, as was just checked.
        unsafe position < text.count ? text[position] : nil
    }

    private mutating func skipSpaces() { while next == UInt8(ascii: " ") { position += 1 } }

    private mutating func accept(_ expected: StaticString) -> Bool {
        let end = position &+ expected.utf8CodeUnitCount
        guard unsafe end <= text.count, bytes(position..<end, are: expected) else { return false }
        position = end
        return true
    }

    private func bytes(_ range: Range<Int>, are expected: StaticString) -> Bool {
        guard range.count == expected.utf8CodeUnitCount else { return false }
        // Within the text, and of a StaticString, which lives as long as the image.
        for index in 0..<range.count where unsafe text[range.lowerBound + index] != expected.utf8Start[index] {
            return false
        }
        return true
    }

    /// The place of the next such byte.
    private func find(_ expected: StaticString) -> Int? {
        var place = position
        // As above.
        while unsafe place < text.count {
            if unsafe text[place] == expected.utf8Start[0] { return place }
            place += 1
        }
        return nil
    }

    private func lastDash(from start: Int, to end: Int) -> Int? {
        var place = end
        while place > start {
            place -= 1
            if unsafe text[place] == UInt8(ascii: "-") { return place }
        }
        return nil
    }

    private mutating func decimal() -> UInt? { digits(10) }

    private mutating func hexadecimal() -> UInt? { digits(16) }

    private mutating func digits(_ radix: UInt) -> UInt? {
        var value: UInt = 0
        let start = position
        while let byte = next, let digit = Self.digit(byte), digit < radix {
            let (product, tooLarge) = value.multipliedReportingOverflow(by: radix)
            let (sum, overflow) = product.addingReportingOverflow(digit)
            if tooLarge || overflow { return nil }
            value = sum
            position += 1
        }
        return position > start ? value : nil
    }

    private static func digit(_ byte: UInt8) -> UInt? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt(byte - UInt8(ascii: "a")) + 10
        default: nil
        }
    }
}
