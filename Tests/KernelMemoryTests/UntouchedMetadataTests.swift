import BootMemory
import Foundation
import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import KernelMemory

/// How much of what bring-up reserves for the allocators it also writes: the rest must wait until it is needed.
@Suite struct UntouchedMetadataTests {
    /// Bytes reserved for an owner, and how many of its pages bring-up changed.
    private struct Written {
        var reserved: UInt = 0
        var pages: UInt = 0
        var byteCount: UInt { pages * 4096 }
    }

    /// Brings the same machine up twice: to learn what it reserves, and with all of that filled with a pattern before.
    private func written(_ map: MachineMap) throws -> [RegionOwner: Written] {
        func reserved(_ machine: KernelMachine) -> [(PhysicalRange, RegionOwner)] {
            var ranges: [(PhysicalRange, RegionOwner)] = []
            machine.run { machine.memory.value.boot.value.forEachReserved { ranges.append(($0, $1)) } }
            let owners: [RegionOwner] = [.frameTable, .zones, .pageTables, .kernelRoot]
            return ranges.filter { owners.contains($0.1) }
        }
        // Like the CPU of a machine without pages of 1 GiB, which needs the most tables.
        var configuration = Configuration()
        configuration.features.gigabytePages = false
        let expected = try reserved(KernelMachine(map, configuration))
        configuration.patterned = expected.map(\.0)
        let machine = try KernelMachine(map, configuration)
        #expect(reserved(machine).map(\.0) == configuration.patterned)
        let untouched = [UInt8](repeating: UInt8(Configuration.pattern), count: 4096)
        var result: [RegionOwner: Written] = [:]
        for (range, owner) in expected {
            var written = result[owner, default: Written()]
            written.reserved += range.byteCount
            for start in stride(from: range.start.rawValue, to: range.end.rawValue, by: 4096) {
                let memory = machine.directMap.pointer(to: PhysicalAddress(start))
                let byteCount = min(4096, range.end.rawValue - start)
                if memcmp(memory, untouched, Int(byteCount)) != 0 { written.pages += 1 }
            }
            result[owner] = written
        }
        try machine.check()
        return result
    }

    @Test func whatSixtyFourGigabytesNeedIsWrittenWhenItIsNeeded() throws {
        let written = try written(.large(gibibytes: 64))
        let table = try #require(written[.frameTable])
        // 16 bytes for each of 16 million frames are set aside: of 256 MiB, less than a four hundredth is written.
        #expect(table.reserved > 256 << 20)
        #expect(table.pages > 0 && table.byteCount * 400 < table.reserved)
        // Entries of page blocks and the index of page blocks are most of it.
        #expect(written.values.reduce(0) { $0 + $1.byteCount } < 3 << 19)
        // Page tables are needed from the start: they are what reaches the memory.
        #expect(written[.pageTables]?.byteCount == written[.pageTables]?.reserved)
    }
}
