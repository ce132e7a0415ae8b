import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

@Suite struct VmallocTests {
    @Test func pagesComeAtTheirFirstTouchAndAreZero() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let address = try #require(machine.allocate(10 * 4096 - 5))
        #expect(address.isAligned(to: 4096))
        #expect(machine.statistics.areas == AreaStatistics(areas: 1, reservedPages: 10, promisedFrames: 10))
        #expect(machine.snapshot().promisedFrames == before.promisedFrames + 10)

        for page in [3, 0, 9] as [UInt] {
            let place = address + page * 4096 + 8 * page
            #expect(try machine.load(place) == 0)
            try machine.store(UInt64(page) + 100, place)
            try machine.checkAll()
        }
        #expect(machine.statistics.areas.presentPages == 3)
        #expect(machine.statistics.resolvedFaults == 3)
        #expect(machine.snapshot().promisedFrames == before.promisedFrames + 7)
        for page in [3, 0, 9] as [UInt] {
            #expect(try machine.load(address + page * 4096 + 8 * page) == UInt64(page) + 100)
        }
        machine.free(address)
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    @Test func nothingIsLeftAfterFree() throws {
        let machine = VmallocMachine()
        let first = try #require(machine.allocate(4 * 4096))
        for page in 0..<4 as Range<UInt> { try machine.store(.max, first + page * 4096) }
        let frames = machine.run {
            (0..<4 as Range<UInt>).map { machine.tables.value.translate(first + $0 * 4096)!.physical }
        }
        machine.free(first)
        for frame in frames {
            #expect(machine.machine.cachedPages(leadingInto: PhysicalRange(frame, frame + 4096)) == [])
        }
        #expect(throws: SimulatedFault.self) { try machine.load(first) }
        #expect(machine.lastFatal?.reason == .outsideAnyArea)
        #expect(machine.lastFatal?.place.place == .freed)

        // The same addresses, at once, with other frames or the same: zero again.
        let second = try #require(machine.allocate(4 * 4096))
        #expect(second == first)
        for page in 0..<4 as Range<UInt> { #expect(try machine.load(second + page * 4096) == 0) }
        try machine.checkAll()
        machine.free(second)
        try machine.checkAll()
    }

    @Test func populatedPagesAreThereAtOnce() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        // Leave something in the frames that will be used.
        let dirty = try #require(machine.allocate(64 * 4096, populate: true))
        for page in 0..<64 as Range<UInt> { try machine.store(.max, dirty + page * 4096 + 8) }
        machine.free(dirty)
        #expect(machine.snapshot() == before)

        let address = try #require(machine.allocate(64 * 4096, flags: [.kernel, .zero], populate: true))
        #expect(machine.statistics.areas.presentPages == 64)
        #expect(machine.snapshot().promisedFrames == before.promisedFrames)
        for page in 0..<64 as Range<UInt> { #expect(try machine.load(address + page * 4096 + 8) == 0) }
        #expect(machine.statistics.resolvedFaults == 0)
        try machine.checkAll()
        machine.free(address)
        #expect(machine.snapshot() == before)
    }

    @Test func flagsThatNameAZoneTakeTheFramesFromIt() throws {
        let machine = VmallocMachine(mebibytes: 20)
        let address = try #require(machine.allocate(3 * 4096, flags: [.kernel, .dma]))
        machine.run {
            for page in 0..<3 as Range<UInt> {
                let physical = machine.tables.value.translate(address + page * 4096)?.physical
                #expect(physical.map { $0.rawValue < 16 << 20 } == true)
            }
        }
    }

    @Test func guardPagesAndStrangersAreRefused() throws {
        let machine = VmallocMachine()
        let first = try #require(machine.allocate(2 * 4096, name: "first"))
        let second = try #require(machine.allocate(4096, name: "second"))
        #expect(second == first + 3 * 4096)
        func refused(_ address: VirtualAddress) -> (FaultReason, AddressDescription.Place, String)? {
            #expect(throws: SimulatedFault.self) { try machine.load(address) }
            return machine.lastFatal.map { ($0.reason, $0.place.place, $0.place.area.map { "\($0.name)" } ?? "none") }
        }
        #expect(try #require(refused(first + 2 * 4096)) == (.guardPage, .guardAbove, "first"))
        #expect(try #require(refused(second + 4096)) == (.guardPage, .guardAbove, "second"))
        #expect(try #require(refused(second + 2 * 4096)) == (.outsideAnyArea, .aboveArea, "second"))
        #expect(try #require(refused(VirtualAddress(0))) == (.outsideAnyArea, .outsideSpace, "none"))
        #expect(try #require(refused(VmallocMachine.space.end - 8)) == (.outsideAnyArea, .aboveArea, "second"))
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    @Test func accessesThatAPageDoesNotAllowAreRefused() throws {
        let machine = VmallocMachine()
        let address = try #require(machine.allocate(2 * 4096))
        func resolution(_ access: FaultAccess, at offset: UInt = 0) -> FaultReason? {
            machine.run {
                switch machine.vmalloc.value.handleFault(at: address + offset, access: access) {
                case .resolved, .spurious: nil
                case .fatal(let reason, _): reason
                }
            }
        }
        // Before the page is there, and afterwards.
        #expect(resolution(.execute) == .notExecutable)
        #expect(resolution(.user) == .userAccess)
        #expect(resolution([.user, .write]) == .userAccess)
        #expect(machine.statistics.areas.presentPages == 0)
        try machine.store(1, address)
        #expect(resolution([.protection, .execute]) == .notExecutable)
        #expect(resolution([.protection, .user]) == .userAccess)
        #expect(resolution([.protection, .reservedBit]) == .reservedBit)
        #expect(throws: SimulatedFault.self) { try machine.run { try machine.machine.fetch(address) } }
        #expect(machine.lastFatal?.reason == .notExecutable)
        // What is there and allowed is to be tried again.
        #expect(resolution([.protection, .write]) == nil)
        #expect(resolution([.write]) == nil)
        #expect(machine.statistics.spuriousFaults == 2)
        #expect(machine.statistics.resolvedFaults == 1)

        machine.run {
            var source = NoTables()
            let page = VirtualRange(address, address + 4096)
            try? machine.tables.value.protectRange(page, permissions: .readOnly, using: &source)
        }
        #expect(resolution([.protection, .write]) == .notWritable)
        #expect(throws: SimulatedFault.self) { try machine.store(2, address) }
        #expect(try machine.load(address) == 1)
        // Outside the areas nothing is looked up: the error code has to say it.
        #expect(machine.run { machine.refusal(at: VirtualAddress(4096), [.protection, .write]) } == .notWritable)
        #expect(machine.run { machine.refusal(at: VirtualAddress(4096), [.protection, .execute]) } == .notExecutable)
        #expect(machine.run { machine.refusal(at: VirtualAddress(4096), [.write]) } == .outsideAnyArea)
    }

    @Test func aFaultWhileMemoryManagementHoldsALockIsFatalAndDoesNotHang() throws {
        let machine = VmallocMachine()
        let address = try #require(machine.allocate(4096))
        machine.run {
            let reason = machine.ranges.withLockHeld { machine.refusal(at: address, .write) }
            #expect(reason == .pageMissing)
            let nested = machine.vmalloc.value.faultLocks.withLock(for: address) {
                machine.refusal(at: address, .write)
            }
            #expect(nested == .pageMissing)
        }
        #expect(machine.takeKinds() == [])
        try machine.store(5, address)
        #expect(try machine.load(address) == 5)
    }

    @Test func wrongFreesAreReportedAndNotObeyed() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let address = try #require(machine.allocate(3 * 4096))
        try machine.store(7, address + 4096)
        machine.free(nil)
        machine.free(VirtualAddress(0))
        #expect(machine.takeKinds() == [])
        machine.free(address + 4096)
        machine.free(address + 8)
        machine.free(address + 3 * 4096)
        #expect(machine.takeKinds() == [.misalignedFree, .misalignedFree, .misalignedFree])
        machine.free(VmallocMachine.space.start + (1 << 30))
        machine.free(VirtualAddress(0x1000))
        #expect(machine.takeKinds() == [.wildFree, .wildFree])
        #expect(try machine.load(address + 4096) == 7)
        try machine.checkAll()
        machine.free(address)
        #expect(machine.snapshot() == before)
        machine.free(address)
        #expect(machine.takeKinds() == [.doubleFree])
        #expect(machine.snapshot() == before)

        machine.run {
            guard let stack = TestedStack(name: "stack", from: machine.stacks) else {
                Issue.record("no stack")
                return
            }
            machine.free(stack.limit)
            #expect(machine.takeKinds() == [.wildFree])
            stack.free()
            machine.stacks.value.shrink()
        }
        #expect(machine.snapshot() == before)
    }

    @Test(arguments: [false, true])
    func sizesThatCannotBeAreRefused(populate: Bool) throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let memory = before.freeFrames * 4096
        for size in [0, .max, .max - 4095, 1 << 63, (32 << 40) - 4096, 32 << 40, memory + 4096, memory] as [UInt] {
            #expect(machine.allocate(size, populate: populate) == nil)
            #expect(machine.snapshot() == before)
        }
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    @Test func linuxNames() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        machine.run {
            let vmalloc = machine.vmalloc
            let one = vmalloc.value.vmalloc(100)
            let two = vmalloc.value.vzalloc(5000)
            #expect(one != nil && two != nil)
            #expect(vmalloc.value.statistics.areas.reservedPages == 3)
            let isContained = vmalloc.value.contains(two! + 8191)
            let isGuardContained = vmalloc.value.contains(two! + 8192)
            #expect(isContained && !isGuardContained)
            vmalloc.value.vfree(one)
            vmalloc.value.vfree(two)
            vmalloc.value.vfree(nil)
            #expect(vmalloc.value.vmalloc(0) == nil)
        }
        #expect(machine.snapshot() == before)
    }
}

/// For changes that need no tables.
struct NoTables: TableFrameSource {
    mutating func allocateTableFrame() -> PhysicalAddress? { nil }
    mutating func freeTableFrame(_ frame: PhysicalAddress) { Issue.record("a table was freed") }
}

extension VmallocMachine {
    func refusal(at address: VirtualAddress, _ access: FaultAccess) -> FaultReason? {
        if case .fatal(let reason, _) = vmalloc.value.handleFault(at: address, access: access) { return reason }
        return nil
    }
}
