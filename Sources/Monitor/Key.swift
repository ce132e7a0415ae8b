/// What a press of a key means to a line that is edited.
public enum Key: Equatable, Sendable {
    /// A printable ASCII character.
    case character(UInt8)
    case enter, tab
    case left, right, home, end, up, down
    /// Deletes the character before the cursor.
    case backspace
    /// Deletes the character under the cursor.
    case delete
    /// Ctrl-K, Ctrl-U and Ctrl-W: delete up to the line's end, from its start, and the word before the cursor.
    case killToEnd, killToStart, killWord
    /// Ctrl-L.
    case clearScreen
    /// Ctrl-C: forgets the line.
    case interrupt
    /// Ctrl-D: the end of input on an empty line, else as `delete`.
    case endOfInput
    /// Something that no line can hold: a byte that is neither ASCII nor a key that is known.
    case unknown
}
