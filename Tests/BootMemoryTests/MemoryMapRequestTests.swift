import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

private let KiB: UInt = 1 << 10
private let MiB: UInt = 1 << 20
private let GiB: UInt = 1 << 30

/// `mem=` and `memmap=`: what they ask for, and what they make of a map.
@Suite struct MemoryMapRequestTests {
    /// Runs `body` with the line, which holds only for that long.
    static func with<Result>(_ text: String, _ body: (CommandLine) throws -> Result) rethrows -> Result {
        var bytes = Array(text.utf8)
        return try bytes.withUnsafeMutableBytes { try body(unsafe CommandLine(UnsafeRawBufferPointer($0))) }
    }

    static func requests(_ text: String) -> (requests: [MemoryMapRequest], malformed: [CommandLineError.Kind]) {
        with(text) { line in
            var requests: [MemoryMapRequest] = []
            var malformed: [CommandLineError.Kind] = []
            for word in line.words {
                word.forEachMemoryMapRequest({ requests.append($0) }, malformed: { malformed.append($0.kind) })
            }
            return (requests, malformed)
        }
    }

    @Test(
        arguments: [
            ("mem=64M", [.limit(PhysicalAddress(64 * MiB))]),
            ("mem=0x100000", [.limit(PhysicalAddress(MiB))]),
            ("memmap=1G", [.limit(PhysicalAddress(GiB))]),
            ("memmap=64K$0x2000000", [.add(bytes(32 * MiB, 64 * KiB), .reserved)]),
            ("memmap=64K@32M", [.add(bytes(32 * MiB, 64 * KiB), .available)]),
            ("memmap=64K#32M", [.add(bytes(32 * MiB, 64 * KiB), .acpiReclaimable)]),
            ("memmap=4G!12G", [.add(bytes(12 * GiB, 4 * GiB), .persistentLegacy)]),
            ("memmap=1$0", [.add(bytes(0, 1), .reserved)]),
            (
                "memmap=1M$16M,0x2000@1G,512M",
                [
                    .add(bytes(16 * MiB, MiB), .reserved), .add(bytes(GiB, 0x2000), .available),
                    .limit(PhysicalAddress(512 * MiB)),
                ]
            ),
            ("memmap=1M$16M quiet mem=1G", [.add(bytes(16 * MiB, MiB), .reserved), .limit(PhysicalAddress(GiB))]),
            ("loglevel=7 memtest=3", []),
        ] as [(String, [MemoryMapRequest])])
    func wordsThatMeanSomething(line: String, expected: [MemoryMapRequest]) {
        let found = Self.requests(line)
        #expect(found.requests == expected)
        #expect(found.malformed == [])
    }

    @Test(arguments: [
        "memmap=", "memmap=0", "memmap=0$16M", "memmap=$16M", "memmap=64K$", "memmap=64K$x", "memmap=64K%16M-1",
        "memmap=64K$16M+2", "memmap=64Kx16M", "memmap=exactmap", "memmap=-64K$16M", "memmap=64K$16M$32M",
        "memmap=0xffffffffffffffff$1M", "memmap=1M$0xffffffffffffffff",
    ])
    func itemsThatMeanNothing(word: String) {
        let found = Self.requests("\"" + word + "\"")
        #expect(found.malformed == [.notAMemoryRange])
        #expect(found.requests == [])
    }

    @Test(arguments: ["mem=0", "mem=much", "mem=", "mem=1M$2M", "mem=nopentium"])
    func limitsThatMeanNothing(word: String) {
        let found = Self.requests(word)
        #expect(found.malformed == [.notASize])
        #expect(found.requests == [])
    }

    @Test func wordsWithoutAValue() {
        #expect(Self.requests("mem memmap").malformed == [.valueMissing, .valueMissing])
    }

    /// A word is named as it was typed, once for each item of it that is wrong; its other items hold.
    @Test func theOtherItemsHold() {
        Self.with("a memmap=1M$16M,,1Q$2M,2M$32M") { line in
            var requests: [MemoryMapRequest] = []
            var names: [String] = []
            for word in line.words {
                word.forEachMemoryMapRequest(
                    { requests.append($0) },
                    malformed: { error in names.append(String(decoding: error.word.bytes, as: UTF8.self)) })
            }
            let expected: [MemoryMapRequest] = [
                .add(bytes(16 * MiB, MiB), .reserved), .add(bytes(32 * MiB, 2 * MiB), .reserved),
            ]
            #expect(requests == expected)
            #expect(names == ["memmap=1M$16M,,1Q$2M,2M$32M", "memmap=1M$16M,,1Q$2M,2M$32M"])
        }
    }

    // MARK: The map

