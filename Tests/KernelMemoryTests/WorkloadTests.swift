import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Synchronization
import TestSupport
import Testing

@testable import KernelMemory

/// Everything at once, from bring-up until all is given back.
@Suite struct WorkloadTests {
    @Test(arguments: [UInt64(5), 6], [Configuration().frames, PageFrameOptions()])
    func everythingComesBack(seed: UInt64, options: PageFrameOptions) throws {
        let random = SeededGenerator.fromEnvironment(default: seed)
        var configuration = Configuration()
        configuration.frames = options
        let machine = try KernelMachine(.pc(bytes: 8 << 20), configuration)
        machine.run { machine.drain() }
        let before = machine.counters()
        var workload = Workload(machine: machine, random: random)
        var live: [Workload.Holding] = []
        var refusals = 0
        for step in 0..<2500 {
            machine.run {
                // Now more and now less, up to where memory runs out.
                let share = step / 500 % 2 == 0 ? 75 : 40
                if Int.random(in: 0..<100, using: &workload.random) < share || live.isEmpty {
                    if let holding = workload.allocate() { live.append(holding) } else { refusals += 1 }
                } else {
                    workload.free(live.remove(at: Int.random(in: live.indices, using: &workload.random)))
                }
            }
            if step % 250 == 0 { try machine.check() }
        }
        try machine.check()
        machine.run { for holding in live { workload.free(holding) } }
        #expect(workload.errors == 0)
        #expect(refusals > 0, "memory never ran out")
        machine.run { machine.drain() }
        #expect(machine.counters() == before)
        try machine.check()
    }

    static let cpuCount = 4

    /// Four CPUs allocate, and free what any of them allocated.
    @Test func allCPUsAtOnce() throws {
        let seeded = SeededGenerator.fromEnvironment(default: 41)
        var configuration = Configuration()
        configuration.cpuCount = Self.cpuCount
        configuration.frames = PageFrameOptions()
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        machine.run { machine.drain() }
        let before = machine.counters()
        let exchange = Exchange()
        let errors = Atomic<Int>(0)
        machine.machine.onAllCPUs { cpu in
            var workload = Workload(machine: machine, random: seeded.forCPU(cpu))
            for _ in 0..<400 {
                if Int.random(in: 0..<100, using: &workload.random) < 55 {
                    if let holding = workload.allocate() { exchange.put(holding) }
                } else {
                    if let holding = exchange.take(workload.random.next()) { workload.free(holding) }
                }
            }
            errors.add(workload.errors, ordering: .relaxed)
        }
        #expect(errors.load(ordering: .relaxed) == 0)
        try machine.check()
        machine.run {
            var workload = Workload(machine: machine, random: seeded)
            while let holding = exchange.take(0) { workload.free(holding) }
            #expect(workload.errors == 0)
            machine.drain()
        }
        #expect(machine.counters() == before)
        try machine.check()
    }
}

/// What the CPUs hand to each other. Behind a lock that ThreadSanitizer knows, which `Mutex` on Linux is not.
private final class Exchange: @unchecked Sendable {
    private let lock = NSLock()
    private var holdings: [Workload.Holding] = []

    func put(_ holding: Workload.Holding) { lock.withLock { holdings.append(holding) } }

    /// Any one, as `pick` chooses; nil where there is none.
    func take(_ pick: UInt64) -> Workload.Holding? {
        lock.withLock { holdings.isEmpty ? nil : holdings.remove(at: Int(pick % UInt64(holdings.count))) }
    }
}
