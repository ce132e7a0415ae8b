import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

/// What a boot loader leaves in memory, good and bad.
@Suite struct MultibootTests {
    @Test func mapEntriesOfAnySizeAndAlignment() throws {
        let loader = BootLoader()
        var next: UInt = 0x8001
        next = loader.writeEntry(at: next, base: 0, byteCount: 0x9_fc00)
        next = loader.writeEntry(at: next, size: 24, base: 0x10_0000, byteCount: 0x70_0000)
        next = loader.writeEntry(at: next, size: 33, base: 0xfffc_0000, byteCount: 0x4_0000, type: 2)
        loader.setMap(byteCount: UInt32(next - 0x8001), at: 0x8001)
        let found = try loader.entries()
        #expect(
            found.entries == [
                MapEntry(0, 0x9_fc00, .available), MapEntry(0x10_0000, 0x70_0000, .available),
                MapEntry(0xfffc_0000, 0x4_0000, .reserved),
            ])
        #expect(found.end == .complete)
    }

    @Test(arguments: [0, 4, 19, 1025, 0xffff_fff0, UInt32.max])
    func entriesWithAnImpossibleSizeEndTheWalk(size: UInt32) throws {
        let loader = BootLoader()
        let second = loader.writeEntry(at: 0x8000, base: 0x10_0000, byteCount: 0x1000)
        _ = loader.writeEntry(at: second, size: size, base: 0x20_0000, byteCount: 0x1000)
        loader.setMap(byteCount: 48, at: 0x8000)
        let found = try loader.entries()
        #expect(found.entries == [MapEntry(0x10_0000, 0x1000, .available)])
        #expect(found.end == (size < 20 ? .entryTooSmall : .entryTooLarge))
    }

    @Test(arguments: UInt32(25)..<48)
    func anEntryThatIsCutOffIsDropped(byteCount: UInt32) throws {
        let loader = BootLoader()
        let second = loader.writeEntry(at: 0x8000, base: 0x10_0000, byteCount: 0x1000)
        _ = loader.writeEntry(at: second, base: 0x20_0000, byteCount: 0x1000)
        loader.setMap(byteCount: byteCount, at: 0x8000)
        let found = try loader.entries()
        #expect(found.entries.count == 1)
        #expect(found.end == .truncated)
    }

    @Test func aLengthThatLiesIsCappedAtWhatIsMapped() throws {
        let loader = BootLoader()
        loader.limit = 0x1_0000
        var next: UInt = 0x1_0000 - 3 * 24 - 10
        let first = UInt32(next)
        for index in UInt64(0)..<3 { next = loader.writeEntry(at: next, base: index << 20, byteCount: 0x1000) }
        loader.write(UInt32(20), at: next)
        loader.setMap(byteCount: .max, at: first)
        let found = try loader.entries()
        #expect(found.entries.map(\.base) == [0, 1 << 20, 2 << 20])
        #expect(found.end == .truncated)
    }

    @Test func aMapWithoutEndIsCutOff() throws {
        let loader = BootLoader()
        var next: UInt = 0x10_0000
        for index in UInt64(0)..<2000 { next = loader.writeEntry(at: next, base: index << 12, byteCount: 0x1000) }
        loader.setMap(byteCount: UInt32(next - 0x10_0000), at: 0x10_0000)
        let found = try loader.entries()
        #expect(found.entries.count == MultibootInformation.maximumMapEntries)
        #expect(found.end == .tooManyEntries)
    }

    @Test(arguments: [(0, 0x8000), (24, 0), (24, 0x1000_0000), (24, .max)] as [(UInt32, UInt32)])
    func aMapThatIsNotThereIsAbsent(byteCount: UInt32, address: UInt32) throws {
        let loader = BootLoader()
        loader.setMap(byteCount: byteCount, at: address)
        #expect(try loader.entries().end == .absent)
        #expect(try BootLoader().entries().end == .absent)
    }

    @Test(arguments: [0, 16 << 20 - 115, 16 << 20, 1 << 52, .max] as [UInt])
    func informationThatIsNotMappedIsRefused(address: UInt) {
        let machine = SimulatedMachine(memory: 16 << 20)
        #expect(throws: BootInformationError.informationUnreadable) {
            try MultibootInformation(
                at: PhysicalAddress(address), through: machine.arena.directMap, mappedBelow: PhysicalAddress(16 << 20))
        }
    }

    // MARK: Filling a map

    func fill(_ loader: BootLoader) throws -> (map: BuiltMap, source: MapSource, end: MapWalkEnd) {
        let information = try loader.read()
        return try withFirmwareMap { map in
            let (source, end) = try map.fill(from: information)
            try map.checkInvariants()
            return (map.snapshot, source, end)
        }
    }

    @Test func theMapIsPreferred() throws {
        let loader = BootLoader()
        _ = loader.writeEntry(at: 0x8000, base: 0x10_0000, byteCount: 0x70_0000)
        loader.setMap(byteCount: 24, at: 0x8000)
        loader.setLimits(lower: 640, upper: 1024)
        let found = try fill(loader)
        #expect(found.source == .memoryMap)
        #expect(found.end == .complete)
        #expect(found.map.regions == [FirmwareRegion(range(0x10_0000, 0x80_0000), .available)])
    }

    @Test func withoutAMapTheLimitsAreUsed() throws {
        let loader = BootLoader()
        loader.setLimits(lower: 9999, upper: 7 * 1024)
        let found = try fill(loader)
        #expect(found.source == .memoryLimits)
        #expect(found.end == .absent)
        #expect(
            found.map.regions.map(\.range) == [range(0, 640 << 10), range(1 << 20, 8 << 20)])
    }

    @Test func aMapWithoutMemoryIsNoMap() throws {
        let loader = BootLoader()
        _ = loader.writeEntry(at: 0x8000, base: 0x20_0000, byteCount: 0x1000, type: 2)
        loader.setMap(byteCount: 24, at: 0x8000)
        loader.setLimits(lower: 0, upper: 7 * 1024)
        let found = try fill(loader)
        #expect(found.source == .memoryLimits)
        // What the map reserves stays reserved.
        #expect(
            found.map.regions == [
                FirmwareRegion(range(1 << 20, 0x20_0000), .available),
                FirmwareRegion(range(0x20_0000, 0x20_1000), .reserved),
                FirmwareRegion(range(0x20_1000, 8 << 20), .available),
            ])
    }

    @Test func withoutAnyMemoryThereIsAnError() throws {
        #expect(throws: BootInformationError.noMemoryInformation) { try fill(BootLoader()) }
        let loader = BootLoader()
        loader.setLimits(lower: 0, upper: 0)
        #expect(throws: BootInformationError.noMemoryInformation) { try fill(loader) }
    }

    // MARK: Modules and strings

    func modules(_ loader: BootLoader) throws -> (modules: [BootModule], dropped: Int) {
        var modules: [BootModule] = []
        let dropped = try loader.read().forEachModule { modules.append($0) }
        #expect(try loader.read().droppedModuleCount == dropped)
        return (modules, dropped)
    }

    @Test func badModulesAreDroppedAndCounted() throws {
        let loader = BootLoader()
        loader.write("initrd quiet", at: 0x7000)
        loader.setModules(5, at: 0x8000)
        loader.writeModule(0, list: 0x8000, start: 0x20_0000, end: 0x20_1234, name: 0x7000)
        loader.writeModule(1, list: 0x8000, start: 0x30_0000, end: 0x2f_ffff, name: 0x7000)
        loader.writeModule(2, list: 0x8000, start: 0x30_0000, end: 0xffff_0000, name: 0x7000)
        loader.writeModule(3, list: 0x8000, start: 0, end: 0x1000, name: 0x7000)
        loader.writeModule(4, list: 0x8000, start: 0x40_0000, end: 0x40_1000, name: .max)
        let found = try modules(loader)
        #expect(
            found.modules == [
                BootModule(range: range(0x20_0000, 0x20_1234), name: range(0x7000, 0x700c)),
                BootModule(range: range(0x40_0000, 0x40_1000), name: nil),
            ])
        #expect(found.dropped == 3)
    }

    @Test func moduleListsThatCannotBeReadAreDropped() throws {
        let loader = BootLoader()
        loader.setModules(2, at: UInt32(16 << 20) - 31)
        #expect(try modules(loader).dropped == 2)
        loader.setModules(.max, at: UInt32(16 << 20) - 4096)
        for index in UInt(0)..<256 {
            loader.writeModule(index, list: 16 << 20 - 4096, start: 0x1000, end: 0x1000, name: 0)
        }
        let found = try modules(loader)
        #expect(found.modules.count == MultibootInformation.maximumModules)
        #expect(found.dropped == Int(UInt32.max) - 256)
    }

    @Test func commandLineIsBoundedAndCopied() throws {
        let loader = BootLoader()
        loader.write("quarry.elf mem=64M", at: 0x5000)
        loader.setCommandLine(at: 0x5000)
        #expect(try loader.read().commandLineRange == bytes(0x5000, 18))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)
        defer { buffer.deallocate() }
        let copied = try unsafe loader.read().copyCommandLine(into: buffer)
        #expect(String(decoding: buffer[..<copied], as: UTF8.self) == "quarry.elf mem=64M")
        let short = UnsafeMutableRawBufferPointer(rebasing: buffer[..<6])
        #expect(try unsafe loader.read().copyCommandLine(into: short) == 6)

        // Without an end, at the limit of what is mapped, and nowhere.
        for address in UInt(0x5000)..<0x8000 { loader.write(UInt8(ascii: "x"), at: address) }
        #expect(try loader.read().commandLineRange?.byteCount == 4096)
        loader.limit = 0xa000
        loader.setCommandLine(at: 0x9ffd)
        for address in UInt(0x9ffd)..<0xa100 { loader.write(UInt8(ascii: "x"), at: address) }
        #expect(try loader.read().commandLineRange == range(0x9ffd, 0xa000))
        loader.setCommandLine(at: 0xa000)
        #expect(try loader.read().commandLineRange == nil)
        loader.setCommandLine(at: 0)
        #expect(try unsafe loader.read().copyCommandLine(into: buffer) == 0)
    }

    @Test func theBootLoaderSaysWhetherTheFileNameComesFirst() throws {
        let loader = BootLoader()
        #expect(try !loader.read().commandLineStartsWithFileName)
        loader.setName("GRUB 2.06-13+deb12u1", at: 0x6000)
        #expect(try !loader.read().commandLineStartsWithFileName)
        loader.setName("qemu", at: 0x6000)
        #expect(try loader.read().commandLineStartsWithFileName)
    }

    @Test func allThatMustBeKeptIsNamed() throws {
        let loader = BootLoader()
        loader.write("mem=1G", at: 0x5000)
        loader.setCommandLine(at: 0x5000)
        loader.setName("qemu", at: 0x6000)
        loader.write("initrd", at: 0x7000)
        loader.setModules(1, at: 0x7100)
        loader.writeModule(0, list: 0x7100, start: 0x20_0000, end: 0x20_1000, name: 0x7000)
        _ = loader.writeEntry(at: 0x8000, base: 0, byteCount: 0x1000)
        loader.setMap(byteCount: 24, at: 0x8000)
        var ranges: [PhysicalRange] = []
        try loader.read().forEachRange { ranges.append($0) }
        #expect(
            Set(ranges) == [
                bytes(0x9000, 116), bytes(0x5000, 6), bytes(0x6000, 4), bytes(0x7000, 6), bytes(0x7100, 16),
                bytes(0x8000, 24),
            ])
    }

    /// The ranges that the information lies in, of a loader with nothing but a map of three entries at 0x8000, or less.
    func keptRanges(mapByteCount: UInt32, afterEntries: (BootLoader, UInt) -> Void) throws -> Set<PhysicalRange> {
        let loader = BootLoader()
        var next: UInt = 0x8000
        for index in UInt64(0)..<3 { next = loader.writeEntry(at: next, base: index << 20, byteCount: 0x1000) }
        afterEntries(loader, next)
        loader.setMap(byteCount: mapByteCount, at: 0x8000)
        var ranges: Set<PhysicalRange> = []
        try loader.read().forEachRange { ranges.insert($0) }
        return ranges
    }

    /// Memory that no entry was read from is not the map's, whatever length the boot loader claims.
    @Test(arguments: [72, 73, 100, 0x10_0000, 0x7fff_ffff, .max] as [UInt32])
    func onlyTheEntriesThatWereReadAreKept(mapByteCount: UInt32) throws {
        let expected: Set = [bytes(0x9000, 116), bytes(0x8000, 72)]
        #expect(try keptRanges(mapByteCount: mapByteCount) { _, _ in } == expected)
        // What follows looks like the size of an entry that reaches far.
        for size: UInt32 in [0x7473_6574, 0x10_0000, 1025] {
            #expect(try keptRanges(mapByteCount: mapByteCount) { $0.write(size, at: $1) } == expected, "\(size)")
        }
        #expect(
            try keptRanges(mapByteCount: mapByteCount) { loader, _ in loader.write(UInt32(0), at: 0x8000) }
                == [bytes(0x9000, 116)])
    }

    @Test func theLastEntryReadEndsWhatIsKept() throws {
        // Cut off within the third entry; and too many entries.
        #expect(try keptRanges(mapByteCount: 71) { _, _ in } == [bytes(0x9000, 116), bytes(0x8000, 48)])
        let loader = BootLoader()
        var next: UInt = 0x10_0000
        for index in UInt64(0)..<2000 { next = loader.writeEntry(at: next, base: index << 12, byteCount: 0x1000) }
        loader.setMap(byteCount: .max, at: 0x10_0000)
        var ranges: Set<PhysicalRange> = []
        try loader.read().forEachRange { ranges.insert($0) }
        #expect(ranges == [bytes(0x9000, 116), bytes(0x10_0000, UInt(MultibootInformation.maximumMapEntries) * 24)])
    }

    @Test func onlyTheModuleEntriesThatWereReadAreKept() throws {
        let loader = BootLoader()
        loader.setModules(.max, at: 0x10_0000)
        var ranges: Set<PhysicalRange> = []
        try loader.read().forEachRange { ranges.insert($0) }
        #expect(ranges == [bytes(0x9000, 116), bytes(0x10_0000, UInt(MultibootInformation.maximumModules) * 16)])
    }

    /// Random bytes all over: nothing is read beyond the limit, which the arena's end makes fatal, and all walks end.
    @Test func randomInformationIsHarmless() throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0004)
        let loader = BootLoader()
        for _ in 0..<300 {
            for offset in stride(from: UInt(0), to: 120, by: 4) {
                // Small values, large ones, and addresses near the limit.
                let value = UInt32(truncatingIfNeeded: generator.next()) >> UInt32.random(in: 0..<32, using: &generator)
                let isNearLimit = Bool.random(using: &generator)
                loader.write(isNearLimit ? UInt32(16 << 20) &- (value & 0xff) : value, at: loader.information + offset)
            }
            loader.write(UInt32.max, at: loader.information)
            let information = try loader.read()
            information.forEachRange { expect($0.end <= PhysicalAddress(16 << 20)) }
            _ = information.forEachMapEntry { _, _, _ in }
            _ = information.forEachModule { expect($0.range.end <= PhysicalAddress(16 << 20)) }
            withFirmwareMap { map in _ = try? map.fill(from: information) }
        }
    }
}
