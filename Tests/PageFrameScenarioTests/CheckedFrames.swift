import FuzzTargets
import MemoryPrimitives

@testable import PageFrames

/// A machine's page frames with a record of who has what: each call is compared with the record.
final class CheckedFrames {
    let machine: ScenarioMachine

    /// The frames that are free.
    private(set) var free: FrameSet

    /// The blocks handed out: orders by first frame.
    private(set) var live: [UInt: Int] = [:]

    /// The frames that scenarios use; others are set aside.
    let arena: [Range<UInt>]

    /// All frames of a machine.
    init(_ machine: ScenarioMachine) {
        self.machine = machine
        arena = machine.handedOver
        free = FrameSet(machine.handedOver)
    }

    /// An arena of just these frames, all free. The allocator's metadata lies in memory beyond it, of which what is left
    /// is handed out for good.
    init(arena: Range<UInt>, frameCaches: Bool = false) throws {
        let beyond = max((arena.upperBound + 2047) & ~1023, ZoneKind.dma32.firstFrame.rawValue)
        let sections = UInt(arena.count) / 1024 + 2
        machine = try ScenarioMachine(
            memory: [arena, beyond..<beyond + 32 + 5 * sections], frameCaches: false)
        self.arena = [arena]
        free = FrameSet(machine.handedOver)
        while let frame = try allocate(order: 0) { _ = frame }
        for frame in arena { try release(frame) }
        machine.run { $0.setFrameCaches(enabled: frameCaches) }
    }

    /// Allocates, and makes sure that the block was free; where there is none, that there could be none.
    func allocate(order: Int, flags: AllocationFlags = .noWait | .noWarn) throws -> UInt? {
        let found = machine.run { $0.allocate(order: order, flags: flags)?.rawValue }
        guard let found else {
            if free.freeBlocks()[order...].contains(where: { $0 > 0 }) {
                throw Wrong("order \(order) is refused with memory free: \(free.freeBlocks())")
            }
            return nil
        }
        guard found % (1 << UInt(order)) == 0 else { throw Wrong("frame \(found) is not aligned to order \(order)") }
        guard free.contains(found, order: order) else { throw Wrong("frame \(found) of order \(order) was not free") }
        free.remove(found, order: order)
        live[found] = order
        return found
    }

    /// Frees the block that begins at `frame`.
    func release(_ frame: UInt) throws {
        guard let order = live.removeValue(forKey: frame) else { throw Wrong("the test has no block at \(frame)") }
        machine.run { $0.free(PageFrameNumber(frame), order: order) }
        free.insert(frame, order: order)
    }

    /// Checks everything that is known, from within and from outside.
    func check() throws {
        try machine.run { try $0.checkInvariants() }
        try checkBlocks()
        let kinds = machine.takeKinds()
        if !kinds.isEmpty { throw Wrong("reported: \(kinds)") }
    }

    /// Checks the blocks from outside: see `BlockChecker`.
    func checkBlocks() throws { try BlockChecker(machine, live: live, free: free).check() }
}
