import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Tracing

@testable import TraceReplay

/// Makes traces.
struct TraceMaker {
    var trace = Trace()
    private var generator = SeededGenerator.fromEnvironment(default: 17)

    mutating func add(_ kind: TraceKind, _ address: UInt, _ size: UInt = 0, _ extent: UInt = 0, depth: UInt8 = 0) {
        var event = TraceEvent(kind, address)
        event.size = size
        event.extent = extent
        event.depth = depth
        event.time = UInt64(trace.steps.count) * 10
        if [.kmalloc, .cacheAllocation, .pageAllocation, .vmalloc].contains(kind) {
            event.flags = AllocationFlags.kernel.rawValue
        }
        if kind == .cacheFree { event.name = TraceName("tested") }
        trace.steps.append(Trace.Step(line: trace.steps.count + 13, event: event))
    }

    /// Adds random events that fit together, for addresses that begin with `base`.
    mutating func addWork(_ count: Int, base: UInt = 0xffff_8880_0000_0000) {
        var objects: [(UInt, Bool)] = []
        var blocks: [(UInt, UInt)] = []
        var areas: [UInt] = []
        var next: UInt = 1
        for _ in 0..<count {
            next += 1
            switch generator.next() % 8 {
            case 0...1:
                let isOfCache = generator.next() & 1 == 0
                let size = isOfCache ? 120 : UInt(1 + generator.next() % 20_000)
                objects.append((base + next << 16, isOfCache))
                add(isOfCache ? .cacheAllocation : .kmalloc, base + next << 16, size, size)
            case 2...3 where !objects.isEmpty:
                let (object, isOfCache) = objects.remove(at: Int(generator.next() % UInt64(objects.count)))
                add(isOfCache ? .cacheFree : .kfree, object)
            case 4:
                let order = UInt(generator.next() % 4)
                blocks.append((next << 8, order))
                add(.pageAllocation, next << 8, order)
            case 5 where !blocks.isEmpty:
                let (frame, order) = blocks.remove(at: Int(generator.next() % UInt64(blocks.count)))
                add(.pageFree, frame, order)
            case 6:
                areas.append(0xffff_c900_0000_0000 + next << 20)
                add(.vmalloc, areas.last!, UInt(1 + generator.next() % 50_000))
                if generator.next() & 1 == 0 { add(.pageFault, areas.last! + 8, 2) }
            case 7 where !areas.isEmpty:
                add(.vfree, areas.remove(at: Int(generator.next() % UInt64(areas.count))))
            default: break
            }
        }
    }
}

func options(checkEvery: Int = 0) -> ReplayOptions {
    var options = ReplayOptions()
    options.memory = 64 << 20
    options.checkEvery = checkEvery
    return options
}

func failure(of trace: Trace, _ options: ReplayOptions = options()) -> ReplayFailure? {
    do throws(ReplayFailure) {
        try Replay(options)!.run(trace)
        return nil
    } catch {
        return error
    }
}
