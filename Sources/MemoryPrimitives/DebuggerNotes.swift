/// Where the allocators note down, once, where their values lie: for a debugger, which then needs no knowledge of its own of
/// how this build lays out types.
///
/// A note is a name and a number: an address, an offset in bytes, a size in bytes, or a count. The names are what
/// `gdb/quarry` asks for: `zone0.free_counts`, `area.start`. Offsets are the distances of real
/// places (`noteOffset`), so that they are true whatever the compiler does with a type.
@safe
public struct DebuggerNotes {
    /// A note as it lies in memory: the address of its name, which ends with NUL, and its value.
    struct Note {
        let name: UInt
        let value: UInt
    }

    private let notes: UnsafeMutableBufferPointer<Note>

    /// The number of notes.
    public private(set) var count = 0

    /// Bytes of a note.
    public static var noteByteCount: Int { MemoryLayout<Note>.stride }

    /// No notes yet, and room for some.
    ///
    /// - Parameter memory: whole notes, aligned to 8, written to as long as this value is in use.
    @unsafe
    public init(in memory: UnsafeMutableRawBufferPointer) { unsafe notes = memory.bindMemory(to: Note.self) }

    /// Notes a number down. Where there is no room it is left out: who asks for it says that it is missing.
    ///
    /// - Parameters:
    ///   - name: what it is asked for by; each name once.
    ///   - value: an address, an offset or a size in bytes, or a count, as the name says.
    /// - Complexity: O(1). For one CPU, which has the memory.
    @inline(never)
    public mutating func note(_ name: StaticString, _ value: UInt) {
        // Within the caller's memory, by the check.
        guard unsafe count < notes.count else { return }
        // A StaticString's bytes live as long as the image.
        unsafe (notes.baseAddress.unsafelyUnwrapped + count).initialize(
            to: Note(name: UInt(bitPattern: name.utf8Start), value: value))
        count += 1
    }

    /// Notes down a size or a count.
    ///
    /// - Parameters:
    ///   - name: as above.
    ///   - value: a size in bytes or a count, not negative.
    /// - Complexity: O(1). As above.
    public mutating func note(_ name: StaticString, _ value: Int) { note(name, UInt(bitPattern: value)) }

    /// Notes down how far a stored property lies from the start of its value.
    ///
    /// - Parameters:
    ///   - name: what it is asked for by.
    ///   - property: the property, in place. Nothing is read or written.
    ///   - base: the address of the value.
    /// - Complexity: O(1). As above.
    @inline(__always)
    public mutating func noteOffset<Property: ~Copyable>(
        _ name: StaticString, of property: inout Property, from base: UInt
    ) {
        // Only the address is taken.
        note(name, unsafe withUnsafeMutablePointer(to: &property) { UInt(bitPattern: $0) } &- base)
    }
}
