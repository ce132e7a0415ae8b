import MemoryPrimitives

/// Names of caches as the command line lists them: `kmalloc-64,dentry*`. A star stands for the rest of a name.
@safe
struct CacheNameList: Sendable {
    // Never written to, and in place for as long as the list is used, by init's contract.
    private nonisolated(unsafe) let text: UnsafeRawBufferPointer

    /// - Parameter text: the names, with commas between them. It must stay where it is.
    @unsafe
    init(_ text: UnsafeRawBufferPointer) { unsafe self.text = text }

    /// An empty list.
    init() { unsafe text = UnsafeRawBufferPointer(start: nil, count: 0) }

    var isEmpty: Bool { unsafe text.isEmpty }

    /// Whether a cache is named. - Complexity: O(bytes of the list).
    func contains(_ name: CacheName) -> Bool {
        var start = 0
        // Each index is below text.count.
        while unsafe start < text.count {
            var end = start
            while unsafe end < text.count, unsafe text[end] != UInt8(ascii: ",") { end += 1 }
            if end > start, matches(name, start..<end) { return true }
            start = end + 1
        }
        return false
    }

    private func matches(_ name: CacheName, _ item: Range<Int>) -> Bool {
        for place in 0..<item.count {
            // Within the item, and so within the text.
            let byte = unsafe text[item.lowerBound + place]
            if byte == UInt8(ascii: "*") { return true }
            if place >= name.byteCount || name[place] != byte { return false }
        }
        return item.count == name.byteCount
    }
}
