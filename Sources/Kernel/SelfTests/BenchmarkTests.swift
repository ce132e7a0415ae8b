/// What the benchmarks measure with: `bench` runs them at the prompt, too, where the clock is what it is.
enum BenchmarkTests {
    static func run() {
        SelfTest.run("benchmarks: a clock that stands still or goes back counts nothing") { clock() }
    }

    private static func clock() {
        let counts: (UInt64, UInt64) -> UInt = { UInt(InstructionCounter.difference(from: $0, to: $1)) }
        SelfTest.expect(counts(100, 110), equals: 7, "the readings themselves are three")
        SelfTest.expect(counts(100, 103), equals: 0, "nothing between the readings")
        SelfTest.expect(counts(100, 100), equals: 0, "the clock stands still")
        SelfTest.expect(counts(100, 50), equals: 0, "it goes back")
        SelfTest.expect(counts(.max - 1, 6), equals: 5, "it begins again")
    }
}
