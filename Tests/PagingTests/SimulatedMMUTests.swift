import MemoryPrimitives
import SimulatedMachine
import Testing

/// The oracle itself: tables written by hand, word by word, and what the simulated CPU makes of them.
@Suite struct SimulatedMMUTests {
    private let machine: SimulatedMachine

    /// A path of tables at 4, 8, 12 and 16 KiB for address 0x1000, which leads to 1 MiB.
    init() {
        machine = SimulatedMachine(memory: 8 << 30, cpuCount: 2)
        set(0x1000, 0, 0x2007)
        set(0x2000, 0, 0x3007)
        set(0x3000, 0, 0x4007)
        set(0x4000, 1, 0x10_0007)
        for cpu in 0..<2 { machine.loadRoot(PhysicalAddress(0x1000), onCPU: cpu) }
    }

    private func set(_ table: UInt, _ index: Int, _ value: UInt) {
        machine.entry(at: PhysicalAddress(table), index).store(value)
    }

    private func get(_ table: UInt, _ index: Int) -> UInt { machine.entry(at: PhysicalAddress(table), index).load() }

    private func fault(_ address: UInt, _ access: AccessKind = .load, asUser: Bool = false) -> SimulatedFault.Reason? {
        do throws(SimulatedFault) {
            switch access {
            case .load: _ = try machine.load(page(address), asUser: asUser)
            case .store: try machine.store(UInt64(3), to: page(address), asUser: asUser)
            case .fetch: try machine.fetch(page(address), asUser: asUser)
            }
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func wordsAndBytesGoWhereTheTablesLead() throws {
        try machine.store(UInt64(0x1122_3344_5566_7788), to: page(0x1008))
        #expect(machine.word(PhysicalAddress(0x10_0008)).pointee == 0x1122_3344_5566_7788)
        #expect(try machine.load(page(0x1009), as: UInt8.self) == 0x77)
        try machine.store(UInt8(0xff), to: page(0x100f))
        #expect(try machine.load(page(0x1008)) == 0xff22_3344_5566_7788 as UInt64)
        #expect(try machine.fetch(page(0x1008)) == 0x88)
        #expect(fault(0x2000) == .notPresent && fault(0x0000_8000_0000_0000) == .notCanonical)
    }

    @Test func accessedAndDirtyBitsAreSet() throws {
        #expect(fault(0x1000) == nil)
        #expect(get(0x4000, 1) & 0x60 == 0x20 && get(0x1000, 0) & 0x60 == 0x20 && get(0x3000, 0) & 0x20 != 0)
        #expect(fault(0x1000, .store) == nil)
        #expect(get(0x4000, 1) & 0x60 == 0x60)
    }

    @Test(arguments: [(0x1000, 0), (0x2000, 0), (0x3000, 0), (0x4000, 1)] as [(UInt, Int)])
    func eachLevelCanForbid(table: UInt, index: Int) {
        let entry = get(table, index)
        set(table, index, entry & ~2)
        #expect(fault(0x1000, .store) == .protection && fault(0x1000) == nil)
        machine.run { SimulatedPlatform.flushAllPages() }
        set(table, index, entry & ~4)
        #expect(fault(0x1000, asUser: true) == .protection && fault(0x1000) == nil)
        machine.run { SimulatedPlatform.flushAllPages() }
        set(table, index, entry | 1 << 63)
        #expect(fault(0x1000, .fetch) == .protection && fault(0x1000) == nil)
        machine.run { SimulatedPlatform.flushAllPages() }
        set(table, index, entry & ~1)
        #expect(fault(0x1000) == .notPresent)
        #expect(machine.takeStaleTranslations() == [])
    }

    @Test func controlBitsChangeWhatIsAllowed() {
        set(0x4000, 1, 0x10_0005)
        #expect(fault(0x1000, .store) == .protection)
        machine.pagingControl.writeProtect = false
        #expect(fault(0x1000, .store) == nil && fault(0x1000, .store, asUser: true) == .protection)
        machine.pagingControl.forbidsUserFetch = true
        #expect(fault(0x1000, .fetch) == .protection && fault(0x1000, .fetch, asUser: true) == nil)
        machine.pagingControl.forbidsUserAccess = true
        #expect(fault(0x1000) == .protection && fault(0x1000, asUser: true) == nil)
    }

    @Test func reservedBitsFault() {
        machine.pagingControl.physicalAddressBits = 40
        set(0x4000, 2, 0x10_0007 | 1 << 40)
        #expect(fault(0x2000) == .reservedBit)
        set(0x3000, 1, 0x20_0087 | 1 << 13)
        #expect(fault(0x20_0000) == .reservedBit)
        set(0x3000, 1, 0x20_0087 | 1 << 12)
        #expect(fault(0x20_0000) == nil)
        machine.pagingControl.gigabytePages = false
        set(0x2000, 1, 0x4000_0087)
        #expect(fault(0x4000_0000) == .reservedBit)
        machine.pagingControl.noExecute = false
        set(0x4000, 3, 0x10_0007 | 1 << 63)
        #expect(fault(0x3000) == .reservedBit)
        set(0x1000, 1, 0x2087)
        #expect(fault(0x80_0000_0000) == .reservedBit)
        set(0x4000, 4, 0xff_ffff_f007)
        #expect(fault(0x4000) == .noMemory)
    }

    @Test func staleTranslationsAreUsedAndReportedUntilTheyAreFlushed() throws {
        machine.word(PhysicalAddress(0x10_0000)).pointee = 1
        machine.word(PhysicalAddress(0x20_0000)).pointee = 2
        #expect(try machine.load(page(0x1000), onCPU: 1) == 1 as UInt64)
        set(0x4000, 1, 0x20_0007)
        #expect(try machine.load(page(0x1000), onCPU: 0) == 2 as UInt64)
        #expect(machine.takeStaleTranslations() == [])
        #expect(try machine.load(page(0x1000), onCPU: 1) == 1 as UInt64)
        #expect(
            machine.takeStaleTranslations() == [StaleTranslation(kind: .otherFrame, cpu: 1, address: page(0x1000))])
        #expect(machine.cachedPages(leadingInto: PhysicalRange(memory(0x10_0000), memory(0x10_1000))) == [page(0x1000)])
        machine.run { SimulatedPlatform.flushPage(page(0x1000)) }
        #expect(try machine.load(page(0x1000), onCPU: 1) == 2 as UInt64)
        #expect(machine.takeStaleTranslations() == [])
        #expect(machine.pageFlushCount == 1 && machine.fullFlushCount == 0)
    }

    @Test func loadingARootKeepsGlobalTranslations() throws {
        set(0x4000, 2, 0x10_0107)
        #expect(fault(0x1000) == nil && fault(0x2000) == nil)
        machine.loadRoot(PhysicalAddress(0x1000), onCPU: 0)
        #expect(machine.cachedPages(leadingInto: PhysicalRange(memory(0), memory(gib))) == [page(0x2000)])
    }

    @Test func aFaultIsHandledOnce() throws {
        let calls = HostLock(0)
        machine.pageFaultHandler = { [machine] address, access in
            calls.withLock { $0 += 1 }
            if address != page(0x2000) || access != .store { return address == page(0x3000) }
            machine.entry(at: PhysicalAddress(0x4000), 2).store(0x11_0003)
            return true
        }
        try machine.store(UInt64(9), to: page(0x2000))
        #expect(machine.word(PhysicalAddress(0x11_0000)).pointee == 9 && calls.withLock { $0 } == 1)
        #expect(fault(0x3000) == .notPresent && calls.withLock { $0 } == 2)
        #expect(fault(0x4000) == .notPresent && calls.withLock { $0 } == 3)
    }

    @Test func interruptStatesNest() {
        machine.run {
            #expect(SimulatedPlatform.interruptsEnabled)
            let outer = SimulatedPlatform.disableInterrupts()
            let inner = SimulatedPlatform.disableInterrupts()
            SimulatedPlatform.restoreInterrupts(inner)
            #expect(!SimulatedPlatform.interruptsEnabled)
            SimulatedPlatform.restoreInterrupts(outer)
            #expect(SimulatedPlatform.interruptsEnabled)
            #expect(SimulatedPlatform.cycleCounter < SimulatedPlatform.cycleCounter)
        }
    }

    @Test func interruptStatesRestoredOutOfOrderEndTheProcess() async {
        await #expect(processExitsWith: .failure) {
            SimulatedMachine().run {
                let outer = SimulatedPlatform.disableInterrupts()
                _ = SimulatedPlatform.disableInterrupts()
                SimulatedPlatform.restoreInterrupts(outer)
            }
        }
        await #expect(processExitsWith: .failure) {
            SimulatedMachine().run { _ = SimulatedPlatform.disableInterrupts() }
        }
    }
}
