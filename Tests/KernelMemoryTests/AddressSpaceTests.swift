import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

@testable import KernelMemory

/// What the kernel's own tables map after bring-up, on maps of real machines and with what CPUs lack.
@Suite struct AddressSpaceTests {
    static let maps: [MachineMap] = [
        .pc(bytes: 64 << 20), .pc(bytes: 512 << 20), .large(gibibytes: 5), .large(gibibytes: 64), .notebook, .oddEnds,
    ]

    static let features: [PagingFeatures] = [
        .all, PagingFeatures(noExecute: true, gigabytePages: false, globalPages: true),
        PagingFeatures(noExecute: false, gigabytePages: true, globalPages: false),
        PagingFeatures(noExecute: true, gigabytePages: true, globalPages: true, fiveLevels: true),
    ]

    @Test(arguments: maps, features)
    func exactlyMemoryAndImageAreMapped(map: MachineMap, features: PagingFeatures) throws {
        var configuration = Configuration()
        configuration.features = features
        try checkMapped(KernelMachine(map, configuration))
    }

    @Test(arguments: [MachineMap.pc(bytes: 64 << 20), .large(gibibytes: 5)], features)
    func whereverTheRegionsLie(map: MachineMap, features: PagingFeatures) throws {
        for layout in Layouts.some(for: map) {
            var configuration = Configuration()
            configuration.features = features
            configuration.layout = layout
            try checkMapped(KernelMachine(map, configuration))
        }
    }

    /// A frame table that its region has no room for is not put beyond it.
    @Test func aFrameTableLargerThanItsRegionIsRefused() throws {
        var layout = AddressSpaceLayout.x86FourLevel
        let start = layout.frameTable.start
        layout.frameTable = VirtualRange(start, start + (1 << 20))
        var configuration = Configuration()
        configuration.layout = layout
        #expect(throws: BringUpError.self) { try KernelMachine(.pc(bytes: 64 << 20), configuration) }
    }

    @Test(arguments: features)
    func imageOfLargePages(features: PagingFeatures) throws {
        var configuration = Configuration()
        configuration.features = features
        configuration.image = .large
        try checkMapped(KernelMachine(.pc(bytes: 64 << 20), configuration))
    }

    private func checkMapped(_ machine: KernelMachine) throws {
        try machine.check()
        let expected = ExpectedPages(of: machine).runs
        let (found, areContiguous) = machine.mappedRuns()
        #expect(found.count == expected.count)
        if let index = found.indices.first(where: { $0 >= expected.count || found[$0] != expected[$0] }) {
            let wanted = index < expected.count ? "\(expected[index])" : "nothing"
            Issue.record("run \(index): found \(found[index]), expected \(wanted)")
        }
        #expect(areContiguous)
        let audit = machine.run { machine.memory.value.pageTables.value.audit() }
        #expect(audit.badEntries == 0)
        #expect(audit.userPages == 0)
        #expect(audit.demandEntries == 0 && audit.guardEntries == 0)
        // A CPU without NX can execute whatever it can read: then no table can be right.
        if machine.configuration.features.noExecute {
            #expect(audit.passes)
            #expect(machine.run { machine.memory.value.pageTables.value.auditAliases().passes })
        }
        try checkAccesses(machine)
        try machine.check()
    }

    /// The same through the simulated CPU, which shares no code with what built the tables.
    private func checkAccesses(_ machine: KernelMachine) throws {
        let image = machine.configuration.image
        let executes = !machine.configuration.features.noExecute
        let memory = usableMemory(machine.map)
        for range in memory {
            for address in [range.lowerBound, range.upperBound - 8] {
                let word = machine.directMap.pointer(to: PhysicalAddress(address)).load(as: UInt64.self)
                #expect(try machine.load(machine.direct(address)) == word)
                #expect(try machine.load(machine.alias(address)) == word)
            }
            for address in [range.lowerBound &- 8, range.upperBound]
            where !memory.contains(where: { $0.contains(address) }) && address < 1 << 40 {
                #expect(throws: SimulatedFault.self) { try machine.load(machine.direct(address)) }
                #expect(throws: SimulatedFault.self) { try machine.load(machine.alias(address)) }
            }
        }
        let base = machine.layout.image.start
        for segment in [image.code, image.constants, image.data] {
            let canWrite = segment.permissions.contains(.write)
            let canExecute = segment.permissions.contains(.execute)
            for address in [segment.physical.start.rawValue, segment.physical.end.rawValue - 8]
            where !image.guards.contains(address & ~4095) {
                let places = [
                    segment.virtualStart + (address - segment.physical.start.rawValue),
                    machine.direct(address), machine.alias(address),
                ]
                for (index, place) in places.enumerated() {
                    let word = try machine.load(place)
                    if canWrite {
                        #expect(throws: Never.self) { try machine.store(word, place) }
                    } else {
                        #expect(throws: SimulatedFault.self) { try machine.store(word, place) }
                    }
                    if executes || canExecute && index == 0 {
                        #expect(throws: Never.self) { try machine.fetch(place) }
                    } else {
                        #expect(throws: SimulatedFault.self) { try machine.fetch(place) }
                    }
                }
            }
        }
        for page in image.guards {
            #expect(throws: SimulatedFault.self) { try machine.load(base + page) }
            #expect(throws: SimulatedFault.self) { try machine.load(base + page + 4088) }
            // The frame itself is memory like any other.
            #expect(throws: Never.self) { try machine.load(machine.direct(page)) }
        }
        // The frame table, and nothing beside it.
        let table = try #require(machine.frameTable)
        let shown = machine.layout.frameTable.start + table.lowerBound % (1 << 30)
        for address in [table.lowerBound, table.upperBound - 8] {
            let word = machine.directMap.pointer(to: PhysicalAddress(address)).load(as: UInt64.self)
            #expect(try machine.load(shown + (address - table.lowerBound)) == word)
        }
        #expect(throws: SimulatedFault.self) { try machine.load(shown - 8) }
        #expect(throws: SimulatedFault.self) { try machine.load(shown + UInt(table.count)) }
        // No identity map, no boot part at the image's address.
        #expect(throws: SimulatedFault.self) { try machine.load(VirtualAddress(0x10_0000)) }
        #expect(throws: SimulatedFault.self) { try machine.load(base + 0x10_0000) }
        // What is written through one is read through the other.
        let spare = try #require(machine.run { machine.memory.value.frames.value.allocate(order: 0) })
        try machine.store(0x1234_5678_9abc_def0, machine.direct(spare.address.rawValue + 16))
        #expect(try machine.load(machine.alias(spare.address.rawValue + 16)) == 0x1234_5678_9abc_def0)
        machine.run { machine.memory.value.frames.value.free(spare, order: 0) }
    }
}
