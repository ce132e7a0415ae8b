import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing
import VirtualMemory

@testable import KernelMemory

/// `setMemory` and `seal`: what can be done with a page afterwards, by its address and by the direct map's.
@Suite struct SetMemoryTests {
    private func machine(sealed: VirtualRange? = nil, fiveLevels: Bool = false) throws -> KernelMachine {
        var configuration = Configuration()
        configuration.features.fiveLevels = fiveLevels
        configuration.image.sealed = sealed
        return try KernelMachine(.pc(bytes: 64 << 20), configuration)
    }

    /// 16 KiB of vmalloc memory, mapped.
    private func area(_ machine: KernelMachine) throws -> VirtualRange {
        let start = try #require(machine.run { machine.memory.value.vmalloc.value.vmalloc(16384) })
        for offset in stride(from: UInt(0), to: 16384, by: 4096) { try machine.store(7, start + offset) }
        return VirtualRange(start, start + 16384)
    }

    private func direct(_ machine: KernelMachine, _ address: VirtualAddress) throws -> VirtualAddress {
        let page = machine.run { machine.memory.value.pageTables.value.translate(address) }
        return machine.direct(try #require(page).physical.rawValue)
    }

    private func canWrite(_ machine: KernelMachine, _ address: VirtualAddress) -> Bool {
        (try? machine.store(9, address)) != nil
    }

    /// The same page of the direct map.
    private func canWriteAlias(_ machine: KernelMachine, _ address: VirtualAddress) -> Bool {
        guard let alias = try? direct(machine, address) else { return false }
        return canWrite(machine, alias)
    }

    @Test(arguments: [false, true]) func readOnlyAndBackByBothAddresses(fiveLevels: Bool) throws {
        let machine = try machine(fiveLevels: fiveLevels)
        let area = try area(machine)
        let middle = VirtualRange(area.start + 4096, area.start + 12288)
        func set(_ change: MemoryChange) throws {
            try machine.run { try machine.memory.value.setMemory(middle, change) }
        }
        try set(.readOnly)
        for page in 0..<UInt(4) {
            let isInside = page == 1 || page == 2
            let address = area.start + page * 4096
            let alias = try direct(machine, address)
            #expect(canWrite(machine, address) == !isInside && canWrite(machine, alias) == !isInside)
            #expect(try machine.load(address) == (isInside ? 7 : 9))
        }
        try set(.executable)
        #expect(throws: Never.self) { try machine.fetch(middle.start) }
        #expect(throws: SimulatedFault.self) { try machine.fetch(direct(machine, middle.start)) }
        #expect(machine.run { machine.memory.value.pageTables.value.auditAliases().passes })
        #expect(throws: PagingError.writableAndExecutable) { try set(.writable) }
        #expect(!canWrite(machine, middle.start) && !canWriteAlias(machine, middle.start))
        try set(.notExecutable)
        try set(.writable)
        #expect(canWrite(machine, middle.start) && canWriteAlias(machine, middle.start))
        #expect(throws: PagingError.writableAndExecutable) { try set(.executable) }
        #expect(throws: SimulatedFault.self) { try machine.fetch(middle.start) }
        machine.run { machine.memory.value.vmalloc.value.vfree(area.start) }
        try machine.check()
    }

    /// The page is cut, and its block with it; all of it can be freed, and written to by its next owners.
    @Test(arguments: [false, true], [5..<8, 0..<512, 500..<530] as [Range<UInt>])
    func aPartOfALargePage(isRestored: Bool, part: Range<UInt>) throws {
        let machine = try machine()
        let vmalloc = machine.memory.value.vmalloc
        let start = try #require(machine.run { vmalloc.value.vmalloc(4 << 20) })
        for page in 0..<UInt(1024) { try machine.store(7, start + page * 4096) }
        let size = machine.run { machine.memory.value.pageTables.value.translate(start)?.size }
        #expect(size == .size2MiB)
        let range = VirtualRange(start + part.lowerBound * 4096, start + part.upperBound * 4096)
        try machine.run { try machine.memory.value.setMemory(range, .readOnly) }
        for page in [0, 4, 5, 7, 8, 499, 500, 511, 512, 529, 530, 1023] as [UInt] {
            #expect(canWrite(machine, start + page * 4096) == !part.contains(page))
            #expect(canWriteAlias(machine, start + page * 4096) == !part.contains(page))
        }
        try machine.check()
        if isRestored { try machine.run { try machine.memory.value.setMemory(range, .writable) } }
        let aliases = try (0..<UInt(1024)).map { try direct(machine, start + $0 * 4096) }
        machine.run { vmalloc.value.vfree(start) }
        try machine.check()
        #expect(aliases.allSatisfy { canWrite(machine, $0) })
        #expect(machine.run { machine.memory.value.frames.value.promisedFrames } == 0)
    }

    /// What is due at its first touch is no page yet: nobody could say what its frame will be allowed.
    @Test(arguments: [MemoryChange.readOnly, .executable]) func pagesThatAreDueAreRefused(change: MemoryChange) throws {
        let machine = try machine()
        // More than a touch brings.
        let start = try #require(machine.run { machine.memory.value.vmalloc.value.vmalloc(20 * 4096) })
        try machine.store(7, start)
        #expect(throws: PagingError.notMapped) {
            try machine.run { try machine.memory.value.setMemory(VirtualRange(start, start + 20 * 4096), change) }
        }
        #expect(canWrite(machine, start) && canWriteAlias(machine, start) && canWrite(machine, start + 19 * 4096))
        try machine.check()
    }

