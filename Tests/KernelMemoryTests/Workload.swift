import MemoryPrimitives
import PageFrames
import SimulatedMachine

/// A random mixture of everything that can be allocated, each with contents that are checked when it is freed.
///
/// All accesses go through the simulated CPU's page tables, so that memory which is mapped on demand faults.
struct Workload {
    /// Something allocated, and the words written to it.
    final class Holding: @unchecked Sendable {
        enum Kind {
            case object(UnsafeMutableRawPointer)
            case frames(PageFrameNumber, order: Int)
            case area(VirtualAddress, pages: UInt)
            case stack(StackBox)
        }

        let kind: Kind
        var words: [VirtualAddress: UInt64] = [:]

        init(_ kind: Kind) { self.kind = kind }
    }

    let machine: KernelMachine
    var random: SeededGenerator
    /// Words that read back wrong, and accesses that faulted.
    private(set) var errors = 0

    init(machine: KernelMachine, random: SeededGenerator) {
        self.machine = machine
        self.random = random
    }

    /// Allocates something, on the CPU that this thread is. - Returns: nil where there is no memory.
    mutating func allocate() -> Holding? {
        let zero: AllocationFlags = Bool.random(using: &random) ? [.kernel, .zero] : .kernel
        let flags = Int.random(in: 0..<12, using: &random) == 0 ? zero.union(.dma) : zero
        switch Int.random(in: 0..<20, using: &random) {
        case ..<10: return allocateObject(UInt.random(in: 1...9000, using: &random), flags)
        case ..<11: return allocateObject(UInt.random(in: 9000...200_000, using: &random), flags)
        case ..<14:
            let order = Int.random(in: 0...5, using: &random)
            guard let frame = machine.allocateFrames(order, flags) else { return nil }
            let holding = Holding(.frames(frame, order: order))
            let start = machine.direct(frame.address.rawValue)
            fill(holding, [start, start + (4096 << UInt(order)) - 8], isZeroed: flags.contains(.zero))
            return holding
        case ..<18:
            let pages = UInt.random(in: 1...40, using: &random)
            let populate = Bool.random(using: &random)
            guard let address = machine.vmalloc(pages * 4096, flags, populate: populate) else { return nil }
            let holding = Holding(.area(address, pages: pages))
            let touched = (0..<pages).filter { _ in UInt8.random(in: 0..<3, using: &random) == 0 }
            fill(
                holding, touched.map { address + $0 * 4096 + $0 % 512 * 8 },
                isZeroed: flags.contains(.zero) || !populate && !flags.contains(.dma))
            return holding
        default:
            guard let stack = machine.makeStack(pages: UInt.random(in: 1...8, using: &random)) else { return nil }
            let holding = Holding(.stack(stack))
            fill(holding, [stack.limit, stack.top - 8], isZeroed: false)
            return holding
        }
    }

    private mutating func allocateObject(_ byteCount: UInt, _ flags: AllocationFlags) -> Holding? {
        guard let pointer = machine.kmalloc(byteCount, flags) else { return nil }
        let holding = Holding(.object(pointer))
        let start = machine.direct(pointer)
        let last = (start + (byteCount - 1)).roundedDown(to: 8)
        fill(holding, [start, last], isZeroed: flags.contains(.zero))
        return holding
    }

    private mutating func fill(_ holding: Holding, _ places: [VirtualAddress], isZeroed: Bool) {
        for place in places {
            if isZeroed, holding.words[place] == nil, (try? machine.machine.load(place)) != UInt64(0) { errors += 1 }
            let word = random.next()
            do { try machine.machine.store(word, to: place) } catch { errors += 1 }
            holding.words[place] = word
        }
    }

    /// Checks what was written, and frees it on the CPU that this thread is.
    mutating func free(_ holding: Holding) {
        for (place, word) in holding.words where (try? machine.machine.load(place)) != word { errors += 1 }
        switch holding.kind {
        case .object(let pointer): machine.kfree(pointer)
        case .frames(let frame, let order): machine.freeFrames(frame, order)
        case .area(let address, _): machine.vfree(address)
        case .stack(let stack): stack.free()
        }
    }
}
