import MemoryPrimitives
import SimulatedMachine

@testable import VirtualMemory

/// The allocator of ranges as a value that can be copied, which the testing macros ask for.
struct RangesOfMachine {
    let vmalloc: Permanent<TestedVmalloc>

    var statistics: AreaStatistics { vmalloc.value.ranges.statistics }

    func allocate(_ request: AreaRequest) -> Area? { vmalloc.value.ranges.allocate(request) }
    func publish(_ area: Area, presentPages: UInt) { vmalloc.value.ranges.publish(area, presentPages: presentPages) }
    func abandon(_ area: Area) { vmalloc.value.ranges.abandon(area) }
    func finishFree(_ area: Area) { vmalloc.value.ranges.finishFree(area) }
    /// What a fault does.
    func notePresentPage(at address: VirtualAddress) -> Bool {
        vmalloc.value.ranges.withTouchedArea(at: address) { area in
            vmalloc.value.ranges.count(pages: 1, of: area)
            return true
        } ?? false
    }
    func area(containing address: VirtualAddress) -> Area? { vmalloc.value.ranges.area(containing: address) }
    func nearestArea(to address: VirtualAddress) -> Area? { vmalloc.value.ranges.nearestArea(to: address) }
    func checkInvariants() throws { try vmalloc.value.ranges.checkInvariants() }

    func nearestAreaUnlocked(to address: VirtualAddress) -> Area? {
        vmalloc.value.ranges.nearestAreaUnlocked(to: address)
    }

    func beginFree(_ start: VirtualAddress, kind: AreaKind = .vmalloc)
        -> VirtualRangeAllocator<SimulatedPlatform>.FreeOutcome
    {
        vmalloc.value.ranges.beginFree(start, kind: kind)
    }

    func withLockHeld<Result>(_ body: () -> Result) -> Result {
        let held = vmalloc.value.ranges.lock.acquire()
        defer { vmalloc.value.ranges.lock.release(held) }
        return body()
    }
}
