import MemoryPrimitives
import SimulatedMachine
import Synchronization
import Testing

@testable import PageFrames

typealias TestedShrinkers = ShrinkerList<SimulatedPlatform>

/// A cache that holds a number of frames and writes down what is asked of it.
struct Cache: Shrinker, ~Copyable {
    let frames: Mutex<UInt>
    /// The most that it gives at a time.
    var largestGift = UInt.max
    /// What it says that it holds, where that is not true.
    var claim: UInt?
    let scans = Mutex<[UInt]>([])
    let flagsSeen = Mutex<Set<UInt32>>([])
    /// Called while it is scanned.
    var whileScanned: @Sendable (UInt) -> Void = { _ in }

    init(_ frames: UInt) { self.frames = Mutex(frames) }

    borrowing func count(for flags: AllocationFlags) -> UInt { claim ?? frames.withLock { $0 } }

    borrowing func scan(_ target: UInt, for flags: AllocationFlags) -> UInt {
        scans.withLock { $0.append(target) }
        flagsSeen.withLock { _ = $0.insert(flags.rawValue) }
        whileScanned(target)
        return frames.withLock { frames in
            let gift = min(target, frames, largestGift)
            frames -= gift
            return gift
        }
    }
}

/// A machine with a list of shrinkers, and caches that stay until the machine goes.
final class ShrinkerMachine: @unchecked Sendable {
    let machine: SimulatedMachine
    let list: Permanent<TestedShrinkers>
    private let listPlace = UnsafeMutablePointer<TestedShrinkers>.allocate(capacity: 1)
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: TestedShrinkers.byteCount, alignment: 16)
    private var caches: [UnsafeMutablePointer<Cache>] = []

    init(cpuCount: Int = 1) {
        machine = SimulatedMachine(memory: 1 << 20, cpuCount: cpuCount)
        list = Permanent(placing: TestedShrinkers(in: memory), at: listPlace)
    }

    deinit {
        list.destroy()
        listPlace.deallocate()
        memory.deallocate()
        for cache in caches {
            cache.deinitialize(count: 1)
            cache.deallocate()
        }
    }

    func place(_ cache: consuming Cache) -> Permanent<Cache> {
        let place = UnsafeMutablePointer<Cache>.allocate(capacity: 1)
        caches.append(place)
        return Permanent(placing: cache, at: place)
    }

    /// Places a cache and registers it.
    func add(_ frames: UInt, _ prepare: (inout Cache) -> Void = { _ in }) -> Permanent<Cache> {
        var cache = Cache(frames)
        prepare(&cache)
        let placed = place(cache)
        #expect(register(placed) != nil)
        return placed
    }

    func register(_ cache: Permanent<Cache>) -> ShrinkerRegistration? {
        machine.run { list.value.register(cache) }
    }

    func unregister(_ registration: ShrinkerRegistration) -> CallbackRemoval {
        machine.run { list.value.unregister(registration) }
    }

    func shrink(_ target: UInt, _ flags: AllocationFlags = .kernel, onCPU cpu: Int = 0) -> UInt {
        machine.run(onCPU: cpu) { list.value.shrink(target: target, flags: flags) }
    }

    var count: UInt { UInt(machine.run { list.value.count }) }
}

extension Permanent where Value == Cache {
    var left: UInt { value.frames.withLock { $0 } }
    var asked: [UInt] { value.scans.withLock { $0 } }
}