    /// The map of a machine of 64 MiB, changed by a line.
    static func regions(_ text: String) throws -> [FirmwareRegion] {
        try with(text) { line in
            try withFirmwareMap { map in
                map.insert(base: 0, byteCount: 0x9fc00, kind: .available)
                map.insert(base: 0x9fc00, byteCount: 0x400, kind: .reserved)
                map.insert(base: 0x10_0000, byteCount: 0x3e0_0000, kind: .available)
                map.insert(base: 0x3f0_0000, byteCount: 0x10_0000, kind: .reserved)
                var malformed = 0
                map.apply(line, malformed: { _ in malformed += 1 })
                try map.checkInvariants()
                map.trimPartialPages()
                try map.checkInvariants()
                #expect(malformed == 0)
                return map.snapshot.regions
            }
        }
    }

    private static let low: [FirmwareRegion] = [
        FirmwareRegion(range(0, 0x9_f000), .available), FirmwareRegion(range(0x9_fc00, 0xa_0000), .reserved),
    ]
    private static let end = FirmwareRegion(range(0x3f0_0000, 0x400_0000), .reserved)

    @Test(
        arguments: [
            ("", [FirmwareRegion(range(0x10_0000, 0x3f0_0000), .available), end]),
            ("mem=16M", [FirmwareRegion(range(0x10_0000, 0x100_0000), .available), end]),
            // Each takes what is there by then: the least holds.
            ("mem=16M mem=32M", [FirmwareRegion(range(0x10_0000, 0x100_0000), .available), end]),
            ("memmap=16M", [FirmwareRegion(range(0x10_0000, 0x100_0000), .available), end]),
            // A page is whole or not used.
            ("mem=0x1000fff", [FirmwareRegion(range(0x10_0000, 0x100_0000), .available), end]),
            (
                "memmap=64K$16M",
                [
                    FirmwareRegion(range(0x10_0000, 0x100_0000), .available),
                    FirmwareRegion(range(0x100_0000, 0x101_0000), .reserved),
                    FirmwareRegion(range(0x101_0000, 0x3f0_0000), .available), end,
                ]
            ),
            // Part of a page takes the page.
            (
                "memmap=16$0x1000ff8",
                [
                    FirmwareRegion(range(0x10_0000, 0x100_0000), .available),
                    FirmwareRegion(range(0x100_0ff8, 0x100_1008), .reserved),
                    FirmwareRegion(range(0x100_2000, 0x3f0_0000), .available), end,
                ]
            ),
            // Memory that the firmware knows nothing of; where it does know, the more restrictive holds.
            (
                "memmap=2M@63M",
                [
                    FirmwareRegion(range(0x10_0000, 0x3f0_0000), .available), end,
                    FirmwareRegion(range(0x400_0000, 0x410_0000), .available),
                ]
            ),
            // What is added behind a limit stays, what is added before goes, as in Linux.
            (
                "memmap=1M@128M mem=16M memmap=1M@256M",
                [
                    FirmwareRegion(range(0x10_0000, 0x100_0000), .available), end,
                    FirmwareRegion(range(0x1000_0000, 0x1010_0000), .available),
                ]
            ),
            (
                "memmap=1M#16M,1M!32M",
                [
                    FirmwareRegion(range(0x10_0000, 0x100_0000), .available),
                    FirmwareRegion(range(0x100_0000, 0x110_0000), .acpiReclaimable),
                    FirmwareRegion(range(0x110_0000, 0x200_0000), .available),
                    FirmwareRegion(range(0x200_0000, 0x210_0000), .persistentLegacy),
                    FirmwareRegion(range(0x210_0000, 0x3f0_0000), .available), end,
                ]
            ),
        ] as [(String, [FirmwareRegion])])
    func whatBecomesOfAMap(line: String, expected: [FirmwareRegion]) throws {
        let found = try Self.regions(line)
        #expect(Array(found.prefix(2)) == Self.low)
        #expect(Array(found.dropFirst(2)) == expected)
    }

    @Test func everythingCanBeTakenAway() throws {
        let found = try Self.regions("mem=1")
        #expect(found == [Self.low[1], Self.end])
    }

    /// Whatever stands there, the map stays a map, and what is reserved stays so.
    @Test func randomWordsAreHarmless() throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0021)
        let alphabet = Array("0123456789abfxKMGTE@#$!,,%-=")
        for round in 0..<2000 {
            var line = ""
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                line += ["mem=", "memmap=", "mem", "memmap", "\"memmap="].randomElement(using: &generator)!
                for _ in 0..<Int.random(in: 0...14, using: &generator) {
                    line.append(alphabet.randomElement(using: &generator)!)
                }
                line += " "
            }
            try Self.with(line) { commandLine in
                try withFirmwareMap(capacity: 8) { map in
                    map.insert(base: 0, byteCount: 1 << 30, kind: .available)
                    map.insert(base: 1 << 20, byteCount: 1 << 20, kind: .reserved)
                    map.apply(commandLine, malformed: { _ in })
                    map.trimPartialPages()
                    try map.checkInvariants()
                    let kind = map.snapshot.regions.first { $0.range.contains(PhysicalAddress(1 << 20)) }?.kind
                    #expect(kind.map { $0 >= .reserved } == true, "seed \(generator.seed), round \(round): \(line)")
                }
            }
        }
    }
}
