import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing
import VirtualMemory

@testable import KernelMemory

/// `ioremap` and `memremap`: what is mapped, how, and what is refused.
@Suite struct DeviceMappingTests {
    /// RAM below 64 MiB, registers behind it.
    private func machine() throws -> KernelMachine {
        var configuration = Configuration()
        configuration.features.physicalAddressBits = 40
        return try KernelMachine(.pc(bytes: 64 << 20), configuration)
    }

    private func vmalloc(_ machine: KernelMachine) -> Permanent<Vmalloc<SimulatedPlatform>> {
        machine.memory.value.vmalloc
    }

    private func page(_ machine: KernelMachine, _ address: VirtualAddress) -> Translation? {
        machine.run { machine.memory.value.pageTables.value.translate(address) }
    }

    private static let callModes: [(String, CacheMode)] = [
        ("ioremap", .uncachedOverridable), ("ioremap_uc", .uncached), ("ioremap_wc", .writeCombining),
        ("WB", .writeBack), ("WT", .writeThrough), ("WC", .writeCombining),
    ]

    private func map(
        _ machine: KernelMachine, _ call: String, _ physical: UInt, _ byteCount: UInt
    ) -> VirtualAddress? {
        let address = PhysicalAddress(physical)
        let vmalloc = vmalloc(machine)
        return machine.run {
            switch call {
            case "ioremap": vmalloc.value.ioremap(address, byteCount)
            case "ioremap_uc": vmalloc.value.ioremap_uc(address, byteCount)
            case "ioremap_wc": vmalloc.value.ioremap_wc(address, byteCount)
            case "WB": vmalloc.value.memremap(address, byteCount, MEMREMAP_WB)
            case "WT": vmalloc.value.memremap(address, byteCount, MEMREMAP_WT)
            default: vmalloc.value.memremap(address, byteCount, MEMREMAP_WC)
            }
        }
    }

    @Test(arguments: callModes) func cachedAsAsked(call: String, mode: CacheMode) throws {
        let machine = try machine()
        let before = machine.settledCounters()
        let address = try #require(map(machine, call, 0xfee0_0030, 4))
        #expect(address.rawValue & 4095 == 0x30, "the offset within the page is kept")
        let found = try #require(page(machine, address))
        #expect(found.physical == PhysicalAddress(0xfee0_0030) && found.size == .size4KiB)
        #expect(found.permissions == .readWrite.cached(mode))
        #expect(page(machine, address + 4096) == nil, "a guard page")
        #expect(machine.run { vmalloc(machine).value.find_vm_area(address)?.kind } == .device)
        var line: [UInt8] = [1]
        line.withUnsafeMutableBytes { buffer in
            machine.run { #expect(vmalloc(machine).value.vread(buffer, address) == 0, "registers are not read") }
        }
        #expect(line == [0])
        try machine.check()
        // Any address in the first page will do, as in Linux.
        machine.run { vmalloc(machine).value.iounmap(address) }
        #expect(page(machine, address) == nil)
        #expect(machine.settledCounters() == before)
        try machine.check()
    }

    /// Sizes and offsets within and across pages, against what whole pages they touch.
    @Test func everyByteAskedForIsMapped() throws {
        let machine = try machine()
        for start in [0xfed0_0000, 0xfed0_0001, 0xfed0_0ffc, 0xfed0_0fff, 0xfecf_f000] as [UInt] {
            for byteCount in [1, 4, 5, 4095, 4096, 4097, 8192, 70_000] as [UInt] {
                let address = try #require(map(machine, "ioremap", start, byteCount))
                for offset in [0, byteCount / 2, byteCount - 1] {
                    #expect(page(machine, address + offset)?.physical == PhysicalAddress(start + offset))
                }
                let pages = (start + byteCount - 1) / 4096 - start / 4096 + 1
                let area = try #require(machine.run { vmalloc(machine).value.find_vm_area(address) })
                #expect(area.reservedPages == pages)
                machine.run { vmalloc(machine).value.iounmap(address) }
            }
        }
        try machine.check()
    }

    @Test func largePagesWhereAligned() throws {
        let machine = try machine()
        let before = machine.settledCounters()
        func sizes(_ physical: UInt, _ byteCount: UInt) throws -> [PageSize] {
            let address = try #require(map(machine, "ioremap_wc", physical, byteCount))
            defer { machine.run { vmalloc(machine).value.iounmap(address) } }
            var found: [PageSize] = []
            var offset: UInt = 0
            while offset < byteCount {
                let leaf = try #require(page(machine, address + offset))
                #expect(leaf.physical.rawValue == physical + offset)
                #expect(leaf.permissions.cacheMode == .writeCombining)
                found.append(leaf.size)
                offset += leaf.size.byteCount
            }
            return found
        }
        #expect(try sizes(0xe000_0000, 2 << 20) == [.size2MiB])
        #expect(try sizes(0xe000_0000, (4 << 20) + 4096) == [.size2MiB, .size2MiB, .size4KiB])
        #expect(try sizes(0xe020_0000, (2 << 20) - 4096).count == 511)
        #expect(try sizes(0x40_0000_0000, 1 << 30) == [.size1GiB])
        #expect(try sizes(0x40_0000_0000, (1 << 30) + (2 << 20)) == [.size1GiB, .size2MiB])
        #expect(try sizes(0xe000_1000, 8192) == [.size4KiB, .size4KiB])
        #expect(machine.settledCounters() == before)
        try machine.check()
    }

    /// RAM is refused, the first and the last byte of it, and what only touches it, whoever has it.
    @Test func memoryIsRefused() throws {
        let machine = try machine()
        let before = machine.settledCounters()
        let used = try #require(machine.run { machine.allocateFrames(3) })
        let ram: [(UInt, UInt)] = [
            (1 << 20, 4096), (0x10_0000, 1), (0xf_ffff, 2), ((64 << 20) - 0x2_0001, 2), (used.address.rawValue, 4096),
            (0x1000, 1), (0, 1 << 39), (machine.configuration.image.code.physical.start.rawValue, 4096),
        ]
        for (start, byteCount) in ram {
            for (call, _) in Self.callModes {
                let address = map(machine, call, start, byteCount)
                let kinds = machine.machine.takeViolations().map(\.kind)
                if address != nil {
                    #expect(call == "WB" && kinds == [], "all of it is RAM: where the direct map shows it")
                } else {
                    #expect(kinds == [.mapsMemory], "\(call) \(start) \(byteCount)")
                }
            }
            #expect(throws: DeviceMappingError.isMemory) {
                _ = try machine.run {
                    try vmalloc(machine).value.mapDevice(PhysicalAddress(start), byteCount: byteCount)
                }
            }
        }
        machine.run { machine.freeFrames(used, 3) }
        #expect(machine.settledCounters() == before)
        #expect(machine.machine.takeFailedAllocations().isEmpty)
    }

