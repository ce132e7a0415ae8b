/// Whether interrupts were enabled before they were disabled; what `restoreInterrupts(_:)` goes back to.
public struct InterruptState: RawRepresentable, Sendable {
    /// What the platform needs to go back: for x86-64 the flags register.
    public var rawValue: UInt

    /// A state of which only the platform knows what it means.
    @inline(__always)
    public init(rawValue: UInt) { self.rawValue = rawValue }
}

/// What floors 0 to 5 need from a machine, and the only seam to it.
///
/// All requirements are static: types are generic over the platform and Embedded Swift specialises them to nothing.
public protocol Platform {
    /// The number of CPUs that per-CPU data has room for; fixed before the first allocator is brought up.
    static var cpuCount: Int { get }

    /// The CPU that runs this, `0 ..< cpuCount`. Stable only while interrupts are disabled.
    static var currentCPU: Int { get }

    /// Disables interrupts on this CPU and says how they were.
    /// - Returns: what `restoreInterrupts(_:)` is to be given.
    static func disableInterrupts() -> InterruptState

    /// Puts interrupts back to how `disableInterrupts()` found them.
    static func restoreInterrupts(_ state: InterruptState)

    /// Whether code that runs now may wait: not in an interrupt handler, and not while this CPU holds a spin lock.
    static var mayWait: Bool { get }

    /// This CPU has taken a spin lock, or has begun to handle an interrupt. Interrupts are disabled.
    static func enterAtomicContext()

    /// The opposite of the latest `enterAtomicContext()`. Interrupts are disabled.
    static func leaveAtomicContext()

    /// Drops the translation of the page at `address` from the TLB of every CPU that may hold it.
    static func flushPage(_ address: VirtualAddress)

    /// Drops the translations of the pages at `addresses`, of which there is at least one, from the TLB of every CPU that
    /// may hold them: one round of messages where other CPUs are to be told.
    static func flushPages(_ addresses: UnsafeBufferPointer<VirtualAddress>)

    /// As `flushPages`, of the pages of `range`, which are few and at least one.
    static func flushPages(in range: VirtualRange)

    /// Drops all translations, global ones included, from the TLB of every CPU.
    static func flushAllPages()

    /// Drops the translation of the page at `address` from the TLB of this CPU alone: for a page that all others are told of
    /// later, in one round for many.
    static func flushOwnPage(_ address: VirtualAddress)

    /// Drops all translations, global ones included, from the TLB of this CPU alone.
    static func flushAllOwnPages()

    /// Tells the CPU that this is a spin loop.
    static func relax()

    /// A counter that grows with time: cycles, or executed instructions under `-icount`.
    static var cycleCounter: UInt64 { get }

    /// Fills the buffer with random bits, the best that the machine has.
    static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer)

    /// Fills `count` pages from `start`, a page boundary, with zeroes, as fast as the machine can.
    static func clearPages(_ start: UnsafeMutableRawPointer, count: Int)

    /// Fills `count` bytes, a multiple of 8, with zeroes: for objects, which are mostly small.
    static func clear(_ start: UnsafeMutableRawPointer, byteCount: UInt)

    /// Adds this code's callers to `trace`, the nearest first, as far as they can be found.
    static func captureTrace(into trace: inout StackTrace)

    /// Takes note of a broken rule: a double free, a wild pointer, a damaged structure. The caller has changed nothing
    /// yet and, where this returns, carries on without obeying the request.
    static func report(_ violation: MemoryViolation)

    /// Takes note of a request for page frames that could not be met, and that did not ask for silence.
    static func report(_ failure: FailedAllocation)

    /// Takes note of a call on a cache whose calls are to be told to the log.
    static func report(_ traced: TracedObject)

    /// Which events `trace` is to be told of; none where nothing is traced. See `KernelMemory.setTracing`.
    static var tracedEvents: TraceSelection { get }

    /// Takes note of an event, of a kind that was selected or of another, which is dropped. Its time, CPU, depth, context and,
    /// where it is 0, caller are the platform's to fill in. Called from any context, with any lock held.
    static func trace(_ event: borrowing TraceEvent)

    /// A call that is traced begins: what this CPU traces until its end is nested.
    /// - Returns: what `leaveTracedCall` must be given.
    static func enterTracedCall() -> UInt

    /// The opposite of the latest `enterTracedCall`.
    static func leaveTracedCall(_ outer: UInt)
}

extension Platform {
    /// Clears the pages word by word; a platform that has a faster way brings its own.
    public static func clearPages(_ start: UnsafeMutableRawPointer, count: Int) {
        // Whole pages that the caller owns.
        unsafe start.initializeMemory(
            as: UInt64.self, repeating: 0, count: count &* Int(bitPattern: PageSize.byteCount) / 8)
    }

    /// Takes no note: a platform without a log need not say anything.
    public static func report(_ traced: TracedObject) {}

    /// Traces nothing.
    @inline(__always)
    public static var tracedEvents: TraceSelection { .none }

    /// Takes no note.
    @inline(__always)
    public static func trace(_ event: borrowing TraceEvent) {}

    /// Counts nothing. - Returns: 0.
    @inline(__always)
    public static func enterTracedCall() -> UInt { 0 }

    /// Counts nothing.
    @inline(__always)
    public static func leaveTracedCall(_ outer: UInt) {}

    /// Flushes the pages one by one; a platform that can tell all CPUs in one round brings its own.
    @inline(__always)
    public static func flushPages(_ addresses: UnsafeBufferPointer<VirtualAddress>) {
        // The caller's buffer, which it keeps for the call.
        for index in addresses.indices { unsafe flushPage(addresses[index]) }
    }

    /// Flushes each page of the range, in one call of `flushPages(_:)`.
    @inline(__always)
    public static func flushPages(in range: VirtualRange) {
        let count = Int(bitPattern: range.byteCount &>> PageSize.shift)
        // Filled to its end.
        unsafe withUnsafeTemporaryAllocation(of: VirtualAddress.self, capacity: count) { pages in
            for index in 0..<count {
                unsafe pages.initializeElement(at: index, to: range.start + UInt(bitPattern: index) &<< PageSize.shift)
            }
            unsafe flushPages(UnsafeBufferPointer(pages))
        }
    }

    /// Tells every CPU, which is more than is asked for.
    @inline(__always)
    public static func flushOwnPage(_ address: VirtualAddress) { flushPage(address) }

    /// Tells every CPU, which is more than is asked for.
    @inline(__always)
    public static func flushAllOwnPages() { flushAllPages() }

    /// Clears the bytes; a platform that has a faster way brings its own.
    @inline(__always)
    public static func clear(_ start: UnsafeMutableRawPointer, byteCount: UInt) {
        // Bytes that the caller owns.
        unsafe start.initializeMemory(as: UInt64.self, repeating: 0, count: Int(bitPattern: byteCount &>> 3))
    }

    /// Finds no caller.
    public static func captureTrace(into trace: inout StackTrace) {}
}
