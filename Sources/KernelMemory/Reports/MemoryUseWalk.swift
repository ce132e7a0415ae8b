import BootMemory
import DeviceMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory

/// A walk over all RAM: what each frame of it is used for, in the order of addresses, neighbours of one use together.
///
/// Each frame of RAM is in just one run, and none that is no RAM. A run does not go beyond a zone. While others allocate, the
/// runs are not of one moment. Takes all locks in turn: not for callers that hold one.
struct MemoryUseWalk<P: Platform> {
    private let boot: Permanent<BootAllocator>
    private let frames: Permanent<PageFrameAllocator<P>>
    private let kmalloc: Permanent<Kmalloc<P>>
    private let vmalloc: Permanent<Vmalloc<P>>
    private let stacks: Permanent<KernelStacks<P>>
    private var marks: MemoryMarks<P>
    private var position: UInt = 0
    /// The run after the one that was returned last.
    private var pending: MemoryUseRun?
    /// Where the device's buffer ends that the walk is in, whose first frame alone says what it is.
    private var coherentEnd: UInt = 0

    @inline(never)
    init(_ memory: borrowing KernelMemory<P>, _ scratch: MapScratch) {
        boot = memory.boot
        frames = memory.frames
        kmalloc = memory.kmalloc
        vmalloc = memory.vmalloc
        stacks = memory.stacks
        marks = MemoryMarks(scratch)
        pending = step()
    }

    /// The next run; nil at the end of RAM. - Complexity: O(blocks of the run), and see `MemoryMarks`.
    @inline(never)
    mutating func next() -> MemoryUseRun? {
        guard var run = pending else { return nil }
        while true {
            pending = step()
            guard let next = pending, ZoneKind.kind(of: next.first) == ZoneKind.kind(of: run.first),
                run.extend(by: next)
            else { return run }
        }
    }

    /// The next block, or other frames of one use.
    private mutating func step() -> MemoryUseRun? {
        while let memory = boot.value.nextMemoryRange(from: PageFrameNumber(position).address) {
            let first = max(position, pageCount(forBytes: memory.start.rawValue))
            let end = min(
                memory.end.rawValue >> PageSize.shift, ZoneKind.kind(of: PageFrameNumber(first)).endFrame.rawValue)
            if first >= end {
                // What is left of the range is no whole page.
                position = pageCount(forBytes: memory.end.rawValue)
                continue
            }
            let run = step(from: first, before: end)
            position = run.end.rawValue
            return run
        }
        return nil
    }

    @inline(never)
    private mutating func step(from first: UInt, before end: UInt) -> MemoryUseRun {
        var end = end
        let start = PageFrameNumber(first)
        if let (range, owner) = boot.value.nextReservation(from: start.address) {
            let reserved = range.start.rawValue >> PageSize.shift
            if reserved <= first {
                let reservedEnd = pageCount(forBytes: range.end.rawValue)
                return MemoryUseRun(
                    first: start, count: min(end, reservedEnd) &- first, use: .reserved, order: 0,
                    detail: UInt(owner.rawValue))
            }
            end = min(end, reserved)
        }
        let found = frames.value.run(at: start, before: PageFrameNumber(end))
        var run = MemoryUseRun(first: start, count: found.count, use: .free, order: found.order)
        run.isDeferred = found.kind == .deferred
        run.use = use(of: found)
        if run.use == .slab { run.detail = kmalloc.value.cacheIdentifier(ofSlabAt: start) ?? 0 }
        return run
    }

    private mutating func use(of run: FrameRun) -> MemoryUse {
        switch run.kind {
        case .free, .deferred: .free
        case .cached: .cached
        case .slab: .slab
        case .table: .pageTable
        case .guardPage: .guardPage
        case .reserved: .reserved
        case .damaged: .damaged
        case .allocated: useOfBlock(run)
        }
    }

    private mutating func useOfBlock(_ run: FrameRun) -> MemoryUse {
        if Kmalloc<P>.isLargeBlock(tag: run.tag) { return .kmalloc }
        if let count = DMAMapper<P>.coherentFrameCount(ofTag: run.tag) { coherentEnd = run.first.rawValue &+ count }
        if run.first.rawValue < coherentEnd { return .dma }
        return marks.use(of: run.first, vmalloc, stacks, kmalloc, frames.value.directMap) ?? .allocated
    }
}
