import MemoryPrimitives
import PageFrames
import Synchronization

/// What all watched caches share: what was chosen, what was found, and the objects in quarantine.
///
/// Lock order: the lock here, then a cache's.
struct SlabDebugging<P: Platform>: ~Copyable {
    let options: SlabOptions
    let quarantine: Quarantine<P>

    /// Held while an object's surroundings are looked at or written, so that a walk over all slabs sees each object as it
    /// is, and not half-way from free to allocated.
    let lock = SpinLock<P>()

    /// What was reported, and what was made good after that: SLUB's `BUG` and `FIX` lines.
    private let reports = Atomic<UInt>(0)
    private let repairs = Atomic<UInt>(0)

    /// Allocations until one fails on purpose, that one included; 0 where none is to.
    let failureCountdown: Atomic<UInt>
    /// Allocations that failed on purpose.
    let injectedFailures = Atomic<UInt>(0)
    /// What decides on failures by probability: the same each time, so that a boot can be repeated.
    let draws = Atomic<UInt64>(0)

    /// - Returns: nil where there is no memory for the quarantine.
    init?(frames: Permanent<PageFrameAllocator<P>>, options: SlabOptions) {
        var ring: UnsafeMutableRawPointer?
        if options.quarantineByteCount > 0 {
            let order = Quarantine<P>.order(byteLimit: options.quarantineByteCount)
            guard let frame = frames.value.allocate(order: order, flags: .kernel | .noLeakTrace) else { return nil }
            // A block just allocated, which the direct map covers.
            unsafe ring = frames.value.directMap.pointer(to: frame)
        }
        unsafe quarantine = Quarantine(in: ring, byteLimit: options.quarantineByteCount)
        self.options = options
        failureCountdown = Atomic(options.failures?.nth ?? 0)
    }

    /// The frames of the quarantine's own memory.
    var frameCount: UInt {
        quarantine.isActive ? 1 << UInt(Quarantine<P>.order(byteLimit: options.quarantineByteCount)) : 0
    }

    /// Gives the quarantine's memory back. There is no cache any more.
    func giveBack(to frames: Permanent<PageFrameAllocator<P>>) {
        guard let memory = quarantine.memory else { return }
        let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(memory))
        frames.value.free(
            PageFrameNumber(containing: physical), order: Quarantine<P>.order(byteLimit: options.quarantineByteCount))
    }

    /// Reports a violation: the end, unless the options say otherwise.
    func report(_ violation: MemoryViolation) {
        var violation = violation
        violation.mayContinue = options.continuesAfterErrors
        reports.add(1, ordering: .relaxed)
        P.report(violation)
    }

    /// Counts that something reported was made good, or something told of each object that it concerns.
    func countRepair(_ count: UInt = 1) { repairs.add(count, ordering: .relaxed) }

    /// See `Kmalloc.errorFigures`.
    var figures: (reports: UInt, repairs: UInt) {
        (reports.load(ordering: .relaxed), repairs.load(ordering: .relaxed))
    }
}
