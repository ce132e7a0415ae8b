import MemoryPrimitives

@testable import PageFrames

/// A zone of a few frames whose whole state can be kept and put back, to visit everything that can happen to it.
final class SmallZone {
    let frameCount: Int
    let state: UnsafeMutablePointer<ZoneState>
    let descriptors: UnsafeMutablePointer<FrameDescriptor>
    private let memory: UnsafeMutableRawPointer

    init(frameCount: Int) {
        self.frameCount = frameCount
        memory = .allocate(byteCount: 32 << 10, alignment: 64)
        let table = FrameTable(in: memory, sectionCount: 1)
        state = .allocate(capacity: 1)
        state.initialize(
            to: ZoneState(
                table: table, deferred: DeferredSections(in: memory + 4096, capacity: 0),
                descriptors: DescriptorPool(in: memory + 8192, capacity: 1)))
        state.pointee.handOver(0, UInt(frameCount))
        descriptors = table.descriptor(of: PageFrameNumber(0))!
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
        memory.deallocate()
    }

    /// All that can change.
    func save() -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: state, count: MemoryLayout<ZoneState>.size))
            + Array(UnsafeRawBufferPointer(start: descriptors, count: frameCount * 16))
    }

    func restore(_ bytes: [UInt8]) {
        let size = MemoryLayout<ZoneState>.size
        bytes.withUnsafeBytes { bytes in
            UnsafeMutableRawPointer(state).copyMemory(from: bytes.baseAddress!, byteCount: size)
            UnsafeMutableRawPointer(descriptors).copyMemory(from: bytes.baseAddress! + size, byteCount: frameCount * 16)
        }
    }

    /// What distinguishes one state from another: blocks and the order of the lists, not counters or stale words.
    var essence: [UInt64] {
        (0..<frameCount).map { index in
            let found = descriptors[index]
            let head = UInt64(found.state.rawValue) | UInt64(found.order) << 8
            switch found.state {
            case .interior: return 0
            case .freeHead: return head | UInt64(found.next & 0xffff) << 16 | UInt64(found.previous & 0xffff) << 32
            default: return head
            }
        }
    }

    /// The blocks handed out.
    var live: [(frame: Int, order: Int)] {
        (0..<frameCount).compactMap { index in
            descriptors[index].state == .allocatedHead ? (index, Int(descriptors[index].order)) : nil
        }
    }

    /// The frames that are not handed out, as a reference.
    var model: ReferenceModel {
        var model = ReferenceModel(frameCount: 1024, free: [0..<UInt(frameCount)])
        for block in live { model.set(UInt(block.frame), order: block.order, free: false) }
        return model
    }

    func allocate(order: Int) -> UInt32? { state.pointee.allocate(order: order) }

    func free(_ frame: Int, order: Int) -> MemoryViolation? {
        state.pointee.free(PageFrameNumber(UInt(frame)), order: order)
    }

    var freeBlocks: [UInt] { (0...10).map { UInt(state.pointee.buddy.lists[$0].count) } }
}
