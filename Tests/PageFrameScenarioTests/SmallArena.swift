import MemoryPrimitives
import SimulatedMachine

@testable import PageFrames

/// An allocator of a few frames, whose whole state can be kept and put back, beside its model.
final class SmallArena {
    let frames: Range<UInt>
    let machine: ScenarioMachine
    var model: SmallModel

    /// The memory in which what changes lies.
    private let pieces: [UnsafeMutableRawBufferPointer]

    /// - Parameter frames: of the DMA zone, which has no others.
    init(frames: Range<UInt>) throws {
        let checked = try CheckedFrames(arena: frames)
        try checked.check()
        self.frames = frames
        machine = checked.machine
        model = SmallModel(frames: frames)
        let zones = machine.frames.value.zones
        let zone = UnsafeMutableRawPointer(zones[0].address)
        var pieces = [
            UnsafeMutableRawBufferPointer(start: zone, count: UnsafeMutableRawPointer(zones[1].address) - zone)
        ]
        let table = machine.machine.arena.directMap.pointer(to: machine.tableStart)
        let arrayByteCount = Int(FrameTable.byteCount(sectionCount: machine.frames.value.table.sectionCount)) / 2
        for section in frames.lowerBound / 1024...(frames.upperBound - 1) / 1024 {
            // Its two page blocks in each of the table's arrays.
            for array in [0, arrayByteCount] {
                pieces.append(UnsafeMutableRawBufferPointer(start: table + array + Int(section) * 16, count: 16))
            }
            let first = PageFrameNumber(section * 1024)
            let descriptors = UnsafeMutableRawPointer(machine.frames.value.table.descriptor(of: first)!)
            let own = frames.clamped(to: section * 1024..<section * 1024 + 1024)
            pieces.append(
                UnsafeMutableRawBufferPointer(
                    start: descriptors + Int(own.lowerBound % 1024) * 16, count: own.count * 16))
            pieces.append(
                UnsafeMutableRawBufferPointer(
                    start: descriptors + Section.pageBlocksOffset, count: 2 * PageBlock.byteCount))
        }
        self.pieces = pieces
    }

    struct Snapshot {
        fileprivate let bytes: [UInt8]
        fileprivate let model: SmallModel
    }

    func save() -> Snapshot { Snapshot(bytes: pieces.flatMap { Array($0) }, model: model) }

    func restore(_ snapshot: Snapshot) {
        snapshot.bytes.withUnsafeBytes { bytes in
            var offset = 0
            for piece in pieces {
                piece.baseAddress!.copyMemory(from: bytes.baseAddress! + offset, byteCount: piece.count)
                offset += piece.count
            }
        }
        model = snapshot.model
    }

    /// What distinguishes a state from others: the blocks, and what the page blocks are kept for.
    struct Essence: Hashable {
        let model: SmallModel
        let mobilities: [UInt8]
    }

    var essence: Essence {
        let blocks = UInt32(frames.lowerBound / 512)...UInt32((frames.upperBound - 1) / 512)
        return Essence(
            model: model, mobilities: blocks.map { machine.frames.value.table.pageBlock($0).mobility.rawValue })
    }

    /// Allocates, and compares with the model. - Returns: false where there was nothing.
    func allocate(order: Int, flags: AllocationFlags) throws -> Bool {
        let found = machine.frames.value.allocate(order: order, flags: flags)?.rawValue
        let isPossible = order <= 10 && model.freeBlocks[order...].contains { $0 > 0 }
        if (found != nil) != isPossible { throw wrong("an allocation of order \(order) gave \(found as Any)") }
        guard let found else { return false }
        guard model.block(around: found, order: order).lowerBound == found,
            model.isFree(model.block(around: found, order: order))
        else { throw wrong("an allocation of order \(order) gave \(found)") }
        model.allocate(found, order: order)
        return true
    }

    func free(_ frame: UInt, order: Int) {
        machine.frames.value.free(PageFrameNumber(frame), order: order)
        model.free(frame, order: order)
    }

    /// Frees what must not be freed, and makes sure that it is refused for the right reason.
    func refuse(_ frame: UInt, order: Int) throws {
        machine.frames.value.free(PageFrameNumber(frame), order: order)
        let kinds = machine.takeKinds()
        if kinds != [refusal(frame, order: order)] { throw wrong("a free of \(frame), order \(order): \(kinds)") }
    }

    /// Why the free of a block that there is not is refused.
    private func refusal(_ frame: UInt, order: Int) -> MemoryViolation.Kind {
        if !(0...10).contains(order) { return .wrongOrder }
        if frame % (1 << UInt(order)) != 0 { return .misalignedFree }
        if !frames.contains(frame) { return .wildFree }
        return switch model[frame] {
        case .free: .doubleFree
        case .head: .wrongOrder
        case .tail: .freeOfTail
        }
    }

    /// Compares every frame and the counts with the model.
    func check() throws {
        // Before the frames: to ask for a zone's figures merges what is free.
        let zone = machine.frames.value.statistics(of: .dma)
        let table = machine.frames.value.table
        for frame in frames {
            let found = table.descriptor(of: PageFrameNumber(frame))!.pointee
            guard table.freeOrder(covering: PageFrameNumber(frame)) == model.freeOrder(of: frame) else {
                throw wrong("frame \(frame)")
            }
            let isRight =
                if case .head(let order) = model[frame] {
                    found.isHead(.allocatedHead, order: order) && found.extraReferences == 0
                } else {
                    found.state == .interior && found.extraReferences == 0
                }
            guard isRight else { throw wrong("descriptor of frame \(frame): \(found)") }
        }
        let blocks = model.freeBlocks
        guard (0...10).allSatisfy({ zone.freeBlocks[$0] == blocks[$0] }) else { throw wrong("counts of free blocks") }
        let free = blocks.indices.reduce(UInt(0)) { $0 + blocks[$1] << UInt($1) }
        guard zone.freeFrames == free, zone.cachedFrames == 0 else { throw wrong("\(zone.freeFrames) free frames") }
    }

    private func wrong(_ what: String) -> Wrong { Wrong("\(what), in \(model)") }
}
