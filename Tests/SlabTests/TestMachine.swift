import BootMemory
import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

typealias Frames = PageFrameAllocator<SimulatedPlatform>
typealias Allocator = Kmalloc<SimulatedPlatform>

/// A simulated machine with page frames and, unless there is too little memory, kmalloc.
final class TestMachine: @unchecked Sendable {
    let machine: SimulatedMachine
    let frames: FramesHandle
    private var started: KmallocHandle?
    private let slab: SlabOptions

    var kmalloc: KmallocHandle { started! }
    var directMap: DirectMap { machine.arena.directMap }

    /// Neither frame caches nor reserves: for what counts to the last frame.
    static let exact = PageFrameOptions(frameCaches: false, minimumFreeKiB: 0)
    static let combinations = [
        exact, PageFrameOptions(minimumFreeKiB: 0), PageFrameOptions(frameCaches: false), PageFrameOptions(),
    ]

    init(
        memory: UInt = 32 << 20, cpuCount: Int = 1, startsKmalloc: Bool = true,
        options: PageFrameOptions = TestMachine.exact, slab: SlabOptions = SlabOptions()
    ) {
        self.slab = slab
        let machine = SimulatedMachine(memory: memory, cpuCount: cpuCount)
        self.machine = machine
        frames = machine.run {
            let storage = (0..<2).map { _ in UnsafeMutableBufferPointer<Region>.allocate(capacity: 64) }
            defer { for buffer in storage { buffer.deallocate() } }
            var boot = BootAllocator(memoryStorage: storage[0], reservedStorage: storage[1])
            _ = boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(memory)))
            let allocator = Frames(takingOver: &boot, directMap: machine.arena.directMap, options: options)!
            return FramesHandle(target: Permanent(placing: allocator, at: .allocate(capacity: 1)))
        }
        if startsKmalloc { precondition(startKmalloc()) }
    }

    func startKmalloc() -> Bool {
        machine.run {
            guard let allocator = Allocator(frames: frames.target, options: slab) else { return false }
            started = KmallocHandle(target: Permanent(placing: allocator, at: .allocate(capacity: 1)))
            return true
        }
    }

    func run<Result>(onCPU cpu: Int = 0, _ body: () throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu) { try body() }
    }

    var freeFrames: UInt { frames.freeFrames }

    /// Takes every free frame from the buddy. - Returns: what has to be freed, frame by frame.
    func exhaust() -> [PageFrameNumber] {
        var taken: [PageFrameNumber] = []
        while let frame = frames.allocate(order: 0, flags: .kernel | .noWarn | .memoryReserves) { taken.append(frame) }
        return taken
    }

    func giveBack(_ taken: [PageFrameNumber]) { for frame in taken { frames.free(frame, order: 0) } }

    /// Everything that is counted, for "as before".
    func counters() -> [Int] {
        var all = [Int(freeFrames), kmalloc.largeBlockCount, kmalloc.largeBlockFrames]
        for cache in kmalloc.statistics {
            all += [cache.activeObjects, cache.cachedObjects, cache.totalObjects, cache.slabs]
        }
        return all
    }

    func violations() -> [MemoryViolation] { machine.takeViolations() }
}

extension UnsafeMutableRawPointer {
    var address: UInt { UInt(bitPattern: self) }

    /// Fills `byteCount` bytes with a pattern that only `seed` has.
    func fill(_ byteCount: UInt, seed: UInt64) {
        var generator = SeededGenerator(seed: seed | 1)
        var offset = 0
        while offset + 8 <= Int(byteCount) {
            storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        for rest in offset..<Int(byteCount) {
            storeBytes(of: UInt8(truncatingIfNeeded: seed &+ UInt64(rest)), toByteOffset: rest, as: UInt8.self)
        }
    }

    /// Whether the first `checked` bytes are those that `fill(byteCount, seed:)` wrote.
    func isFilled(_ byteCount: UInt, seed: UInt64, checked: UInt) -> Bool {
        let expected = UnsafeMutableRawPointer.allocate(byteCount: max(1, Int(byteCount)), alignment: 8)
        defer { expected.deallocate() }
        expected.fill(byteCount, seed: seed)
        return memcmp(self, expected, Int(checked)) == 0
    }

    func isZero(from start: UInt = 0, _ end: UInt) -> Bool {
        (Int(start)..<Int(end)).allSatisfy { load(fromByteOffset: $0, as: UInt8.self) == 0 }
    }
}
