import Foundation
import TraceReplay

/// Tries candidates in a process of their own, which may crash.
struct CandidateProcess {
    private let file: URL
    private let arguments: [String]

    init(memory: String, checkEvery: Int, crashAtFreeOf: UInt) throws {
        file = FileManager.default.temporaryDirectory.appendingPathComponent("quarry-replay-\(UUID().uuidString)")
        arguments = [
            "--candidate", "--memory", memory, "--check-every", "\(checkEvery)", "--crash-at-free-of",
            "\(crashAtFreeOf)", file.path,
        ]
    }

    func removeFiles() { try? FileManager.default.removeItem(at: file) }

    /// How a trace fails; nil where it does not. - Throws: where no process can be made.
    func attempt(_ trace: Trace) throws -> ReplayFailure? {
        try trace.text.write(to: file)
        let process = Process()
        process.executableURL = Bundle.main.executableURL
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        if process.terminationReason == .uncaughtSignal {
            return ReplayFailure(crash: process.terminationStatus, lastStep: trace.steps.count - 1)
        }
        if process.terminationStatus == 0 { return nil }
        return try JSONDecoder().decode(ReplayFailure.self, from: said)
    }
}

extension ReplayFailure {
    /// A process that ended by a signal; where in the trace is not known.
    init(crash signal: Int32, lastStep: Int) {
        self.init(
            signature: "crash: signal \(signal)", detail: "the allocators crashed (signal \(signal))", step: lastStep,
            line: 0)
    }

    var isCrash: Bool { signature.hasPrefix("crash") }
}
