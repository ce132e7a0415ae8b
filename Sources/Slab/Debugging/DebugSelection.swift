import MemoryPrimitives

/// Which caches are debugged, and in what way: the value of `slub_debug=`, as Linux reads it.
///
///     slub_debug                everything, for all caches
///     slub_debug=FZ             what the letters say, for all caches
///     slub_debug=P,kmalloc-64   for the caches that are named; the others are as before
///     slub_debug=,dentry*       everything, for the caches whose names begin so
///     slub_debug=FZ;P,kmalloc-* blocks, of which the first that names a cache holds for it
///     slub_debug=-              nothing
///
/// F is for consistency checks, Z for red zones, P for poison, U for who allocated and freed, T for a line on each call.
@safe
public struct DebugSelection: Sendable {
    // As in CacheNameList.
    private nonisolated(unsafe) let text: UnsafeRawBufferPointer
    /// For caches that no block names.
    private var others = CacheFlags.none

    /// What letters stand for where there are none.
    static var standard: CacheFlags { .consistencyChecks | .redZone | .poison | .storeUser }

    /// No debugging.
    public init() { unsafe text = UnsafeRawBufferPointer(start: nil, count: 0) }

    /// Reads the value of `slub_debug=`.
    /// - Parameters:
    ///   - value: what stands behind `slub_debug=`; nil where there is no `=`. It must stay where it is.
    ///   - unknownLetter: is called with each letter that means nothing; it is passed over.
    @unsafe
    public init(_ value: UnsafeRawBufferPointer?, unknownLetter: (UInt8) -> Void) {
        guard let value = unsafe value, unsafe !value.isEmpty else {
            unsafe text = UnsafeRawBufferPointer(start: nil, count: 0)
            others = Self.standard
            return
        }
        unsafe text = value
        var position = 0
        while let block = nextBlock(from: &position, unknownLetter) {
            if !block.hasNames { others = block.flags }
        }
    }

    /// What is to be done for a cache besides what its maker asks for. - Complexity: O(bytes of the value).
    func flags(for name: CacheName) -> CacheFlags {
        var position = 0
        while let block = nextBlock(from: &position, { _ in }) {
            if block.hasNames, block.names.contains(name) { return block.flags }
        }
        return others
    }

    private struct Block {
        var flags = CacheFlags.none
        var hasNames = false
        var names = CacheNameList()
    }

    /// The block at `position`, which moves behind it; nil at the end.
    private func nextBlock(from position: inout Int, _ unknownLetter: (UInt8) -> Void) -> Block? {
        // Every index is below text.count.
        while unsafe position < text.count, unsafe text[position] == UInt8(ascii: ";") { position += 1 }
        guard unsafe position < text.count else { return nil }
        var block = Block()
        if unsafe text[position] == UInt8(ascii: ",") { block.flags = Self.standard }
        while unsafe position < text.count, unsafe text[position] != UInt8(ascii: ";"),
            unsafe text[position] != UInt8(ascii: ",")
        {
            apply(unsafe text[position], to: &block.flags, unknownLetter)
            position += 1
        }
        guard unsafe position < text.count, unsafe text[position] == UInt8(ascii: ",") else { return block }
        let start = position + 1
        while unsafe position < text.count, unsafe text[position] != UInt8(ascii: ";") { position += 1 }
        block.hasNames = true
        // Of the same text.
        block.names = unsafe CacheNameList(UnsafeRawBufferPointer(rebasing: text[start..<position]))
        return block
    }

    private func apply(_ letter: UInt8, to flags: inout CacheFlags, _ unknownLetter: (UInt8) -> Void) {
        switch letter | 0x20 {
        case UInt8(ascii: "f"): flags.formUnion(.consistencyChecks)
        case UInt8(ascii: "z"): flags.formUnion(.redZone)
        case UInt8(ascii: "p"): flags.formUnion(.poison)
        case UInt8(ascii: "u"): flags.formUnion(.storeUser)
        case UInt8(ascii: "t"): flags.formUnion(.trace)
        case UInt8(ascii: "-"): flags = .none
        default: unknownLetter(letter)
        }
    }
}
