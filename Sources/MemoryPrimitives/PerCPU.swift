/// One value for each CPU, each on cache lines of its own, in memory that the owner provides.
///
/// A CPU touches only its own value, with interrupts disabled: no lock and no atomic instruction.
@safe
public struct PerCPU<Value: ~Copyable, P: Platform>: @unchecked Sendable {
    private let base: UnsafeMutableRawPointer

    /// Bytes from one CPU's value to the next: a multiple of the cache line.
    @inline(__always)
    private static var stride: Int { (MemoryLayout<Value>.size + 63) & ~63 }

    /// Bytes of memory that `init` needs, aligned to 64.
    public static var byteCount: Int { stride * P.cpuCount }

    /// Places one value for each CPU in `memory`: `byteCount` bytes, aligned to 64, never given back.
    @unsafe
    public init(in memory: UnsafeMutableRawPointer, _ makeValue: (_ cpu: Int) -> Value) {
        unsafe base = memory
        for cpu in 0..<P.cpuCount {
            unsafe (memory + cpu * Self.stride).bindMemory(to: Value.self, capacity: 1).initialize(to: makeValue(cpu))
        }
    }

    /// Places one value for each CPU in `memory`, as above, each of whose bytes is 0: for values that begin so, and are
    /// too large to be made on a stack.
    @unsafe
    public init(zeroedIn memory: UnsafeMutableRawPointer) {
        unsafe base = memory
        unsafe memory.initializeMemory(as: UInt64.self, repeating: 0, count: Self.byteCount / 8)
        for cpu in 0..<P.cpuCount { unsafe (memory + cpu * Self.stride).bindMemory(to: Value.self, capacity: 1) }
    }

    /// Runs `body` on this CPU's value with interrupts disabled.
    /// - Returns: what `body` returns.
    @inline(__always)
    public func withCurrent<Result: ~Copyable>(_ body: (inout Value) -> Result) -> Result {
        let state = P.disableInterrupts()
        defer { P.restoreInterrupts(state) }
        // This CPU's own slot, and nothing else runs on this CPU until interrupts are restored.
        return unsafe body(&pointer(P.currentCPU).pointee)
    }

    /// A CPU's value, for this CPU with interrupts disabled, or where the owner knows that no other code runs.
    @unsafe
    @inline(__always)
    public func pointer(_ cpu: Int) -> UnsafeMutablePointer<Value> {
        unsafe (base + cpu &* Self.stride).assumingMemoryBound(to: Value.self)
    }
}
