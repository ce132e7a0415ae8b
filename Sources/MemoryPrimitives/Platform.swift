/// Whether interrupts were enabled before they were disabled; what `restoreInterrupts(_:)` goes back to.
public struct InterruptState: RawRepresentable, Sendable {
    public var rawValue: UInt

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
    static func disableInterrupts() -> InterruptState

    /// Puts interrupts back to how `disableInterrupts()` found them.
    static func restoreInterrupts(_ state: InterruptState)

    /// Drops the translation of the page at `address` from the TLB of every CPU that may hold it.
    static func flushPage(_ address: VirtualAddress)

    /// Drops all translations, global ones included, from the TLB of every CPU.
    static func flushAllPages()

    /// Tells the CPU that this is a spin loop.
    static func relax()

    /// A counter that grows with time: cycles, or executed instructions under `-icount`.
    static var cycleCounter: UInt64 { get }

    /// Fills the buffer with random bits, the best that the machine has.
    static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer)

    /// Takes note of a broken rule: a double free, a wild pointer, a damaged structure. The caller has changed nothing
    /// yet and, where this returns, carries on without obeying the request.
    static func report(_ violation: MemoryViolation)
}
