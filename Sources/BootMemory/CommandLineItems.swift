extension Word {
    /// The parts of the value between commas, in order, each as a word of its own. None where there is no value; an empty
    /// part is an empty word.
    public var items: Items { unsafe Items(value) }

    /// Walks along the parts of a value.
    @safe
    public struct Items: Sequence, IteratorProtocol {
        // What is left, behind the last comma; nil at the end. In place for as long as the line's bytes are.
        private var rest: UnsafeRawBufferPointer?

        @unsafe
        init(_ value: UnsafeRawBufferPointer?) { unsafe rest = value }

        /// The next item, which may be empty; nil behind the last.
        public mutating func next() -> Word? {
            guard let rest = unsafe rest else { return nil }
            var length = 0
            // length < rest.count.
            while length < rest.count, unsafe rest[length] != UInt8(ascii: ",") { length += 1 }
            let isLast = length == rest.count
            unsafe self.rest = isLast ? nil : UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
            return unsafe Word(UnsafeRawBufferPointer(rebasing: rest[..<length]))
        }
    }
}
