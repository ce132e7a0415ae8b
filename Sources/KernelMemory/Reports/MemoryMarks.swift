import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory

/// Memory that a map of memory needs while it is written, so that it takes none from what it shows.
@safe
public struct MapScratch {
    /// The bytes that it takes.
    public static var byteCount: Int { 4096 }

    fileprivate let bytes: UnsafeMutablePointer<UInt8>

    /// Memory to work in.
    /// - Parameter memory: `byteCount` bytes that nobody else uses meanwhile, with any contents.
    @unsafe
    public init(in memory: UnsafeMutableRawPointer) {
        unsafe bytes = memory.bindMemory(to: UInt8.self, capacity: Self.byteCount)
    }
}

/// What frames that are handed out are used for, as far as their descriptors do not say it: the areas, the stacks and
/// kmalloc know. A part of memory at a time is noted down, a byte a frame.
struct MemoryMarks<P: Platform> {
    private static var none: UInt8 { .max }

    private let scratch: MapScratch
    /// The first frame of the part that is noted down.
    private var first: UInt?

    init(_ scratch: MapScratch) { self.scratch = scratch }

    private static var window: UInt { UInt(MapScratch.byteCount) }

    /// The use of a frame that is handed out; nil where none of these knows it.
    /// - Complexity: O(1) within the part that is noted down; else O(pages of areas + slabs).
    mutating func use(
        of frame: PageFrameNumber, _ vmalloc: Permanent<Vmalloc<P>>, _ stacks: Permanent<KernelStacks<P>>,
        _ kmalloc: Permanent<Kmalloc<P>>, _ map: DirectMap
    ) -> MemoryUse? {
        let start = frame.rawValue & ~(Self.window &- 1)
        if first != start {
            first = start
            fill(from: start, vmalloc, stacks, kmalloc, map)
        }
        // Within the window, whose bytes the scratch memory has.
        return MemoryUse(rawValue: unsafe scratch.bytes[Int(bitPattern: frame.rawValue &- start)])
    }

    @inline(never)
    private func fill(
        from start: UInt, _ vmalloc: Permanent<Vmalloc<P>>, _ stacks: Permanent<KernelStacks<P>>,
        _ kmalloc: Permanent<Kmalloc<P>>, _ map: DirectMap
    ) {
        unsafe scratch.bytes.update(repeating: Self.none, count: MapScratch.byteCount)
        kmalloc.value.forEachBookkeepingAddress { address in
            let frame = PageFrameNumber(containing: map.physicalAddress(of: VirtualAddress(address)))
            mark(frame, 1, .slabBookkeeping, start)
        }
        stacks.value.forEachReserveFrame { frame in mark(frame, 1, .stack, start) }
        vmalloc.value.forEachOwnedFrame { kind, frame, count in
            let use: MemoryUse =
                switch kind {
                case .stack: .stack
                case .guardedObjects: .guarded
                default: .vmalloc
                }
            mark(frame, count, use, start)
        }
    }

    private func mark(_ frame: PageFrameNumber, _ count: UInt, _ use: MemoryUse, _ start: UInt) {
        let low = max(frame.rawValue, start)
        let high = min(frame.rawValue &+ count, start &+ Self.window)
        var number = low
        while number < high {
            // Within the window.
            unsafe scratch.bytes[Int(bitPattern: number &- start)] = use.rawValue
            number &+= 1
        }
    }
}
