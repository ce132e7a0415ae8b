import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import KernelMemory

/// A report as text.
struct TextWriter: ReportWriter {
    private var bytes: [UInt8] = []

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }
}

/// `iomem`: every range of the map, and whose RAM is.
@Suite struct IomemTests {
    private func lines(of machine: KernelMachine) -> [String] {
        var writer = TextWriter()
        machine.run { machine.memory.value.writeIomem(to: &writer) }
        #expect(writer.text.hasSuffix("\n"))
        return writer.lines
    }

    @Test func aMachineOf64MiB() throws {
        var configuration = Configuration()
        configuration.image.bss = PhysicalRange(PhysicalAddress(0x1c_1230), PhysicalAddress(0x24_0000))
        configuration.information = 0x30_0f40
        configuration.modules = [0x28_0123..<0x28_9457]
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        let found = lines(of: machine)
        #expect(
            Array(found.prefix(11)) == [
                "00000000-0009efff : System RAM",
                "  00000000-0009efff : low memory",
                "0009fc00-0009ffff : Reserved",
                "000f0000-000fffff : Reserved",
                "00100000-03fdffff : System RAM",
                "  00114000-0018ffff : Kernel code",
                "  00190000-001b2fff : Kernel rodata",
                "  001b3000-001c122f : Kernel data",
                "  001c1230-0023ffff : Kernel bss",
                "  00280000-00289fff : module",
                "  00300000-00301fff : multiboot information",
            ])
        // What the allocators take lies at the end, each with its name.
        let own = found.dropFirst(11).dropLast(2).map { String($0.split(separator: " : ")[1]) }
        #expect(Set(own) == ["frame table", "zones", "page tables", "kernel root"])
        #expect(found.suffix(2) == ["03fe0000-03ffffff : Reserved", "fffc0000-ffffffff : Reserved"])
    }

    @Test func everyKindHasLinuxsName() throws {
        var map = MachineMap.pc(bytes: 64 << 20)
        for (index, type) in ([1, 2, 3, 4, 5, 7, 12, 99] as [UInt32]).enumerated() {
            map.entries.append(MapEntry(base: 1 << 32 + UInt64(index) << 20, byteCount: 1 << 20, type: type))
        }
        let found = lines(of: try KernelMachine(map)).filter { !$0.hasPrefix(" ") }.suffix(8)
        #expect(
            Array(found) == [
                "100000000-1000fffff : System RAM",
                "100100000-1001fffff : Reserved",
                "100200000-1002fffff : ACPI Tables",
                "100300000-1003fffff : ACPI Non-volatile Storage",
                "100400000-1004fffff : Unusable memory",
                "100500000-1005fffff : Persistent Memory",
                "100600000-1006fffff : Persistent Memory (legacy)",
                "100700000-1007fffff : Unknown E820 type",
            ])
    }

    /// On any map: in order, nested in what is RAM, and all reservations of RAM are there, under one name or another.
    @Test(arguments: AddressSpaceTests.maps)
    func nothingIsLeftOut(map: MachineMap) throws {
        let machine = try KernelMachine(map, AccountingTests.crowded)
        let memory = usableMemory(map)
        var parent = 0..<UInt(0)
        var parents: [Range<UInt>] = []
        var nested: [Range<UInt>] = []
        var end: UInt = 0
        for line in lines(of: machine) {
            let parts = line.split(separator: " ", omittingEmptySubsequences: true)
            let bounds = parts[0].split(separator: "-").map { UInt($0, radix: 16)! }
            let range = bounds[0]..<bounds[1] + 1
            #expect(parts[0].split(separator: "-").allSatisfy { $0.count >= 8 })
            if line.hasPrefix("  ") {
                #expect(range.clamped(to: parent) == range && range.lowerBound >= end)
                nested.append(range)
            } else {
                #expect(range.lowerBound >= parent.upperBound)
                parent = range
                end = range.lowerBound
                if line.hasSuffix(": System RAM") { parents.append(range) }
            }
            if line.hasPrefix("  ") { end = range.upperBound }
        }
        #expect(parents == memory)
        let reserved = machine.reservedRanges().flatMap { range in
            memory.map { $0.clamped(to: range) }.filter { !$0.isEmpty }
        }
        #expect(nested.reduce(0) { $0 + $1.count } == reserved.reduce(0) { $0 + $1.count })
        #expect(reserved.allSatisfy { range in nested.contains { $0.overlaps(range) } })
    }
}
