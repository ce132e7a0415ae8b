import MemoryPrimitives

/// Who called an allocator: the nearest caller that is none of the allocators' own functions.
enum CallSite {
    // What was found out of return addresses: the address, its highest bit cleared for one within the allocators. All lie in
    // the image, in the upper half.
    nonisolated(unsafe) private static var known = InlineArray<64, UInt>(repeating: 0)

    private static var upperHalf: UInt { 1 << 63 }

    /// 0 where all callers are the allocators' own. - Complexity: O(callers), once the names have been looked at.
    @inline(never)
    static func find() -> UInt {
        var trace = StackTrace()
        X86Platform.captureTrace(into: &trace)
        for index in 0..<StackTrace.capacity {
            let address = trace[index]
            if address == 0 { return 0 }
            if !isWithinAllocators(address) { return address }
        }
        return 0
    }

    private static func isWithinAllocators(_ address: UInt) -> Bool {
        // A global's address does not change, and the place is below the array's count.
        let place =
            unsafe withUnsafeMutablePointer(to: &known) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: UInt.self) + Int((address >> 1 ^ address >> 7) & 63)
        let found = unsafe place.pointee
        if found | upperHalf == address { return found & upperHalf == 0 }
        let isWithin = hasAllocatorsName(address &- 1)
        unsafe place.pointee = isWithin ? address & ~upperHalf : address
        return isWithin
    }

    @inline(never)
    private static func hasAllocatorsName(_ address: UInt) -> Bool {
        SymbolTable.name(at: address, contains: "Tracer.") || SymbolTable.name(at: address, contains: "X86Platform.")
            || SymbolTable.name(at: address, contains: "Magazine.")
            || SymbolTable.name(at: address, contains: "SlabCache.")
            || SymbolTable.name(at: address, contains: "Kmalloc.")
            || SymbolTable.name(at: address, contains: "CacheReference.")
            || SymbolTable.name(at: address, contains: "Vmalloc.")
            || SymbolTable.name(at: address, contains: "PageTables.")
            || SymbolTable.name(at: address, contains: "CallSite.")
    }
}
