import MemoryPrimitives
import Monitor

/// What `alloc` has brought and `free` has not taken back yet, by name: static memory, so that it needs none when there is
/// none.
enum HeldTable {
    static var capacity: Int { 128 }
    static var longestName: Int { 15 }
    private static var nameSize: Int { 16 }

    /// For each place a byte with the name's length, 0 where the place is free, and the name.
    nonisolated(unsafe) private static var names = InlineArray<2048, UInt8>(repeating: 0)
    nonisolated(unsafe) private static var allocations = InlineArray<128, HeldAllocation>(
        repeating: HeldAllocation(kind: .pages, size: 0, address: 0, companion: 0))

    // Globals' addresses do not change. `index` is one of 0..<capacity.

    private static func nameBytes(_ index: Int) -> UnsafeMutablePointer<UInt8> {
        unsafe withUnsafeMutablePointer(to: &names) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: UInt8.self) + index * nameSize
    }

    private static func allocation(_ index: Int) -> UnsafeMutablePointer<HeldAllocation> {
        unsafe withUnsafeMutablePointer(to: &allocations) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: HeldAllocation.self) + index
    }

    /// The name at a place; nil where it is free.
    static func name(_ index: Int) -> LineText? {
        let bytes = unsafe nameBytes(index)
        if unsafe bytes.pointee == 0 { return nil }
        // The bytes change only when the place is another's.
        return unsafe LineText(UnsafeRawBufferPointer(start: bytes + 1, count: Int(bytes.pointee)))
    }

    static func held(_ index: Int) -> HeldAllocation { unsafe allocation(index).pointee }

    /// The place of a name; nil where nothing is held by it.
    static func index(of name: LineText) -> Int? {
        for index in 0..<capacity { if let found = Self.name(index), found == name { return index } }
        return nil
    }

    /// The first place that is free; nil where there is none.
    static var freeIndex: Int? {
        for index in 0..<capacity where name(index) == nil { return index }
        return nil
    }

    /// Keeps an allocation at a free place, by a name of 1 to `longestName` bytes.
    static func set(_ index: Int, _ name: LineText, _ held: HeldAllocation) {
        unsafe allocation(index).pointee = held
        let bytes = unsafe nameBytes(index)
        for position in 0..<name.count { unsafe bytes[position + 1] = name[position] }
        unsafe bytes.pointee = UInt8(name.count)
    }

    static func clear(_ index: Int) { unsafe nameBytes(index).pointee = 0 }

    /// The `index`th name that is held, for the tab key.
    static func candidate(_ index: Int) -> LineText? {
        var rest = index
        for place in 0..<capacity {
            guard let name = name(place) else { continue }
            if rest == 0 { return name }
            rest -= 1
        }
        return nil
    }
}
