import MemoryPrimitives

/// What unused stack is filled with, so that how deep a stack went can be read off later.
enum StackPaint {
    /// All bytes are alike, so that a page is filled by the fastest fill there is; as an address it is not canonical.
    static var byte: UInt8 { 0xac }
    static var word: UInt64 { 0xacac_acac_acac_acac }

    /// Fills a frame that nobody else uses, from `offset` on, a multiple of 8.
    static func fill(_ frame: PageFrameNumber, from offset: UInt = 0, _ directMap: DirectMap) {
        let start = unsafe directMap.pointer(to: frame) + Int(bitPattern: offset)
        // No further than to the frame's end.
        unsafe start.initializeMemory(
            as: UInt8.self, repeating: byte, count: Int(bitPattern: PageSize.byteCount &- offset))
    }

    /// The offset of the first word of a stack's frame that is not paint; nil where all is.
    /// - Complexity: O(words that are paint), eight at a time.
    static func firstUsed(_ frame: PageFrameNumber, _ directMap: DirectMap) -> UInt? {
        // The stack's own frame; a word that is being written reads as one or the other.
        let words = unsafe directMap.pointer(to: frame).assumingMemoryBound(to: UInt64.self)
        let count = Int(bitPattern: PageSize.byteCount / 8)
        var index = 0
        while index < count {
            var difference: UInt64 = 0
            // A frame's words are a multiple of eight.
            for offset in 0..<8 { difference |= unsafe words[index &+ offset] ^ word }
            if difference != 0 { break }
            index &+= 8
        }
        while index < count {
            if unsafe words[index] != word { return UInt(bitPattern: index) &* 8 }
            index &+= 1
        }
        return nil
    }
}
