import BootMemory
import HostSupport
import MemoryPrimitives
import PageFrames

/// A machine of 512 MiB whose page frames have just been brought up, in the way in which the kernel does it.
@safe
struct HostMachine {
    static let byteCount: UInt = 512 << 20
    static let frameCount = Int(byteCount / PageSize.byteCount)

    /// Where the machine's memory begins, physically: all of it is of one zone, as the arenas of other allocators are.
    private static let physicalStart: UInt = 4 << 30
    private static let regionCapacity = 32

    let frames: Permanent<PageFrameAllocator<HostPlatform>>
    private let place: UnsafeMutablePointer<PageFrameAllocator<HostPlatform>>
    private let memory: UInt

    init() {
        memory = host_map(Self.byteCount, 1 << 30)
        expect(memory != 0, "the host has no memory for the arena")
        // The lists are the boot allocator's alone and outlive it.
        let lists = UnsafeMutablePointer<Region>.allocate(capacity: 2 * Self.regionCapacity)
        var boot = unsafe BootAllocator(
            memoryStorage: UnsafeMutableBufferPointer(start: lists, count: Self.regionCapacity),
            reservedStorage: UnsafeMutableBufferPointer(
                start: lists + Self.regionCapacity, count: Self.regionCapacity))
        let start = PhysicalAddress(Self.physicalStart)
        boot.add(PhysicalRange(start, start + Self.byteCount))
        let directMap = DirectMap(base: memory &- Self.physicalStart)
        unsafe place = UnsafeMutablePointer.allocate(capacity: 1)
        guard let taken = PageFrameAllocator<HostPlatform>(takingOver: &boot, directMap: directMap) else {
            fatalError()
        }
        // Freshly allocated, and given back only by `end()`.
        unsafe frames = Permanent(placing: taken, at: place)
        unsafe lists.deallocate()
    }

    /// Checks that the workload left the allocator as it must be, and gives everything back.
    func end() {
        do throws(InvariantViolation) {
            try frames.value.checkInvariants()
        } catch {
            expect(false, error.rule)
        }
        // The workload that used them is over.
        unsafe frames.destroy()
        unsafe place.deallocate()
        host_unmap(memory, Self.byteCount)
    }
}
