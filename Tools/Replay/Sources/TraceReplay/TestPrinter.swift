import MemoryPrimitives
import PageFrames
import Tracing

/// Prints a trace as a test, for `Tests/SimulatedKernelTests` or any package that depends on Quarry: red for as long as the
/// trace fails. It uses public names alone.
public struct TestPrinter {
    private let trace: Trace
    private let failure: ReplayFailure
    private let memory: UInt
    private var names: [UInt: String] = [:]
    private var caches: [CacheKey: String] = [:]
    private var blocks: [(start: UInt, order: UInt)] = []
    /// The blocks that are single frames now.
    private var split: Set<UInt> = []
    private var nextNumber = 1
    private var body: [String] = []

    public init(_ trace: Trace, _ failure: ReplayFailure, memory: UInt) {
        self.trace = trace
        self.failure = failure
        self.memory = memory
    }

    /// The test, a whole file.
    public mutating func print() -> String {
        for step in trace.steps { line(step.event) }
        for name in unused { body.append("_ = \(name)") }
        let calls = body.map { "            " + $0 + "\n" }.joined()
        return """
            import MemoryPrimitives
            import PageFrames
            import Paging
            import SimulatedKernel
            import SimulatedMachine
            import Slab
            import Testing
            import VirtualMemory

            /// A trace of \(trace.steps.count) events, as `quarry-replay --shrink` left it. It failed with:
            /// \(failure.detail)
            @Suite struct ShrunkTraceTests {
                @Test func trace() throws {
                    let kernel = try SimulatedKernel(memory: \(memory >> 20) << 20, seed: 1)
                    let (frames, kmalloc, vmalloc) = (kernel.frames, kernel.kmalloc, kernel.vmalloc)
                    _ = (frames, kmalloc, vmalloc)
                    try kernel.run {
            \(calls)            try kernel.memory.value.checkInvariants()
                    }
                    let violations = kernel.machine.takeViolations().map { "\\($0.kind) in \\($0.call)" }
                    #expect(violations == [])
                    #expect(kernel.machine.takeStaleTranslations() == [])
                }
            }

            """
    }

    /// What is made and never used again, which a compiler that is strict refuses.
    private var unused: [String] {
        body.indices.compactMap { index in
            guard body[index].hasPrefix("let "), let name = body[index].split(separator: " ").dropFirst().first,
                !name.hasSuffix("Frame")
            else { return nil }
            let isUsed = body[(index + 1)...].contains { line in
                line.split { !$0.isLetter && !$0.isNumber }.contains(name)
            }
            return isUsed ? nil : String(name)
        }
    }

    private mutating func new(_ prefix: String, _ event: TraceEvent) -> String {
        let name = "\(prefix)\(nextNumber)"
        nextNumber += 1
        names[event.address] = name
        return name
    }

    private static func flags(_ event: TraceEvent) -> String {
        event.flags == AllocationFlags.kernel.rawValue
            ? "" : ", flags: AllocationFlags(rawValue: 0x\(String(event.flags, radix: 16)))"
    }

    private mutating func line(_ event: TraceEvent) {
        if event.isNested { return }
        switch event.kind {
        case .kmalloc:
            body.append("let \(new("object", event)) = kmalloc.value.allocate(\(event.size)\(Self.flags(event)))")
        case .cacheAllocation:
            let key = CacheKey(requested: event.size, allocated: event.extent)
            let cache = cache(key)
            let flags = Self.flags(event).dropFirst(2)
            body.append("let \(new("object", event)) = \(cache).allocate(\(flags))")
            names[~event.address] = cache
        case .kfree, .cacheFree:
            guard let name = names[event.address] else { return }
            let cache = event.kind == .cacheFree ? names[~event.address] : nil
            body.append("\(cache ?? "kmalloc.value").free(\(name))")
        case .pageAllocation:
            blocks.append((event.address, event.size))
            body.append(
                "let \(new("block", event)) = frames.value.allocate(order: \(event.size)\(Self.flags(event)))!"
            )
        case .pageFree:
            free(event)
        default: area(event)
        }
    }

    /// A block, or a part of one, which is made single frames first.
    private mutating func free(_ event: TraceEvent) {
        let isAligned = event.address & (1 << event.size &- 1) == 0
        let block = blocks.last { event.address >= $0.start && event.address - $0.start < 1 << $0.order }
        guard let block, let name = names[block.start] else { return }
        if event.address == block.start, event.size >= block.order || split.contains(block.start) {
            return body.append("frames.value.free(\(name), order: \(event.size))")
        }
        if !isAligned {
            return body.append("frames.value.free(\(name) + \(event.address - block.start), order: \(event.size))")
        }
        if split.insert(block.start).inserted { body.append("frames.value.split(\(name), order: \(block.order))") }
        for frame in 0..<UInt(1) << event.size {
            body.append("frames.value.free(\(name) + \(event.address - block.start + frame), order: 0)")
        }
    }

    private mutating func cache(_ key: CacheKey) -> String {
        if let found = caches[key] { return found }
        let name = "cache\(caches.count + 1)"
        caches[key] = name
        body.append("let \(name) = try kmalloc.value.makeCache(\"replay\", objectSize: \(max(1, key.requested)))")
        return name
    }

    private mutating func area(_ event: TraceEvent) {
        switch event.kind {
        case .vmalloc:
            let populate = event.name.isEqual(to: "populated") ? ", populate: true" : ""
            body.append(
                "let \(new("area", event)) = vmalloc.value.allocate(\(event.size)\(Self.flags(event))\(populate))")
        case .vfree:
            if let name = names[event.address] { body.append("vmalloc.value.free(\(name))") }
        case .map where !event.name.isEqual(to: "tables"): map(event)
        case .unmap where !event.name.isEqual(to: "tables"):
            guard let name = names[event.address] else { return }
            let isDevice = event.name.isEqual(to: "iounmap")
            body.append("vmalloc.value.\(isDevice ? "unmapDevice" : "unmapFrames")(\(name))")
        default: body.append("// not printed: \(event.kind.name) at 0x\(String(event.address, radix: 16))")
        }
    }

    private mutating func map(_ event: TraceEvent) {
        if event.name.isEqual(to: "ioremap") {
            let physical = String(event.extent | 1 << 40, radix: 16)
            body.append(
                "let \(new("area", event)) = try vmalloc.value.mapDevice(PhysicalAddress(0x\(physical)), byteCount: \(event.size))"
            )
            return
        }
        let name = new("area", event)
        body.append("let \(name)Frame = frames.value.allocate(order: 0)!")
        body.append(
            "let \(name) = Array(repeating: \(name)Frame, count: \(event.size >> 12)).withUnsafeBufferPointer { vmalloc.value.mapFrames($0) }"
        )
    }
}
