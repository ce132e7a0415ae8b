import BootMemory
import MemoryPrimitives

/// What `trace=ITEM,ITEM` and `trace_buf_size=SIZE` ask for. Items are events, `on` for all of them, `off`, and `com2` to have
/// them streamed to the second serial port.
struct TraceParameters {
    var selection = TraceSelection(rawValue: 0)
    var streams = false
    /// Whether what is in the ring is printed when the kernel ends (`report=trace`).
    var isReported = false
    /// Room for events, in bytes for each CPU; rounded down to a power of two.
    var byteCount: UInt = 512 << 10

    /// - Returns: whether the word is one of these.
    mutating func apply(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("trace_buf_size") {
            byteCount = try word.size()
            return true
        }
        guard word.hasKey("trace") else { return false }
        if !word.hasValue { throw CommandLineError(kind: .valueMissing, word: word) }
        selection = TraceSelection(rawValue: 0)
        streams = false
        for item in word.items { read(item) }
        return true
    }

    private mutating func read(_ item: Word) {
        if item.hasKey("com2") {
            streams = true
        } else if let found = TraceSelection(named: item) {
            selection = found.rawValue == 0 ? found : selection.union(found)
        } else {
            unsafe Log.warning("trace: unknown event \"\(item.bytes)\"")
        }
    }
}

extension TraceSelection {
    /// What an item of `trace=` stands for: an event by its name, `on` or `all`, `off` for none.
    init?(named item: Word) {
        if item.hasKey("on") || item.hasKey("all") {
            self = .all
            return
        }
        if item.hasKey("off") {
            self.init(rawValue: 0)
            return
        }
        var value: UInt8 = 0
        while let kind = TraceKind(rawValue: value) {
            if item.hasKey(kind.name) {
                self.init(kind)
                return
            }
            value += 1
        }
        return nil
    }
}
