import BootMemory
import LeakDetection
import MemoryPrimitives
import SimulatedMachine
import Testing

@Suite struct CommandTests {
    /// What the words of a line mean; nil for none of the commands. Throws what a word throws.
    private func commands(_ text: String) throws -> [LeakCommand?] {
        var bytes = Array(text.utf8)
        return try bytes.withUnsafeMutableBytes { buffer in
            let line = CommandLine(UnsafeRawBufferPointer(buffer), dropsFirstWord: false)
            var found: [LeakCommand?] = []
            for word in line.words { found.append(try LeakCommand(word)) }
            return found
        }
    }

    @Test func words() throws {
        let found = try commands("scan scan=on scan=off scan=0 scan=15 clear dump=0xffff888000001000 off")
        #expect(
            found == [
                .scan, .scanEvery(seconds: 600), .scanEvery(seconds: 0), .scanEvery(seconds: 0),
                .scanEvery(seconds: 15), .clear, .dump(0xffff_8880_0000_1000), .off,
            ])
        #expect(try commands("scans clear=1 off=1 stack=on dum") == [nil, nil, nil, nil, nil])
    }

    @Test(arguments: ["scan=", "scan=often", "scan=1s", "dump", "dump=", "dump=here", "scan=99999999999999999999"])
    func badWords(text: String) {
        #expect(throws: CommandLineError.self) { try commands(text) }
    }

    @Test func scanSaysWhatIsNewAndClearForgetsIt() throws {
        let test = LeakMachine()
        let empty = VirtualRange(VirtualAddress(8), VirtualAddress(8))
        try test.run {
            func run(_ command: LeakCommand) -> String {
                var writer = ReportText()
                test.detector.value.run(command, stack: empty, ticksPerSecond: 1000, to: &writer)
                return writer.text
            }
            let object = try #require(test.kmalloc(64))
            let held = try #require(test.kmalloc(64))
            test.store(held, at: object)
            #expect(run(.scan) == "")
            #expect(run(.scan) == "kmemleak: 2 new suspected memory leaks\n")
            #expect(run(.scan) == "")
            #expect(run(.clear) == "")
            #expect(test.scanForLeaks() == [])
            let next = try #require(test.kmalloc(64))
            #expect(test.scanForLeaks() == [next])
            #expect(run(.dump(next)).hasPrefix("kmemleak: Object 0x"))
        }
        try test.check()
    }

    @Test func pollScansWhenItIsTime() throws {
        let test = LeakMachine()
        let empty = VirtualRange(VirtualAddress(8), VirtualAddress(8))
        test.run {
            var writer = ReportText()
            #expect(test.poll() == nil)
            test.detector.value.run(.scanEvery(seconds: 2), stack: empty, ticksPerSecond: 100, to: &writer)
            #expect(test.poll() == nil)
            for _ in 0..<200 { _ = SimulatedPlatform.cycleCounter }
            #expect(test.poll() != nil)
            #expect(test.poll() == nil)
            test.detector.value.run(.scanEvery(seconds: .max), stack: empty, ticksPerSecond: 100, to: &writer)
            for _ in 0..<200 { _ = SimulatedPlatform.cycleCounter }
            #expect(test.poll() == nil)
        }
    }
}
