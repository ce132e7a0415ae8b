import MemoryPrimitives
import PageFrames
import Synchronization

// Linux's names for the calls that look at what is in the memory.
extension Kmalloc {
    /// Memory with a copy of `byteCount` bytes at `source`.
    /// - Returns: nil where there is no memory. - Complexity: O(bytes).
    ///   Any context, unless the flags let it wait.
    public func kmemdup(
        _ source: UnsafeRawPointer, _ byteCount: UInt, _ flags: AllocationFlags
    ) -> UnsafeMutableRawPointer? {
        guard let copy = unsafe allocate(byteCount, flags: flags) else { return nil }
        // The caller's bytes, and new memory with as many. (That of no bytes is not written to.)
        unsafe copy.copyMemory(from: source, byteCount: Int(bitPattern: byteCount))
        return unsafe copy
    }

    /// A copy of a string of C, with the 0 at its end. - Parameter string: nil returns nil.
    /// - Returns: nil where there is no memory. - Complexity: O(bytes).
    ///   Any context, unless the flags let it wait.
    public func kstrdup(_ string: UnsafePointer<CChar>?, _ flags: AllocationFlags) -> UnsafeMutablePointer<CChar>? {
        unsafe kstrndup(string, .max, flags)
    }

    /// As `kstrdup`, of at most the first `most` bytes, with a 0 behind them.
    /// - Complexity: O(bytes). Any context, unless the flags let it wait.
    public func kstrndup(
        _ string: UnsafePointer<CChar>?, _ most: UInt, _ flags: AllocationFlags
    ) -> UnsafeMutablePointer<CChar>? {
        guard let string = unsafe string else { return nil }
        var length: UInt = 0
        // The caller's string, up to its end.
        while length < most, unsafe string[Int(bitPattern: length)] != 0 { length += 1 }
        guard let memory = unsafe allocate(length + 1, flags: flags) else { return nil }
        unsafe memory.copyMemory(from: string, byteCount: Int(bitPattern: length))
        let copy = unsafe memory.bindMemory(to: CChar.self, capacity: Int(bitPattern: length) + 1)
        unsafe copy[Int(bitPattern: length)] = 0
        return unsafe copy
    }

    /// Overwrites all of an allocation with zeroes, then frees it: for keys and the like, which nobody is to find later.
    ///
    /// What is not allocated is reported as `kfree` would, and nothing is written.
    /// - Parameter pointer: what an allocation returned; nil and `zeroSizeAddress` are fine. - Complexity: O(bytes).
    ///   Any context.
    public func kfree_sensitive(_ pointer: UnsafeMutableRawPointer?) {
        let byteCount = unsafe size(of: pointer)
        if byteCount > 0, let pointer = unsafe pointer { unsafe Self.wipe(pointer, byteCount) }
        // What size(of:) has reported is not to be reported twice.
        if byteCount > 0 || UInt(bitPattern: pointer) == Self.zeroSizeAddress { unsafe free(pointer) }
    }

    /// Writes zeroes in a way that a compiler which knows that nobody reads them must not leave out: atomically.
    @inline(never)
    private static func wipe(_ pointer: UnsafeMutableRawPointer, _ byteCount: UInt) {
        // An allocation's bytes, a multiple of 8 and aligned to it; any bytes are a valid word.
        let words = unsafe pointer.assumingMemoryBound(to: Atomic<UInt64>.self)
        for index in 0..<Int(bitPattern: byteCount / 8) { unsafe words[index].store(0, ordering: .relaxed) }
    }
}
