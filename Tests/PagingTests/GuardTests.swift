import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

@Suite struct GuardTests {
    @Test func aPageComesAndGoesWithoutMemory() throws {
        let bench = Bench()
        try bench.machine.run {
            let range = pages(areas + 2 * mib - 8192, 16384)
            try bench.tables.value.reserveGuard(range, using: &bench.source)
            let used = bench.pool.inUse
            for index in 0..<4 as Range<UInt> {
                let page = range.start + index * 4096
                #expect(bench.fault(at: page) == .notPresent)
                let isRevealed = bench.tables.value.reveal(
                    page, frame: memory(gib + index * 4096), permissions: .readWrite)
                #expect(isRevealed)
                try bench.machine.store(UInt64(index + 5), to: page + 16)
                #expect(bench.machine.word(memory(gib + index * 4096 + 16)).pointee == UInt(index + 5))
                #expect(bench.fault(at: page, .fetch) == .protection)
                // It is no guard page any more.
                let isRevealedTwice = bench.tables.value.reveal(page, frame: memory(gib), permissions: .readWrite)
                #expect(!isRevealedTwice)
                try bench.tables.value.checkInvariants()
                let isConcealed = bench.tables.value.conceal(page)
                #expect(isConcealed && bench.tables.value.lookup(page) == .guardPage)
                #expect(bench.fault(at: page) == .notPresent)
                let isConcealedTwice = bench.tables.value.conceal(page)
                #expect(!isConcealedTwice)
            }
            #expect(bench.pool.inUse == used && bench.machine.takeStaleTranslations() == [])
            try bench.tables.value.checkInvariants()
        }
    }

    @Test func whatIsNoGuardPageIsLeftAlone() throws {
        let bench = Bench()
        try bench.machine.run {
            let large = page(areas)
            try bench.tables.value.map(
                large, to: memory(gib), size: .size2MiB, permissions: .readWrite, using: &bench.source)
            try bench.tables.value.reserveDemand(
                pages(areas + 4 * mib, 4096), permissions: .readWrite, using: &bench.source)
            let none = page(areas + 8 * mib)
            for address in [large, large + 4096, page(areas + 4 * mib), none, none + 1, page(0x0000_8000_0000_0000)] {
                let isRevealed = bench.tables.value.reveal(address, frame: memory(0), permissions: .readWrite)
                let isConcealed = bench.tables.value.conceal(address)
                #expect(!isRevealed && !isConcealed)
            }
            #expect(bench.tables.value.translate(large)?.size == .size2MiB)
            try bench.tables.value.checkInvariants()
        }
    }
}
