import HostSupport
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory
import WorkloadSupport

/// What the workload calls: one plain function for each operation, as for every other allocator.
protocol RangeSource {
    /// - Parameter pageCount: pages without the guard page that follows them.
    /// - Returns: the range's first address; 0 where the request is refused.
    func allocate(_ pageCount: UInt) -> UInt

    /// Frees the range that starts at `address`.
    func free(_ address: UInt)

    /// The first address of the range that `address` lies in; 0 where it lies in none.
    func find(_ address: UInt) -> UInt
}

/// An allocator that does nothing: what the loops around the calls cost.
struct NullRanges: RangeSource {
    @inline(never)
    func allocate(_ pageCount: UInt) -> UInt { host_hide(RangeWorkload<NullRanges>.spaceStart) }

    @inline(never)
    func free(_ address: UInt) { _ = host_hide(address) }

    @inline(never)
    func find(_ address: UInt) -> UInt { host_hide(address) }
}

/// Quarry's calls: all that is called of the allocator of ranges, for areas behind which the workload has no pages.
@safe
struct RangeCalls<P: Platform>: RangeSource {
    private let ranges: Permanent<VirtualRangeAllocator<P>>
    private let place: UnsafeMutablePointer<VirtualRangeAllocator<P>>

    /// An allocator of all of vmalloc's addresses.
    init(frames: Permanent<PageFrameAllocator<P>>, kmalloc: Permanent<Kmalloc<P>>) {
        let start = VirtualAddress(RangeWorkload<NullRanges>.spaceStart)
        guard
            let memory = unsafe kmalloc.value.allocate(VirtualRangeAllocator<P>.byteCount),
            let cache = try? VirtualRangeAllocator<P>.makeCache(in: kmalloc)
        else { fatalError() }
        // Allocated just now, and given back with all of kmalloc's.
        let ranges = unsafe VirtualRangeAllocator<P>(
            space: VirtualRange(start, start + (32 << 40)), frames: frames, memory: memory)
        ranges.useCache(cache)
        // Freshly allocated, and given back only by `end()`.
        unsafe place = UnsafeMutablePointer.allocate(capacity: 1)
        unsafe self.ranges = Permanent(placing: ranges, at: place)
    }

    @inline(never)
    func allocate(_ pageCount: UInt) -> UInt {
        var request = AreaRequest(.vmalloc, pageCount: pageCount, name: "workload")
        request.isLiveAtOnce = true
        return ranges.value.allocate(request)?.usable.start.rawValue ?? 0
    }

    @inline(never)
    func free(_ address: UInt) {
        if ranges.value.free(VirtualAddress(address)) != nil {
            expect(false, "a range that is there was not found")
        }
    }

    @inline(never)
    func find(_ address: UInt) -> UInt {
        ranges.value.range(around: VirtualAddress(address))?.start.rawValue ?? 0
    }

    /// Pages from the start of the space to the end of the highest range in use.
    var span: UInt {
        var end = ranges.value.space.start
        ranges.value.forEachArea { area in end = area.range.end }
        return end.distance(from: ranges.value.space.start) / PageSize.byteCount
    }

    /// Checks that the allocator is as it must be.
    func end() {
        do throws(InvariantViolation) {
            try ranges.value.checkInvariants()
        } catch {
            expect(false, error.rule)
        }
        // The workload that used it is over.
        unsafe ranges.destroy()
        unsafe place.deallocate()
    }
}
