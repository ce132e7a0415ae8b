import MemoryPrimitives
import PageFrames

/// Stacks that are ready are memory that could be done without.
extension KernelStacks: Shrinker {
    /// Each has its top page at least. - Complexity: O(CPUs).
    public func count(for flags: AllocationFlags) -> UInt { cache.count }

    /// Gives back stacks that are ready, until `target` frames are free or none is left. - Complexity: O(CPUs + frames).
    /// - Returns: how many frames were given back.
    public func scan(_ target: UInt, for flags: AllocationFlags) -> UInt {
        var given: UInt = 0
        while given < target, let ready = cache.takeAny() {
            given &+= vmalloc.value.freeReadyStack(ready.node.area.usable.start)
        }
        return given
    }

    /// Gives back all stacks that are ready. - Returns: the frames given back.
    @discardableResult
    public func shrink() -> UInt { scan(.max, for: .kernel) }
}
