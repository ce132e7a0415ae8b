import BootMemory
import HostSupport
import MemoryPrimitives
import PageFrames

/// A machine whose page frames have just been brought up, in the way in which the kernel does it: 512 MiB that can be
/// allocated, as the arenas of other allocators are, whose metadata lies elsewhere; ours lies in memory behind them.
@safe
package struct HostMachine<P: Platform> {
    package static var byteCount: UInt { 512 << 20 }
    package static var frameCount: Int { Int(byteCount / PageSize.byteCount) }

    /// Where the machine's memory begins, physically: all of it is of one zone, as the arenas of other allocators are.
    private static var physicalStart: UInt { 4 << 30 }
    private static var regionCapacity: Int { 32 }

    /// Room for the allocator's metadata, and what of that is too much.
    private static var metadataRoom: UInt { 4 << 20 }

    package let frames: Permanent<PageFrameAllocator<P>>
    private let place: UnsafeMutablePointer<PageFrameAllocator<P>>
    private let memory: UInt

    /// - Parameter checks: what the page frames check beyond what they always do.
    package init(checks: FrameChecks = .none) {
        memory = host_map(Self.byteCount + Self.metadataRoom, 1 << 30)
        expect(memory != 0, "the host has no memory for the arena")
        unsafe place = UnsafeMutablePointer.allocate(capacity: 1)
        // A first time to see how large the metadata is; nothing else of it is kept.
        let trial = unsafe Self.bringUp(memory, unused: 0, checks, at: place)
        let unused = Self.metadataRoom - trial.value.metadataByteCount
        unsafe trial.destroy()
        unsafe frames = Self.bringUp(memory, unused: unused & ~(PageSize.byteCount - 1), checks, at: place)
    }

    /// - Parameters:
    ///   - unused: bytes of the room for metadata that are not memory.
    ///   - place: where the allocator is to live.
    @unsafe
    private static func bringUp(
        _ memory: UInt, unused: UInt, _ checks: FrameChecks, at place: UnsafeMutablePointer<PageFrameAllocator<P>>
    ) -> Permanent<PageFrameAllocator<P>> {
        // The lists are the boot allocator's alone and outlive it.
        let lists = UnsafeMutablePointer<Region>.allocate(capacity: 2 * regionCapacity)
        var boot = unsafe BootAllocator(
            memoryStorage: UnsafeMutableBufferPointer(start: lists, count: regionCapacity),
            reservedStorage: UnsafeMutableBufferPointer(start: lists + regionCapacity, count: regionCapacity))
        let start = PhysicalAddress(physicalStart)
        boot.add(PhysicalRange(start, start + (byteCount + metadataRoom - unused)))
        let directMap = DirectMap(base: memory &- physicalStart)
        var options = PageFrameOptions()
        options.checks = checks
        guard let taken = PageFrameAllocator<P>(takingOver: &boot, directMap: directMap, options: options) else {
            fatalError()
        }
        unsafe lists.deallocate()
        // Freshly allocated, and given back only by `end()`.
        return unsafe Permanent(placing: taken, at: place)
    }

    /// Checks that the workload left the allocator as it must be, and gives everything back.
    package func end() {
        do throws(InvariantViolation) {
            try frames.value.checkInvariants()
        } catch {
            expect(false, error.rule)
        }
        // The workload that used them is over.
        unsafe frames.destroy()
        unsafe place.deallocate()
        host_unmap(memory, Self.byteCount + Self.metadataRoom)
    }
}
