import MemoryPrimitives

/// The memory that the allocators' own values live in, handed out from the front and never given back.
@safe
struct RootMemory: ~Copyable {
    private var next: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer

    /// - Parameter memory: page-aligned, writable, and never given back.
    @unsafe
    init(_ memory: UnsafeMutableRawPointer, byteCount: UInt) {
        unsafe next = memory
        unsafe end = memory + Int(byteCount)
    }

    /// Bytes that `Value` takes, its alignment included.
    static func byteCount<Value: ~Copyable>(of type: Value.Type) -> UInt {
        UInt(MemoryLayout<Value>.size + 63) & ~63
    }

    /// Moves `value` to where it stays.
    mutating func place<Value: ~Copyable>(_ value: consuming Value) -> Permanent<Value> {
        unsafe Permanent(to: placeMutable(value))
    }

    /// As `place`, for a value that its one user goes on changing for a while.
    @unsafe
    mutating func placeMutable<Value: ~Copyable>(_ value: consuming Value) -> UnsafeMutablePointer<Value> {
        let byteCount = Int(Self.byteCount(of: Value.self))
        precondition(unsafe next + byteCount <= end, "the root's memory was measured too small")
        // Free, aligned to 64, within the root's memory, and handed out once.
        let pointer = unsafe next.bindMemory(to: Value.self, capacity: 1)
        unsafe next += byteCount
        unsafe pointer.initialize(to: value)
        return unsafe pointer
    }
}
