import BootMemory
import MemoryPrimitives
import PageFrames

/// What the command line asks for. docs/boot.md lists the words.
struct BootParameters {
    /// Memory at or above this address is not used.
    var memoryLimit = PhysicalAddress.limit
    var logLevel = LogLevel.info
    var runsSelfTests = true
    /// Measure instead of testing.
    var runsBenchmarks = false
    /// How to end on purpose; nil for an ordinary boot.
    var crash: CrashTest?
    /// How the page frames are to work.
    var frames = PageFrameOptions()

    /// Reads the words; what is unknown or malformed is named in a warning and otherwise passed over.
    init(_ line: CommandLine) {
        for word in line.words {
            do throws(CommandLineError) {
                if !(try apply(word)) { unsafe Log.warning("command line: unknown word \"\(word.bytes)\"") }
            } catch {
                unsafe Log.warning("command line: \"\(error.word.bytes)\" \(Self.reason(error.kind)); ignored")
            }
        }
    }

    private mutating func apply(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("mem") {
            memoryLimit = PhysicalAddress(try word.size())
        } else if word.hasKey("cma") {
            frames.contiguousByteCount = try word.size()
        } else if word.hasKey("loglevel") {
            logLevel = LogLevel(number: try word.number())
        } else if word.hasKey("selftest") {
            runsSelfTests = try word.flag()
        } else if word.hasKey("bench") {
            runsBenchmarks = try word.flag()
        } else if word.hasKey("crash") {
            crash = CrashTest(named: word)
            if crash == nil { return false }
        } else {
            return false
        }
        return true
    }

    private static func reason(_ kind: CommandLineError.Kind) -> StaticString {
        switch kind {
        case .valueMissing: "needs a value"
        case .notANumber: "is not a number"
        case .notASize: "is not a size"
        case .notAFlag: "is neither on nor off"
        }
    }
}
