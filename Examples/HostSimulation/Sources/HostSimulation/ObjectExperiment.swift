import Quarry
import SimulatedKernel
import SimulatedMachine

/// kmalloc: a random workload beside a model that knows what every object holds.
struct ObjectExperiment {
    let kernel: SimulatedKernel
    let operations: Int
    let seed: UInt64

    func run() throws(Finding) {
        print("\n== kmalloc")
        try kernel.run { () throws(Finding) in
            let kmalloc = kernel.kmalloc
            let free = kernel.frames.value.freeFrames
            var generator = SeededGenerator(seed: seed)
            var live: [ModelledObject] = []
            var (allocations, refusals, asked, held, lowest) = (0, 0, 0 as UInt, 0 as UInt, free)
            for _ in 0..<operations {
                // More is allocated than freed while there are few objects, and the other way round.
                if live.isEmpty || Int.random(in: 0..<1000, using: &generator) > live.count {
                    guard let object = ModelledObject(of: kmalloc, &generator) else {
                        refusals += 1
                        continue
                    }
                    allocations += 1
                    asked += object.byteCount
                    // What the object's memory is good for is what its class holds.
                    held += object.capacity
                    live.append(object)
                    lowest = min(lowest, kernel.frames.value.freeFrames)
                } else {
                    let object = live.remove(at: .random(in: 0..<live.count, using: &generator))
                    try object.free()
                }
            }
            print(
                """
                \(operations) operations: \(allocations) allocations, \(operations - allocations - refusals) frees, \
                \(refusals) refused; \(live.count) objects live on
                """)
            print(
                "asked for \(asked) bytes, given \(held): \((held - asked) * 1000 / max(held, 1)) of 1000 are rounding")
            print("page frames in use at most: \(free - lowest)")
            for object in live {
                try object.free()
            }
            let given = kmalloc.value.shrink()
            let left = kernel.frames.value.freeFrames
            print("all freed and caches shrunk, by \(given) frames: \(left) frames free of \(free) before")
            try expect(left == free, "\(free - left) frames were lost")
        }
    }
}

/// An object as the model knows it: filled with a byte of its own, which nobody else may overwrite.
@safe
private struct ModelledObject {
    let byteCount: UInt
    private let memory: UnsafeMutableRawPointer
    private let pattern: UInt8
    private let kmalloc: Permanent<Kmalloc<SimulatedPlatform>>

    /// An object of 1 to 8192 bytes, small ones more often; nil where there is no memory.
    init?(of kmalloc: Permanent<Kmalloc<SimulatedPlatform>>, _ generator: inout SeededGenerator) {
        byteCount = UInt.random(in: 1...(16 << UInt.random(in: 0...9, using: &generator)), using: &generator)
        pattern = UInt8.random(in: .min ... .max, using: &generator)
        guard let memory = unsafe kmalloc.value.kmalloc(byteCount, .kernel | .noWarn) else { return nil }
        // Of so many bytes, and this object's alone until it is freed.
        unsafe memory.initializeMemory(as: UInt8.self, repeating: pattern, count: Int(byteCount))
        unsafe self.memory = memory
        self.kmalloc = kmalloc
    }

    /// The bytes that its memory is good for: what its size class holds.
    var capacity: UInt { unsafe kmalloc.value.ksize(memory) }

    /// To be called once. - Throws: where somebody else has written to the object.
    func free() throws(Finding) {
        let bytes = unsafe UnsafeRawBufferPointer(start: memory, count: Int(byteCount))
        try expect(unsafe bytes.allSatisfy { $0 == pattern }, "an object holds what another one wrote")
        unsafe kmalloc.value.kfree(memory)
    }
}
