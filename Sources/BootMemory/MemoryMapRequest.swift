import MemoryPrimitives

/// What a word of the command line wants of the memory map.
public enum MemoryMapRequest: Equatable, Sendable {
    /// Memory at or above this address is not used.
    case limit(PhysicalAddress)
    /// The range is of this kind, whatever the firmware says; where that says something more restrictive, that holds.
    case add(PhysicalRange, MemoryKind)

    /// Reads an item of `memmap=`, as Linux does: `SIZE` alone is a limit, `SIZE@START` memory, `SIZE#START` ACPI tables,
    /// `SIZE$START` reserved and `SIZE!START` persistent memory. Nil where it is none of these, has no bytes or wraps.
    init?(item: Word) {
        // The line's bytes stay, by CommandLine.init's contract.
        var scanner = unsafe ByteScanner(item.bytes)
        guard let byteCount = scanner.size(), byteCount > 0 else { return nil }
        if scanner.isAtEnd {
            self = .limit(PhysicalAddress(byteCount))
            return
        }
        let kind: MemoryKind
        if scanner.accept(UInt8(ascii: "@")) {
            kind = .available
        } else if scanner.accept(UInt8(ascii: "#")) {
            kind = .acpiReclaimable
        } else if scanner.accept(UInt8(ascii: "$")) {
            kind = .reserved
        } else if scanner.accept(UInt8(ascii: "!")) {
            kind = .persistentLegacy
        } else {
            return nil
        }
        guard let start = scanner.size(), scanner.isAtEnd,
            let range = PhysicalRange(PhysicalAddress(start), byteCount: byteCount)
        else { return nil }
        self = .add(range, kind)
    }
}

extension Word {
    /// Calls `body` with each thing that the word wants of the memory map, in order, where it is `mem=` or `memmap=`.
    /// - Parameters:
    ///   - body: called with each wish, in the order in which they stand.
    ///   - malformed: called for a word, or for each of its items, that means nothing; the others hold.
    public func forEachMemoryMapRequest(
        _ body: (MemoryMapRequest) -> Void, malformed: (CommandLineError) -> Void
    ) {
        if hasKey("mem") {
            do throws(CommandLineError) {
                let byteCount = try size()
                // As in Linux: a machine without any memory is never meant.
                if byteCount == 0 { throw CommandLineError(kind: .notASize, word: self) }
                body(.limit(PhysicalAddress(byteCount)))
            } catch {
                malformed(error)
            }
        } else if hasKey("memmap") {
            if !hasValue { malformed(CommandLineError(kind: .valueMissing, word: self)) }
            for item in items {
                if let request = MemoryMapRequest(item: item) {
                    body(request)
                } else {
                    malformed(CommandLineError(kind: .notAMemoryRange, word: self))
                }
            }
        }
    }
}

extension FirmwareMap {
    /// Changes the map as the user asks for with `mem=` and `memmap=`, word by word: a limit takes away what is there by
    /// then.
    /// - Parameters:
    ///   - line: the command line.
    ///   - malformed: called for what means nothing; the rest holds.
    /// - Complexity: O(words n).
    public mutating func apply(_ line: CommandLine, malformed: (CommandLineError) -> Void) {
        for word in line.words {
            word.forEachMemoryMapRequest({ apply($0) }, malformed: malformed)
        }
    }

    private mutating func apply(_ request: MemoryMapRequest) {
        switch request {
        case .limit(let address): limitAvailable(to: address)
        case .add(let range, let kind):
            insert(base: UInt64(range.start.rawValue), byteCount: UInt64(range.byteCount), kind: kind)
        }
    }
}