    /// What can be executed can be written by no address, however it came to be read-only.
    @Test func codeIsWritableByNoAddress() throws {
        let machine = try machine()
        let area = try area(machine)
        let frame = try #require(
            machine.run { machine.memory.value.pageTables.value.translate(area.start) }
        ).physical
        let other = machine.run {
            withUnsafeTemporaryAllocation(of: PageFrameNumber.self, capacity: 1) { frames in
                frames.initializeElement(at: 0, to: PageFrameNumber(containing: frame))
                #expect(
                    machine.memory.value.vmalloc.value.mapFrames(
                        UnsafeBufferPointer(frames), permissions: .readExecute) == nil)
                return machine.memory.value.vmalloc.value.mapFrames(
                    UnsafeBufferPointer(frames), permissions: .readOnly)
            }
        }
        let page = VirtualRange(try #require(other), try #require(other) + 4096)
        let alias = try direct(machine, page.start)
        var wasBoth = false
        machine.machine.flushHandler = { [unowned machine] in
            let tables = machine.memory.value.pageTables
            let isCode = tables.value.translate(page.start)?.permissions.contains(.execute) == true
            if isCode && tables.value.translate(alias)?.permissions.contains(.write) == true { wasBoth = true }
        }
        try machine.run { try machine.memory.value.setMemory(page, .executable) }
        machine.machine.flushHandler = nil
        #expect(!wasBoth, "the direct map's page loses its write permission first")
        #expect(throws: Never.self) { try machine.fetch(page.start) }
        #expect(!canWriteAlias(machine, page.start) && !canWrite(machine, page.start))
    }

    /// The direct map shows other addresses' pages: they are changed by those.
    @Test(arguments: [MemoryChange.readOnly, .writable, .executable, .notExecutable])
    func theDirectMapIsRefused(change: MemoryChange) throws {
        let machine = try machine()
        let area = try area(machine)
        let start = try direct(machine, area.start)
        #expect(throws: PagingError.sharedSubtree) {
            try machine.run { try machine.memory.value.setMemory(VirtualRange(start, start + 4096), change) }
        }
        #expect(throws: SimulatedFault.self) { try machine.fetch(start) }
        #expect(canWrite(machine, start))
        try machine.check()
    }

    /// The frames' next owner can write to them.
    @Test(arguments: [MemoryChange.readOnly, .executable]) func freedMemoryIsWritableAgain(change: MemoryChange) throws
    {
        let machine = try machine()
        let area = try area(machine)
        let aliases = try (0..<UInt(4)).map { try direct(machine, area.start + $0 * 4096) }
        try machine.run { try machine.memory.value.setMemory(area, .readOnly) }
        if case .executable = change { try machine.run { try machine.memory.value.setMemory(area, .executable) } }
        #expect(aliases.allSatisfy { !canWrite(machine, $0) })
        machine.run { machine.memory.value.vmalloc.value.vfree(area.start) }
        #expect(aliases.allSatisfy { canWrite(machine, $0) })
        #expect(machine.run { machine.memory.value.pageTables.value.auditAliases().passes })
        try machine.check()
    }

    @Test func linuxsNames() throws {
        let machine = try machine()
        let area = try area(machine)
        let (start, memory) = (area.start.rawValue, machine.memory)
        try machine.run { try memory.value.set_memory_ro(start, 2) }
        #expect(!canWrite(machine, area.start) && !canWrite(machine, area.start + 4096))
        #expect(canWrite(machine, area.start + 8192))
        try machine.run { try memory.value.set_memory_x(start, 1) }
        #expect(throws: Never.self) { try machine.fetch(area.start) }
        #expect(throws: SimulatedFault.self) { try machine.fetch(area.start + 4096) }
        try machine.run {
            try memory.value.set_memory_nx(start, 1)
            try memory.value.set_memory_rw(start, 2)
        }
        #expect(throws: SimulatedFault.self) { try machine.fetch(area.start) }
        #expect(canWrite(machine, area.start) && canWriteAlias(machine, area.start + 4096))
        for count in [-1, Int.min, Int.max, 1 << 52] {
            #expect(throws: PagingError.notCanonical) {
                try machine.run { try memory.value.set_memory_ro(start, count) }
            }
        }
        try machine.run { try memory.value.set_memory_ro(start, 0) }
        #expect(canWrite(machine, area.start))
        try machine.check()
    }

    @Test func mistakesChangeNothing() throws {
        let machine = try machine()
        let area = try area(machine)
        func set(_ start: UInt, _ end: UInt) throws {
            try machine.run {
                try machine.memory.value.setMemory(
                    VirtualRange(VirtualAddress(start), VirtualAddress(end)), .readOnly)
            }
        }
        let (start, end) = (area.start.rawValue, area.end.rawValue)
        #expect(throws: PagingError.notMapped) { try set(start, end + 4096) }
        #expect(throws: PagingError.misaligned) { try set(start + 8, end) }
        #expect(throws: PagingError.notCanonical) { try set(0x7fff_ffff_f000, 0x8000_0000_1000) }
        try set(start, start)
        for offset in stride(from: UInt(0), to: 16384, by: 4096) {
            #expect(
                canWrite(machine, area.start + offset) && canWriteAlias(machine, area.start + offset))
        }
        try machine.check()
    }

    /// Each frame that a table needs is refused in turn: then every page allows what it did.
    @Test func eachTableThatIsMissingFailsInTurn() throws {
        let machine = try machine()
        let area = try area(machine)
        let frames = machine.memory.value.frames
        for nth in 1...10 as ClosedRange<UInt> {
            machine.run { frames.value.failAllocation(nth: nth) }
            var error: PagingError?
            do { try machine.run { try machine.memory.value.setMemory(area, .readOnly) } } catch let found
                as PagingError
            {
                error = found
            }
            let isSpent = machine.run { frames.value.requestsUntilFailure } == 0
            machine.run { frames.value.failAllocation(nth: 0) }
            if !isSpent {
                #expect(error == nil && nth > 1, "the direct map's large page needs a table")
                #expect(!canWrite(machine, area.start))
                return try machine.check()
            }
            #expect(error == .outOfTables)
            for offset in stride(from: UInt(0), to: 16384, by: 4096) {
                #expect(canWrite(machine, area.start + offset))
                #expect(canWriteAlias(machine, area.start + offset))
            }
            try machine.check()
        }
        Issue.record("it takes tables without end")
    }

    @Test func theImageIsSealedAtBothAddresses() throws {
        let data = KernelImage.small.data
        let sealed = VirtualRange(data.virtualStart, data.virtualStart + 4096)
        let machine = try machine(sealed: sealed)
        #expect(canWrite(machine, sealed.start))
        try machine.run { try machine.memory.value.seal() }
        #expect(!canWrite(machine, sealed.start) && !canWrite(machine, sealed.end - 8))
        #expect(!canWrite(machine, machine.direct(data.physical.start.rawValue)))
        #expect(!canWrite(machine, machine.alias(data.physical.start.rawValue)))
        #expect(canWrite(machine, sealed.end) && canWrite(machine, machine.direct(data.physical.start.rawValue + 4096)))
        try machine.check()
    }
}
