import Foundation
import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Several CPUs change neighbouring ranges of one address space: tables are shared at every level, and come and go.
@Suite struct ConcurrencyTests {
    /// A CPU's own 4 MiB. Those of all CPUs lie across a border of 512 GiB.
    private static func range(_ cpu: Int) -> VirtualRange {
        pages(0xffff_ca00_0000_0000 - 8 * mib + UInt(cpu) * 4 * mib, 4 * mib)
    }

    @Test(arguments: [false, true]) func eachCPUFindsItsOwnPagesAsItLeftThem(fiveLevels: Bool) throws {
        let features = PagingFeatures(
            noExecute: true, gigabytePages: true, globalPages: true, fiveLevels: fiveLevels)
        let bench = Bench(cpus: 4, features: features)
        nonisolated(unsafe) let shared = bench
        let random = SeededGenerator.fromEnvironment(default: 5)
        let failures = HostLock<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 4) { cpu in
            shared.machine.run(onCPU: cpu) {
                var random = random.forCPU(cpu)
                for step in 0..<150 {
                    do {
                        try Self.round(shared, cpu, &random)
                    } catch {
                        failures.withLock { $0.append("CPU \(cpu), step \(step): \(error)") }
                        return
                    }
                }
            }
        }
        #expect(failures.withLock { $0 } == [], "seed \(random.seed)")
        try bench.machine.run {
            #expect(bench.machine.takeStaleTranslations() == [])
            try bench.tables.value.checkInvariants()
            #expect(bench.pool.inUse == 1 && bench.tables.value.tableCount == 0)
        }
    }

    private struct Mistake: Error { var text: String }

    private static func expect(_ condition: Bool, _ text: String) throws {
        if !condition { throw Mistake(text: text) }
    }

    /// Maps the CPU's range, changes it in each way, looks at it, and takes it away.
    private static func round(_ bench: Bench, _ cpu: Int, _ random: inout SeededGenerator) throws {
        let tables = bench.tables
        var source = PoolSource(pool: bench.pool)
        let all = range(cpu)
        let physical = gib + UInt(cpu) * 16 * mib
        try tables.value.mapRange(all, to: memory(physical), permissions: .readWrite, using: &source)
        let index = UInt.random(in: 0..<1024, using: &random)
        let part = VirtualRange(all.start + index * 4096, all.start + (index + 1) * 4096)
        func store(_ value: UInt64) -> Bool {
            // After a table took the place of another, one fault is allowed.
            (0..<2).contains { _ in (try? bench.machine.store(value, to: part.start)) != nil }
        }
        try expect(store(UInt64(index)), "a mapped page can be written")
        try tables.value.adjustRange(part, removing: .write, using: &source)
        try expect(!store(1), "a read-only page cannot")
        try expect(try bench.machine.load(part.start) == UInt64(index), "and holds what was written")
        try expect(try tables.value.collapse(all, using: &source) == 0, "it keeps its table")
        try tables.value.adjustRange(part, adding: .write, using: &source)
        try expect(try tables.value.collapse(all, using: &source) == 1, "until it is as its neighbours")
        try tables.value.clearUsage(.dirty, in: all)
        try expect(store(2), "the large page can be written")
        try expect(tables.value.usage(of: part.start)?.contains(.dirty) == true, "and that is noted")
        try tables.value.unmapRange(part, splitting: true, using: &source)
        try expect(!store(3), "what is gone is gone")
        try tables.value.clear(all, using: &source) { _, _ in }
        try expect(tables.value.lookup(part.start) == .none, "all of it")
    }
}
