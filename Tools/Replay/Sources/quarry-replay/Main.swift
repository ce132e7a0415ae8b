import ArgumentParser
import Foundation
import TraceReplay

@main
struct QuarryReplay: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarry-replay",
        abstract: "Runs a trace of the kernel's allocations against the same allocators on this host.",
        discussion: """
            The trace is text in the format of ftrace, as `make trace` writes it. Ends with 0 where all went well, with 1 where \
            the allocators failed, with 2 where the trace cannot be read, and with 3 where a failure to be shrunk does not come again.
            """)

    @Argument(help: "The trace; - for standard input.")
    var trace: String

    @Option(help: "The memory of the machine: 64M, 512M, 2G.")
    var memory = "512M"

    @Option(help: "Check all invariants after so many events, and not only at the end.")
    var checkEvery = 0

    @Flag(help: "Count wrong frees that the allocators report, and go on.")
    var keepGoing = false

    @Option(help: "Write what was in use over time to this file, as comma-separated values.")
    var csv: String?

    @Flag(help: "Reduce a trace that fails to the smallest that fails alike, and print that as a Swift test.")
    var shrink = false

    @Option(help: "With --shrink, write the reduced trace to this file as well.")
    var output: String?

    // What a parent asks of the process that tries a candidate.
    @Flag(help: .hidden) var candidate = false
    // An allocator that crashes, for tests.
    @Option(help: .hidden) var crashAtFreeOf: UInt = 0

    func validate() throws {
        if checkEvery < 0 { throw ValidationError("--check-every takes 0 or a number of events") }
        if try byteCount() < 8 << 20 { throw ValidationError("--memory \(memory) is too little: 8M at least") }
        if try byteCount() > 64 << 30 { throw ValidationError("--memory \(memory) is more than 64G") }
    }

    private func byteCount() throws -> UInt {
        let units: [Character: UInt] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
        let unit = memory.uppercased().last.flatMap { units[$0] }
        guard let number = UInt(unit == nil ? memory[...] : memory.dropLast()),
            !number.multipliedReportingOverflow(by: unit ?? 1).overflow
        else { throw ValidationError("--memory \(memory) is no size: write 64M, 512M or 2G") }
        return number * (unit ?? 1) & ~4095
    }

    private func options() throws -> ReplayOptions {
        var options = ReplayOptions()
        options.memory = try byteCount()
        options.checkEvery = checkEvery
        options.crashAtFreeOf = crashAtFreeOf
        options.keepsGoing = keepGoing
        return options
    }

    func run() throws {
        let trace = try read()
        if candidate { return try tryCandidate(trace) }
        if shrink { return try shrink(trace) }
        guard let replay = Replay(try options()) else { throw ValidationError("too little memory") }
        let failure = Self.failure(of: replay, trace)
        print(
            "\(trace.steps.count) events, \(replay.statistics.done) replayed, \(trace.lost) lost, \(trace.others) of others\n"
        )
        print(replay.statistics.report(), terminator: "")
        if let csv { try Data(replay.statistics.csv.utf8).write(to: URL(fileURLWithPath: csv)) }
        if let failure {
            print("\nFAILED: \(self.trace): \(failure)")
            throw ExitCode(1)
        }
        print("\nno failure")
    }

    private static func failure(of replay: Replay, _ trace: Trace) -> ReplayFailure? {
        do throws(ReplayFailure) {
            try replay.run(trace)
            return nil
        } catch {
            return error
        }
    }

    private func read() throws -> Trace {
        do {
            let text =
                trace == "-"
                ? FileHandle.standardInput.readDataToEndOfFile() : try Data(contentsOf: URL(fileURLWithPath: trace))
            return try Trace(text: text)
        } catch let error as TraceFileError {
            FileHandle.standardError.write(Data("quarry-replay: \(trace): \(error)\n".utf8))
        } catch {
            FileHandle.standardError.write(Data("quarry-replay: \(trace): \(error.localizedDescription)\n".utf8))
        }
        throw ExitCode(2)
    }

    // MARK: Shrinking

    /// Says on standard output how the trace fails.
    private func tryCandidate(_ trace: Trace) throws {
        guard let replay = Replay(try options()), let failure = Self.failure(of: replay, trace) else { return }
        FileHandle.standardOutput.write(try JSONEncoder().encode(failure))
        throw ExitCode(1)
    }

    private func shrink(_ trace: Trace) throws {
        let options = try options()
        let children = try CandidateProcess(memory: memory, checkEvery: checkEvery, crashAtFreeOf: crashAtFreeOf)
        defer { children.removeFiles() }
        guard let failure = try children.attempt(trace) else {
            print("\(self.trace) does not fail: there is nothing to shrink")
            return
        }
        // What crashes would take this process along; all else is quicker within it.
        var shrinker = TraceShrinker(signature: failure.signature) { candidate in
            if failure.isCrash { return try children.attempt(candidate) }
            return Replay(options).flatMap { Self.failure(of: $0, candidate) }
        }
        let small: Trace
        do {
            small = try shrinker.shrink(trace, failure)
        } catch let error as ShrinkError {
            FileHandle.standardError.write(Data("quarry-replay: \(self.trace): \(error)\n".utf8))
            throw ExitCode(3)
        }
        FileHandle.standardError.write(
            Data(
                """
                quarry-replay: \(trace.steps.count) events fail with "\(failure.signature)"; \
                \(small.steps.count) do as well (\(shrinker.attempts) traces tried)

                """.utf8))
        if let output { try small.text.write(to: URL(fileURLWithPath: output)) }
        var printer = TestPrinter(small, failure, memory: options.memory)
        print(printer.print(), terminator: "")
        throw ExitCode(1)
    }
}
