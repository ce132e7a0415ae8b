import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// A platform on which every flush is forgotten: the TLB model must see the harm that follows.
private enum ForgetfulPlatform: Platform {
    static var cpuCount: Int { SimulatedPlatform.cpuCount }
    static var currentCPU: Int { SimulatedPlatform.currentCPU }
    static func disableInterrupts() -> InterruptState { SimulatedPlatform.disableInterrupts() }
    static func restoreInterrupts(_ state: InterruptState) { SimulatedPlatform.restoreInterrupts(state) }
    static var mayWait: Bool { SimulatedPlatform.mayWait }
    static func enterAtomicContext() { SimulatedPlatform.enterAtomicContext() }
    static func leaveAtomicContext() { SimulatedPlatform.leaveAtomicContext() }
    static func flushPage(_ address: VirtualAddress) {}
    static func flushAllPages() {}
    static func relax() { SimulatedPlatform.relax() }
    static var cycleCounter: UInt64 { SimulatedPlatform.cycleCounter }
    static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) { SimulatedPlatform.fillRandom(buffer) }
    static func report(_ violation: MemoryViolation) { SimulatedPlatform.report(violation) }
    static func report(_ failure: FailedAllocation) { SimulatedPlatform.report(failure) }
}

@Suite struct MissingFlushTests {
    /// The kinds of stale translations after `change` of a warm page, on CPU 1, without flushes and with them.
    private func kinds(
        _ change: (borrowing PageTables<ForgetfulPlatform>, inout PoolSource) throws -> Void,
        _ same: (borrowing PageTables<SimulatedPlatform>, inout PoolSource) throws -> Void
    ) throws -> Set<StaleTranslation.Kind> {
        func use<P: Platform>(
            _ bench: TestBench<P>, _ change: (borrowing PageTables<P>, inout PoolSource) throws -> Void
        ) throws -> Set<StaleTranslation.Kind> {
            try bench.machine.run {
                try bench.tables.value.map(page(areas), to: memory(gib), permissions: .readWrite, using: &bench.source)
                #expect(try bench.machine.load(page(areas), onCPU: 1) == 0)
                try change(bench.tables.value, &bench.source)
                _ = try? bench.machine.load(page(areas), onCPU: 1)
            }
            return Set(bench.machine.takeStaleTranslations().map(\.kind))
        }
        #expect(try use(Bench(cpus: 2), same) == [])
        return try use(TestBench(cpus: 2, platform: ForgetfulPlatform.self), change)
    }

    @Test func ofAnUnmappedPageIsSeen() throws {
        #expect(
            try kinds(
                { try $0.unmap(page(areas), using: &$1) }, { try $0.unmap(page(areas), using: &$1) }
            ) == [.unmapped, .freedTable])
    }

    @Test func ofAReplacedPageIsSeen() throws {
        #expect(
            try kinds(
                {
                    try $0.unmap(page(areas), using: &$1)
                    try $0.map(page(areas), to: memory(gib + 4096), permissions: .readWrite, using: &$1)
                },
                {
                    try $0.unmap(page(areas), using: &$1)
                    try $0.map(page(areas), to: memory(gib + 4096), permissions: .readWrite, using: &$1)
                }) == [.otherFrame, .freedTable])
    }

    @Test func ofAProtectedPageIsSeen() throws {
        #expect(
            try kinds(
                { try $0.protect(page(areas), permissions: .readOnly, using: &$1) },
                { try $0.protect(page(areas), permissions: .readOnly, using: &$1) }) == [.lesserPermissions])
    }

    @Test func ofATableWithoutPagesIsSeen() throws {
        // No page was ever present there, but the CPU has walked through the tables and may remember them.
        func use<P: Platform>(_ bench: TestBench<P>) throws -> Set<StaleTranslation.Kind> {
            try bench.machine.run {
                try bench.tables.value.reserveDemand(
                    pages(areas, 8192), permissions: .readWrite, using: &bench.source)
                #expect(bench.fault(at: page(areas)) == .notPresent)
                try bench.tables.value.clear(pages(areas, 8192), using: &bench.source) { _, _ in }
            }
            return Set(bench.machine.takeStaleTranslations().map(\.kind))
        }
        #expect(try use(Bench()) == [])
        #expect(try use(TestBench(platform: ForgetfulPlatform.self)) == [.freedTable])
    }

    @Test func framesAreVisitedAfterTheirFlush() throws {
        let bench = Bench(cpus: 2)
        try bench.machine.run {
            let range = pages(areas + 2 * mib - 40 * 4096, 100 * 4096)
            try bench.tables.value.mapRange(range, to: memory(gib), permissions: .readWrite, using: &bench.source)
            for offset in stride(from: 0, to: range.byteCount, by: 4096) {
                for cpu in 0..<2 { _ = try bench.machine.load(range.start + offset, onCPU: cpu) }
            }
            #expect(bench.machine.cachedPages(leadingInto: PhysicalRange(memory(gib), memory(2 * gib))).count == 200)
            var visited = 0
            try bench.tables.value.clear(range, using: &bench.source) { frame, size in
                #expect(bench.machine.cachedPages(leadingInto: PhysicalRange(frame, frame + 4096)).isEmpty)
                #expect(size == .size4KiB && SimulatedPlatform.interruptsEnabled)
                visited += 1
            }
            #expect(visited == 100 && bench.pool.inUse == 1)
            #expect(bench.machine.takeStaleTranslations() == [])
        }
    }
}
