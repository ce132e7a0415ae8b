/// A line of bounded length with a cursor, in memory that its owner has given it.
///
/// Each change takes time in proportion to the line's length. Nothing here draws.
@safe
struct EditedLine: ~Copyable {
    private let bytes: UnsafeMutablePointer<UInt8>
    /// How many bytes it can have.
    let capacity: Int
    private(set) var count = 0
    /// Which byte the cursor stands on, or `count` behind the last one.
    private(set) var cursor = 0
    /// Set where a character found no room; the line is then not what was typed, until it is changed on purpose.
    private(set) var isTooLong = false

    /// - Parameter memory: this line's alone, for as long as it is used, and no more than 255 bytes of it.
    @unsafe
    init(_ memory: UnsafeMutableBufferPointer<UInt8>) {
        guard let start = memory.baseAddress else { preconditionFailure("a line needs memory") }
        unsafe bytes = start
        capacity = min(memory.count, 255)
    }

    /// What it holds; valid until it is changed.
    var text: LineText {
        // count <= capacity.
        unsafe LineText(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    mutating func moveLeft() { if cursor > 0 { cursor -= 1 } }
    mutating func moveRight() { if cursor < count { cursor += 1 } }
    mutating func moveHome() { cursor = 0 }
    mutating func moveToEnd() { cursor = count }

    /// Puts a character before the cursor. - Returns: false where there is no room for it.
    mutating func insert(_ byte: UInt8) -> Bool {
        if count == capacity {
            isTooLong = true
            return false
        }
        // count < capacity, and the bytes from the cursor on move by one.
        unsafe UnsafeMutableRawPointer(bytes + cursor + 1).copyMemory(from: bytes + cursor, byteCount: count - cursor)
        unsafe bytes[cursor] = byte
        count += 1
        cursor += 1
        return true
    }

    mutating func deleteBackward() { if cursor > 0 { remove(from: cursor - 1, to: cursor) } }
    mutating func deleteForward() { if cursor < count { remove(from: cursor, to: cursor + 1) } }
    mutating func deleteToEnd() { remove(from: cursor, to: count) }
    mutating func deleteToStart() { remove(from: 0, to: cursor) }

    /// Deletes the spaces before the cursor, and the word before them.
    mutating func deleteWord() {
        var start = cursor
        // start > 0.
        while start > 0, unsafe LineWords.isSpace(bytes[start - 1]) { start -= 1 }
        while start > 0, unsafe !LineWords.isSpace(bytes[start - 1]) { start -= 1 }
        remove(from: start, to: cursor)
    }

    /// Makes it `text`, or so much of it as there is room for, with the cursor at its end. `text` lies elsewhere.
    mutating func replace(with text: LineText) {
        count = min(text.count, capacity)
        for index in 0..<count { unsafe bytes[index] = text[index] }
        cursor = count
        isTooLong = false
    }

    /// Makes it an empty one.
    mutating func clear() { replace(with: LineText("")) }

    /// Removes the bytes from `start` up to `end`, between which or at whose end the cursor stands.
    private mutating func remove(from start: Int, to end: Int) {
        // 0 <= start <= end <= count.
        unsafe UnsafeMutableRawPointer(bytes + start).copyMemory(from: bytes + end, byteCount: count - end)
        count -= end - start
        cursor = start
        isTooLong = false
    }
}
