/// A reference to a value that stays where it is for the kernel's life: how one allocator knows another.
///
/// The composition root places each owner (which is `~Copyable`) once, in memory that is never given back, and hands
/// out these. Their methods borrow, so that several CPUs may call at once; what changes stands behind a lock.
@safe
public struct Permanent<Value: ~Copyable>: @unchecked Sendable {
    private let pointer: UnsafeMutablePointer<Value>

    /// Moves `value` to `pointer`, which must be writable, aligned, and never given back.
    @unsafe
    @inline(__always)
    public init(placing value: consuming Value, at pointer: UnsafeMutablePointer<Value>) {
        unsafe pointer.initialize(to: value)
        unsafe self.pointer = pointer
    }

    /// Refers to the value at `pointer`, which stays there, initialised, for good, and no longer changes but by its own
    /// methods.
    @unsafe
    @inline(__always)
    public init(to pointer: UnsafeMutablePointer<Value>) { unsafe self.pointer = pointer }

    /// What the reference leads to, borrowed.
    @inline(__always)
    public var value: Value {
        // Placed by init and never moved or freed, by init's contract.
        unsafeAddress { unsafe UnsafePointer(pointer) }
    }

    /// Where the value is, for those who keep references to values of several types in one table.
    @unsafe
    @inline(__always)
    public var address: UnsafeMutablePointer<Value> { unsafe pointer }

    /// Ends the value, for hosts that run many machines in one process. Nobody may use a copy of this afterwards.
    @unsafe
    public func destroy() { unsafe pointer.deinitialize(count: 1) }
}
