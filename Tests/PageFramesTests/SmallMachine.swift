import MemoryPrimitives
import SimulatedMachine
import Synchronization

@testable import PageFrames

/// A machine with a few free frames, whose whole state can be kept and put back, to visit everything that can happen to
/// it. The frames are the first of a page block.
final class SmallMachine {
    static let firstFrame: UInt = 8192
    struct OtherFrames: Error {}

    let frameCount: Int
    let hasCaches: Bool
    let machine: FrameMachine
    /// What changes: zones and caches, the section's entries, the descriptors that are in use, and the page blocks.
    private let changing: [UnsafeMutableRawBufferPointer]

    /// - Parameter ringDepth: how many blocks each ring of the frame caches holds; 0 for no caches.
    init(frameCount: Int, ringDepth: UInt32 = 0) throws {
        self.frameCount = frameCount
        hasCaches = ringDepth > 0
        // The metadata takes the last frames; how many, trying tells.
        var found: FrameMachine?
        for metadata in 1..<32 where found == nil {
            let end = Self.firstFrame + UInt(frameCount + metadata)
            let tried = try? FrameMachine(memory: [Self.firstFrame..<end])
            if tried?.handedOver == [Self.firstFrame..<Self.firstFrame + UInt(frameCount)] { found = tried }
        }
        guard let machine = found else { throw OtherFrames() }
        self.machine = machine
        let table = machine.permanent.value.table
        let descriptors = UnsafeMutableRawPointer(table.descriptor(of: PageFrameNumber(Self.firstFrame))!)
        changing =
            machine.metadata.filter { $0.owner == .zones }.map { machine.bytes($0.range) }
            + machine.entries(ofSection: Self.firstFrame >> 10) + [
                UnsafeMutableRawBufferPointer(start: descriptors, count: frameCount * 16),
                UnsafeMutableRawBufferPointer(
                    start: descriptors + Section.pageBlocksOffset, count: 2 * PageBlock.byteCount),
            ]
        machine.run { frames in
            frames.hasFrameCaches.store(ringDepth > 0, ordering: .relaxed)
            let cache = frames.caches.pointer(0)
            for ring in 0..<FrameCacheLayout.ringsPerZone * ZoneKind.count {
                cache.pointee.rings[ring].high = ringDepth
                cache.pointee.rings[ring].batch = max(1, ringDepth / 2)
            }
        }
    }

    /// All that can change.
    func save() -> [[UInt8]] { changing.map { Array($0) } }

    func restore(_ saved: [[UInt8]]) { for (place, bytes) in zip(changing, saved) { place.copyBytes(from: bytes) } }

    var descriptors: UnsafeMutablePointer<FrameDescriptor> {
        machine.permanent.value.table.descriptor(of: PageFrameNumber(Self.firstFrame))!
    }

    /// The words of the page block's tree.
    var tree: UnsafeMutablePointer<UInt64> {
        (UnsafeMutableRawPointer(descriptors) + Section.pageBlocksOffset).assumingMemoryBound(to: UInt64.self)
    }

    /// The notes about the page block, or the section's second, behind its tree.
    func notes(_ half: Int = 0) -> UnsafeMutablePointer<PageBlockInfo> {
        let place = UnsafeMutableRawPointer(tree) + half * PageBlock.byteCount + PageBlock.bitsByteCount
        return place.assumingMemoryBound(to: PageBlockInfo.self)
    }

    /// The number of the page block.
    var pageBlock: UInt32 { UInt32(Self.firstFrame >> 9) }

    /// The block that the zone holds, counted from the first frame.
    var held: (frame: Int, order: Int)? {
        machine.held(.dma32).map { (Int($0.frame) - Int(Self.firstFrame), $0.order) }
    }

    /// What distinguishes one state from another once nothing is held: blocks in use, and the rings in their order; not counters.
    var essence: [UInt64] {
        let rings = cached.flatMap { [UInt64.max, UInt64($0.order), UInt64($0.limit)] + $0.frames.map { UInt64($0) } }
        return (0..<frameCount).map { UInt64(descriptors[$0].state.rawValue) | UInt64(descriptors[$0].order) << 8 }
            + [UInt64(machine.mobility(of: PageFrameNumber(Self.firstFrame)).rawValue)] + rings
    }

    /// The rings that hold blocks, or remember where a refill came from.
    var cached: [(order: Int, mobility: Mobility, frames: [Int], limit: Int)] {
        var rings: [(order: Int, mobility: Mobility, frames: [Int], limit: Int)] = []
        for mobility: Mobility in [.unmovable, .movable, .reclaimable] {
            for order in 0..<FrameCacheLayout.orderCount {
                let ring = machine.ring(.dma32, mobility, order: order)
                if ring.frames.isEmpty, ring.limit == 0 { continue }
                rings.append((order, mobility, ring.frames.map { Int($0) - Int(Self.firstFrame) }, Int(ring.limit)))
            }
        }
        return rings
    }

    /// The blocks handed out, counted from the first frame.
    var live: [(frame: Int, order: Int)] {
        (0..<frameCount).compactMap { index in
            descriptors[index].state == .allocatedHead ? (index, Int(descriptors[index].order)) : nil
        }
    }

    /// The frames that are neither handed out nor cached, as a reference.
    var model: PlacementModel {
        var model = ReferenceModel(frameCount: 1024, free: [0..<UInt(frameCount)])
        for block in live { model.set(UInt(block.frame), order: block.order, free: false) }
        for ring in cached { for frame in ring.frames { model.set(UInt(frame), order: ring.order, free: false) } }
        let free = (0..<UInt(frameCount)).filter { model.isFree(Int($0), order: 0) }.map { $0..<$0 + 1 }
        return PlacementModel(frameCount: 1024, free: free, span: 0..<1024)
    }

    func allocate(order: Int, flags: AllocationFlags = .kernel | .noWarn) -> Int? {
        machine.allocate(order: order, flags: flags).map { Int($0.rawValue) - Int(Self.firstFrame) }
    }

    /// - Returns: what was reported.
    func free(_ frame: Int, order: Int) -> [MemoryViolation.Kind] {
        machine.run { $0.free(PageFrameNumber(Self.firstFrame + UInt(frame)), order: order) }
        return machine.takeKinds()
    }

    var freeBlocks: [UInt] {
        let zone = machine.statistics(.dma32)
        return (0...10).map { zone.freeBlocks[$0] }
    }
}

extension FrameMachine {
    /// Physical memory, as the tests see it.
    func bytes(_ range: PhysicalRange) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: machine.arena.directMap.pointer(to: range.start), count: Int(range.byteCount))
    }

    /// What the frame table keeps of a section's two page blocks: their origins, and their rings.
    func entries(ofSection section: UInt) -> [UnsafeMutableRawBufferPointer] {
        let table = bytes(metadata.first { $0.owner == .frameTable }!.range)
        let half = Int(FrameTable.byteCount(sectionCount: permanent.value.table.sectionCount)) / 2
        return [0, half].map { array in
            let start = array + Int(section) * 16
            return UnsafeMutableRawBufferPointer(rebasing: table[start..<start + 16])
        }
    }
}
