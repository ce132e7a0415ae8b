import MemoryPrimitives
import Synchronization

/// What an allocator checks and lets fail beyond what it always does.
///
/// Where anything is active the frame caches are off, so that each call takes the slow way, which asks `areActive` and
/// leaves for `allocateChecked` or `putChecked`. The fast ways know nothing of all this.
struct CheckState<P: Platform>: ~Copyable {
    /// `FrameChecks`, those chosen at boot and `failureInjection` while it lasts.
    private let bits: Atomic<UInt32>

    /// Requests until one fails on purpose, that one included; 0 where none is to.
    let failureCountdown = Atomic<UInt>(0)

    /// Held while what is active changes, and with it whether the frame caches are on.
    let switching = SpinLock<P>()

    /// Where it stands how the watcher is called (`WatcherCalls`); 0 where there is none.
    let watcher = Atomic<UInt>(0)

    /// Whether each allocation and each free is to be traced.
    let wantsTracing = Atomic<Bool>(false)

    /// Whether the frame caches were last turned on or off, for when no check is in their way any more.
    private let frameCachesAreWanted = Atomic<Bool>(true)

    var wantsFrameCaches: Bool {
        get { frameCachesAreWanted.load(ordering: .relaxed) }
        nonmutating set { frameCachesAreWanted.store(newValue, ordering: .relaxed) }
    }

    /// What is noted down of each frame.
    let table: CheckTable<P>

    init(_ table: consuming CheckTable<P>) {
        bits = Atomic(table.checks.rawValue)
        self.table = table
    }

    @inline(__always)
    var areActive: Bool { bits.load(ordering: .relaxed) != 0 }

    @inline(__always)
    var active: FrameChecks { FrameChecks(rawValue: bits.load(ordering: .relaxed)) }

    /// Has requests counted while one is to fail, the watcher told while there is one, and calls traced while they are to be. - `switching` is held.
    func updateTemporaryChecks() {
        set(.failureInjection, failureCountdown.load(ordering: .relaxed) > 0)
        set(.watcher, watcher.load(ordering: .relaxed) != 0)
        set(.tracing, wantsTracing.load(ordering: .relaxed))
    }

    private func set(_ check: FrameChecks, _ isActive: Bool) {
        if isActive {
            bits.bitwiseOr(check.rawValue, ordering: .relaxed)
        } else {
            bits.bitwiseAnd(~check.rawValue, ordering: .relaxed)
        }
    }
}
