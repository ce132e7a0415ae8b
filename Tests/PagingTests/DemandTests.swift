import Dispatch
import MemoryPrimitives
import Paging
import SimulatedMachine
import Synchronization
import Testing

@Suite struct DemandTests {
    @Test func aTouchBringsThePage() throws {
        let bench = Bench()
        let next = HostLock(gib)
        bench.machine.pageFaultHandler = { address, access in
            guard case .demand(let permissions) = bench.tables.value.lookup(address) else { return false }
            if access == .store && !permissions.contains(.write) { return false }
            let frame = next.withLock { next in
                defer { next += 4096 }
                return memory(next)
            }
            return bench.tables.value.resolveDemand(at: address, frame: frame)
        }
        try bench.machine.run {
            let range = pages(areas + 2 * mib - 8192, 16384)
            try bench.tables.value.reserveDemand(range, permissions: .readWrite, using: &bench.source)
            try bench.tables.value.reserveGuard(pages(areas + 2 * mib + 8192, 4096), using: &bench.source)
            #expect(bench.tables.value.lookup(range.start) == .demand(.readWrite))
            #expect(bench.tables.value.lookup(range.end) == .guardPage)
            #expect(bench.tables.value.translate(range.start) == nil)
            let used = bench.pool.inUse
            try bench.machine.store(UInt64(5), to: range.start + 8)
            #expect(bench.machine.word(memory(gib + 8)).pointee == 5)
            #expect(try bench.machine.load(range.start + 4096) == 0 as UInt64)
            #expect(bench.tables.value.translate(range.start)?.permissions == .readWrite)
            #expect(bench.fault(at: range.end, .store) == .notPresent)
            #expect(bench.fault(at: range.start, .fetch) == .protection)
            // Neither a page, a guard nor nothing can be resolved, and no tables were needed.
            for address in [range.start, range.end, page(0x1000), page(0x0000_8000_0000_0000)] {
                let isResolved = bench.tables.value.resolveDemand(at: address, frame: memory(0))
                #expect(!isResolved)
            }
            #expect(bench.pool.inUse == used && bench.machine.pageFlushCount == 0)
            try bench.tables.value.checkInvariants()
            try bench.tables.value.protectRange(
                pages(range.start.rawValue + 8192, 4096), permissions: .readOnly, using: &bench.source)
            #expect(bench.tables.value.lookup(range.start + 8192) == .demand(.readOnly))
            #expect(bench.fault(at: range.start + 8192, .store) == .notPresent)
            var freed: [PhysicalAddress] = []
            try bench.tables.value.clear(pages(areas, 4 * mib), using: &bench.source) { frame, _ in freed.append(frame)
            }
            #expect(freed == [memory(gib), memory(gib + 4096)])
            #expect(bench.pool.inUse == 1 && bench.machine.takeStaleTranslations() == [])
            #expect(bench.fault(at: range.start) == .notPresent)
        }
    }

    /// All CPUs touch all pages at once: each page gets one frame, and the frames of those who came second come back.
    @Test func oneCPUResolvesAPageAndTheOthersStepBack() throws {
        let cpus = 4
        let count: UInt = 600
        let bench = Bench(cpus: cpus)
        let next = HostLock(gib)
        let refused = Atomic<Int>(0)
        bench.machine.pageFaultHandler = { address, _ in
            let frame = next.withLock { next in
                defer { next += 4096 }
                return memory(next)
            }
            if !bench.tables.value.resolveDemand(at: address, frame: frame) {
                refused.add(1, ordering: .relaxed)
                guard case .mapped = bench.tables.value.lookup(address) else { return false }
            }
            return true
        }
        let range = pages(areas + mib, count * 4096)
        try bench.machine.run {
            try bench.tables.value.reserveDemand(range, permissions: .readWrite, using: &bench.source)
        }
        let machine = bench.machine
        DispatchQueue.concurrentPerform(iterations: cpus) { cpu in
            machine.run(onCPU: cpu) {
                for index in 0..<count {
                    // From both ends, so that they meet.
                    let offset = (cpu % 2 == 0 ? index : count - 1 - index) * 4096 + UInt(cpu) * 8
                    do {
                        try machine.store(UInt64(index) + 1, to: range.start + offset)
                    } catch {
                        Issue.record(error)
                    }
                }
            }
        }
        try bench.machine.run {
            var frames: Set<PhysicalAddress> = []
            for index in 0..<count {
                let frame = bench.tables.value.translate(range.start + index * 4096)!.physical
                #expect(frames.insert(frame).inserted)
                for cpu in 0..<cpus {
                    let stored = cpu % 2 == 0 ? index : count - 1 - index
                    #expect(bench.machine.word(frame + UInt(cpu) * 8).pointee == UInt64(stored) + 1)
                }
            }
            let taken = (next.withLock { $0 } - gib) / 4096
            #expect(taken == count + UInt(refused.load(ordering: .relaxed)))
            #expect(bench.machine.takeStaleTranslations() == [])
            try bench.tables.value.checkInvariants()
        }
    }

    /// Each CPU maps, uses and unmaps ranges of its own, which share tables with the others' at every level.
    @Test func cpusChangeNeighbouringRangesAtOnce() throws {
        let cpus = 4
        let bench = Bench(cpus: cpus)
        nonisolated(unsafe) let shared = bench
        DispatchQueue.concurrentPerform(iterations: cpus) { cpu in
            shared.machine.run(onCPU: cpu) {
                var source = PoolSource(pool: shared.pool)
                let frame = memory(gib + UInt(cpu) * mib)
                for round in 0..<150 {
                    // All in one table, or each across the edge to the next.
                    let start = areas + UInt(round % 3) * gib + UInt(cpu) * 16 * 4096 + 2 * mib - 32 * 4096
                    let range = pages(start, 16 * 4096)
                    do {
                        let tables = shared.tables
                        try tables.value.mapRange(range, to: frame, permissions: .readWrite, using: &source)
                        try shared.machine.store(UInt64(round), to: range.start)
                        try tables.value.protectRange(range, permissions: .readOnly, using: &source)
                        #expect(try shared.machine.load(range.start) == UInt64(round))
                        try tables.value.clear(range, using: &source) { _, _ in }
                        #expect(throws: SimulatedFault.self) { try shared.machine.load(range.start) }
                    } catch {
                        Issue.record(error)
                    }
                }
            }
        }
        try bench.machine.run {
            try bench.tables.value.checkInvariants()
            #expect(bench.pool.inUse == 1 && bench.machine.takeStaleTranslations() == [])
        }
    }
}
