import MemoryPrimitives
import PageFrames
import Paging

extension Vmalloc {
    /// Reserves an area all of whose pages are guard entries, with the tables for them, for good.
    /// - Returns: the live area; nil, with everything as before, where something is lacking.
    func reserveGuarded(_ request: AreaRequest) -> Area? {
        guard let note = reserve(request, .kernel) else { return nil }
        let area = VirtualRangeAllocator<P>.copy(note)
        var source = BuddyTableSource<P>(frames: frames)
        do throws(PagingError) {
            try pageTables.value.reserveGuard(area.usable, using: &source)
        } catch {
            ranges.abandon(area)
            return nil
        }
        ranges.publish(area, presentPages: 0)
        return area
    }
}
