import MemoryPrimitives
import PageFrames
import SimulatedMachine

/// Blocks of memory that can be moved, each filled with words of its own.
final class MovableBlocks: @unchecked Sendable {
    struct Block {
        var frame: PageFrameNumber
        var order: Int
        var mark: UInt64
    }

    /// What the allocator calls.
    struct Mover: FrameMover {
        let blocks: Unmanaged<MovableBlocks>

        func move(from old: PageFrameNumber, to new: PageFrameNumber, order: Int) -> Bool {
            blocks.takeUnretainedValue().move(from: old, to: new, order: order)
        }
    }

    private let machine: Machine
    private let lock = HostLock(State())
    let mover: Permanent<Mover>
    private let place: UnsafeMutablePointer<Mover>

    private struct State {
        var blocks: [PageFrameNumber: Block] = [:]
        var nextMark: UInt64 = 1
        var moves = 0
        var refusedMove = Int.max
    }

    init(on machine: Machine) {
        self.machine = machine
        place = .allocate(capacity: 1)
        // Replaced at once: a class's own reference is there only when all its properties are.
        mover = Permanent(to: UnsafeMutablePointer(place))
        place.initialize(to: Mover(blocks: Unmanaged.passUnretained(self)))
    }

    deinit { place.deallocate() }

    /// The blocks that were moved so far.
    var moves: Int { lock.withLock { $0.moves } }

    /// Has the mover refuse the `number`th move from now on, counted from 1, once.
    func refuseMove(_ number: Int) { lock.withLock { $0.refusedMove = $0.moves + number } }

    var count: Int { lock.withLock { $0.blocks.count } }
    var frames: [PageFrameNumber] { lock.withLock { Array($0.blocks.keys).sorted() } }

    /// Allocates a block and fills it. - Returns: false where there is none.
    func allocate(order: Int, flags: AllocationFlags = .kernel | .movable | .noWarn) -> Bool {
        guard let frame = machine.frames.value.allocate(order: order, flags: flags) else { return false }
        lock.withLock { state in
            let block = Block(frame: frame, order: order, mark: state.nextMark)
            state.nextMark += 1
            state.blocks[frame] = block
            for index in 0..<UInt(1) << UInt(order) {
                machine.pointer(frame + index).storeBytes(of: block.mark << 16 | UInt64(index), as: UInt64.self)
            }
        }
        return true
    }

    /// Frees some of the blocks.
    func free(where isFreed: (Block) -> Bool = { _ in true }) {
        lock.withLock { state in
            for block in state.blocks.values where isFreed(block) {
                state.blocks[block.frame] = nil
                machine.frames.value.free(block.frame, order: block.order)
            }
        }
    }

    /// Whether each block holds what was written to it.
    var areIntact: Bool {
        lock.withLock { state in
            state.blocks.values.allSatisfy { block in
                (0..<UInt(1) << UInt(block.order)).allSatisfy {
                    machine.pointer(block.frame + $0).load(as: UInt64.self) == block.mark << 16 | UInt64($0)
                }
            }
        }
    }

    private func move(from old: PageFrameNumber, to new: PageFrameNumber, order: Int) -> Bool {
        lock.withLock { state in
            guard let block = state.blocks[old], block.order == order else { return false }
            if state.moves + 1 == state.refusedMove {
                state.refusedMove = .max
                return false
            }
            state.moves += 1
            if let tag = machine.frames.value.tag(of: old), tag != 0 { machine.frames.value.setTag(tag, of: new) }
            machine.pointer(new).copyMemory(from: machine.pointer(old), byteCount: 4096 << order)
            state.blocks[old] = nil
            state.blocks[new] = Block(frame: new, order: order, mark: block.mark)
            return true
        }
    }
}
