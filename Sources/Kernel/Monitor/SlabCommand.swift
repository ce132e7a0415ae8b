import KernelMemory
import MemoryPrimitives
import Monitor
import Slab

enum SlabWord: UInt8, WordChoice {
    case validate, shrink

    var word: StaticString {
        switch self {
        case .validate: "validate"
        case .shrink: "shrink"
        }
    }
}

/// `slab`: one cache, by its name in `slabinfo`.
enum SlabCommand {
    static func run(_ call: CommandCall) throws(CommandError) {
        let word = try call.text(1, "validate or shrink")
        guard let action = SlabWord(word) else { throw CommandError(expected: "validate or shrink", found: word) }
        let name = try call.text(2, "the name of a cache")
        try call.expectNoMore(than: 2)
        var isFound = false
        var result: UInt = 0
        call.memory.value.kmalloc.value.forEachCache { cache in
            if isFound || !isNamed(cache.name, name) { return }
            isFound = true
            result = action == .validate ? UInt(cache.validate()) : cache.shrink()
        }
        if !isFound { throw CommandError(expected: "the name of a cache", found: name) }
        switch action {
        case .validate: MonitorOutput.line("slab: \(name): \(result) things were wrong")
        case .shrink: MonitorOutput.line("slab: \(name): \(result) frames given back")
        }
    }

    private static func isNamed(_ name: CacheName, _ text: LineText) -> Bool {
        if name.byteCount != text.count { return false }
        for position in 0..<text.count where name[position] != text[position] { return false }
        return true
    }

    private static var mostNames: Int { 128 }
    nonisolated(unsafe) private static var names = InlineArray<4096, UInt8>(repeating: 0)

    /// The name of the `index`th cache, for the tab key: copied to a place of its own for each of the first 128.
    static func candidate(_ index: Int) -> LineText? {
        guard index < mostNames, let memory = unsafe Quarry.memory else { return nil }
        // A global's address does not change; a name has at most 31 bytes.
        let bytes =
            unsafe withUnsafeMutablePointer(to: &names) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: UInt8.self) + index * 32
        var number = 0
        var count = 0
        memory.value.kmalloc.value.forEachCache { cache in
            if number == index {
                count = cache.name.byteCount
                for position in 0..<count { unsafe bytes[position] = cache.name[position] }
            }
            number += 1
        }
        return unsafe count == 0 ? nil : LineText(UnsafeRawBufferPointer(start: bytes, count: count))
    }
}