    /// Against the firmware's map: each page is RAM or can be mapped, and not both.
    @Test(arguments: [MachineMap.notebook, .oddEnds, .large(gibibytes: 5)]) func whatIsMemoryIsThatOfTheMap(
        map machineMap: MachineMap
    ) throws {
        let machine = try KernelMachine(machineMap)
        let ram = usableMemory(machineMap)
        var edges = ram.flatMap { [$0.lowerBound, $0.upperBound] }
        edges += machineMap.entries.flatMap { [UInt($0.base) & ~4095, UInt($0.base + $0.byteCount) & ~4095] }
        for edge in edges {
            for start in [edge &- 4096, edge] where start < 1 << 39 {
                let isMemory = ram.contains { $0.contains(start) }
                let page = PhysicalRange(PhysicalAddress(start), PhysicalAddress(start + 4096))
                #expect(machine.run { vmalloc(machine).value.holdsMemory(page) } == isMemory, "\(start)")
                #expect(
                    machine.run { vmalloc(machine).value.directlyMapped(page.start, byteCount: 1) }
                        == (isMemory ? machine.direct(start) : nil))
            }
        }
        try machine.check()
    }

    @Test func writeBackOfMemoryIsTheDirectMaps() throws {
        let machine = try machine()
        let frame = try #require(machine.run { machine.allocateFrames(1) })
        let start = frame.address.rawValue
        let address = try #require(map(machine, "WB", start + 5, 5000))
        #expect(address == machine.direct(start + 5))
        try machine.store(77, machine.direct(start + 8))
        #expect(try machine.load(address + 3) == 77)
        machine.run { vmalloc(machine).value.memunmap(address) }
        #expect(try machine.load(address + 3) == 77, "the direct map stays")
        // Part RAM and part not: neither.
        #expect(map(machine, "WB", (64 << 20) - 0x2_1000, 8192) == nil)
        #expect(machine.machine.takeViolations().map(\.kind) == [.mapsMemory])
        // No flag, no mapping; several are tried in order.
        #expect(machine.run { vmalloc(machine).value.memremap(PhysicalAddress(0xe000_0000), 8, .none) } == nil)
        let both = machine.run {
            vmalloc(machine).value.memremap(PhysicalAddress(0xe000_0000), 8, MEMREMAP_WC | MEMREMAP_WT)
        }
        #expect(page(machine, try #require(both))?.permissions.cacheMode == .writeThrough)
        machine.run { vmalloc(machine).value.memunmap(both) }
        machine.run { machine.freeFrames(frame, 1) }
        try machine.check()
    }

    @Test(
        arguments: [
            (0xfee0_0000, 0, .emptyRange), (.max, 2, .wraps), (.max - 4095, 4097, .wraps), (0x1000, .max, .wraps),
            (1 << 40, 1, .beyondPhysicalLimit), ((1 << 40) - 1, 2, .beyondPhysicalLimit),
            (.max, 1, .beyondPhysicalLimit),
            (1 << 52, 4096, .beyondPhysicalLimit),
        ] as [(UInt, UInt, DeviceMappingError)])
    func whatCannotBe(physical: UInt, byteCount: UInt, error: DeviceMappingError) throws {
        let machine = try machine()
        let before = machine.settledCounters()
        #expect(throws: error) {
            _ = try machine.run {
                try vmalloc(machine).value.mapDevice(PhysicalAddress(physical), byteCount: byteCount)
            }
        }
        for (call, _) in Self.callModes {
            #expect(map(machine, call, physical, byteCount) == nil)
            let failure = try #require(machine.machine.takeFailedAllocations().first)
            #expect(failure.lack == .deviceAddresses && failure.address == physical)
            #expect("\(failure.reason)" == "\(error.reason)")
        }
        #expect(machine.settledCounters() == before)
        try machine.check()
    }

    @Test func wrongUnmaps() throws {
        let machine = try machine()
        let vmalloc = vmalloc(machine)
        let address = try #require(map(machine, "ioremap", 0xfec0_0000, 8192))
        machine.run {
            vmalloc.value.vfree(address)
            vmalloc.value.vunmap(address)
            vmalloc.value.iounmap(address + 4096)
            vmalloc.value.iounmap(VirtualAddress(0x1234_5000))
        }
        #expect(machine.machine.takeViolations().map(\.kind) == [.wildFree, .wildFree, .misalignedFree, .wildFree])
        machine.run {
            vmalloc.value.iounmap(nil)
            vmalloc.value.iounmap(address + 5)
            vmalloc.value.iounmap(address)
        }
        #expect(machine.machine.takeViolations().map(\.kind) == [.doubleFree])
        let area = try #require(machine.run { machine.vmalloc(4096) })
        machine.run { vmalloc.value.iounmap(area) }
        #expect(machine.machine.takeViolations().map(\.kind) == [.wildFree])
        machine.run { machine.vfree(area) }
        try machine.check()
    }

    @Test(arguments: [Failing.frames, .objects]) func eachStepFailing(failing: Failing) throws {
        var configuration = Configuration()
        if failing == .objects { configuration.slab.failures = .init() }
        let machine = try KernelMachine(.pc(bytes: 32 << 20), configuration)
        for (start, byteCount) in [(0xfee0_0000, 4096), (0xe000_0000, 3 << 20), (0x40_0000_0000, 3 << 30)]
            as [(UInt, UInt)]
        {
            let steps = try machine.failEach(failing) {
                let vmalloc = machine.memory.value.vmalloc
                return vmalloc.value.ioremap(PhysicalAddress(start), byteCount).map { address in
                    { vmalloc.value.iounmap(address) }
                }
            }
            #expect(steps >= 1)
        }
    }

    @Test func vmallocinfo() throws {
        let machine = try machine()
        let vmalloc = vmalloc(machine)
        let device = try #require(map(machine, "ioremap", 0xfed0_0000, 1024))
        let area = try #require(machine.run { machine.vmalloc(3 * 4096, populate: true) })
        var text = TextWriter()
        machine.run { VmallocInfoReport.write(vmalloc.value, to: &text) }
        func hex(_ address: VirtualAddress) -> String { "0x" + String(address.rawValue, radix: 16) }
        #expect(
            text.text == """
                \(hex(device))-\(hex(device + 8192))    8192 ioremap phys=0x00000000fed00000 ioremap
                \(hex(area))-\(hex(area + 16384))   16384 vmalloc pages=3 vmalloc N0=3

                """)
        machine.run {
            vmalloc.value.iounmap(device)
            machine.vfree(area)
        }
        try machine.check()
    }
}

extension KernelMachine {
    /// The counters, with nothing left in caches.
    fileprivate func settledCounters() -> Counters {
        run { drain() }
        return counters()
    }
}
