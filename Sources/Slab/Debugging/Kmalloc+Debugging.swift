import MemoryPrimitives
import PageFrames
import Synchronization

extension Kmalloc {
    var debugging: Permanent<SlabDebugging<P>> { cacheOfCaches.value.debugging }

    /// Errors found since the beginning: those reported, and what was done about them, a line of a report each, as SLUB
    /// counts them. Damage that is found and made good counts once in both. A snapshot.
    public var errorFigures: (reports: UInt, repairs: UInt) { debugging.value.figures }

    /// Objects in quarantine, and the bytes of their slots. A snapshot.
    public var quarantineFigures: (objects: Int, bytes: UInt) { debugging.value.quarantine.figures }

    /// Reports what is wrong with an address that is not an allocated object or block. - Complexity: O(orders).
    @inline(never)
    func complain(of address: UInt, in call: StaticString) { debugging.value.report(diagnose(address, in: call)) }

    /// Looks at every object of every cache that is watched, and at the counts of all: what is damaged is reported, and
    /// made good where that does not end the kernel.
    ///
    /// - Returns: how many things were wrong.
    /// - Complexity: O(bytes in slabs), a cache at a time with its lock held. From any context; no cache may be destroyed
    ///   meanwhile.
    @discardableResult
    public func validate() -> Int {
        var found = 0
        forEachCache { cache in found += cache.validate() }
        return found
    }

    /// Lets the `nth` allocation from now on fail, of caches that `failslab=` chose, once.
    ///
    /// Not counted are those with `.noFail`, and blocks above 8192 bytes (see `PageFrameAllocator.failAllocation(nth:)`).
    /// - Parameter nth: counted from 1; 0 for none, even if one was to fail.
    public func failAllocation(nth: UInt) { debugging.value.failureCountdown.store(nth, ordering: .relaxed) }

    /// How many allocations there are to come until one fails on purpose, that one included; 0 where none is to.
    public var allocationsUntilFailure: UInt { debugging.value.failureCountdown.load(ordering: .relaxed) }

    /// The allocations that failed on purpose. A snapshot.
    public var injectedFailures: UInt { debugging.value.injectedFailures.load(ordering: .relaxed) }
}
