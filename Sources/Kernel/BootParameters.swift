import BootMemory
import MemoryPrimitives

/// What the command line asks for. docs/boot.md lists the words.
struct BootParameters {
    var logLevel = LogLevel.info
    var runsSelfTests = true
    /// How to end on purpose; nil for an ordinary boot.
    var crash: CrashTest?

    /// Reads the words; what is unknown or malformed is named in a warning and otherwise passed over.
    @inline(never)
    init(_ line: CommandLine) {
        for word in line.words {
            do throws(CommandLineError) {
                if !(try apply(word)) { unsafe Log.warning("command line: unknown word \"\(word.bytes)\"") }
            } catch {
                Self.warn(of: error)
            }
        }
    }

    private mutating func apply(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("mem") || word.hasKey("memmap") {
            // FirmwareMap reads them.
        } else if word.hasKey("loglevel") {
            logLevel = LogLevel(number: try word.number())
        } else if word.hasKey("selftest") {
            runsSelfTests = try word.flag()
        } else if word.hasKey("crash") {
            crash = CrashTest(named: word)
            if crash == nil { return false }
        } else {
            return false
        }
        return true
    }

    /// Names a word that does not mean what it should.
    static func warn(of error: CommandLineError) {
        unsafe Log.warning("command line: \"\(error.word.bytes)\" \(reason(error.kind)); ignored")
    }

    private static func reason(_ kind: CommandLineError.Kind) -> StaticString {
        switch kind {
        case .valueMissing: "needs a value"
        case .notANumber: "is not a number"
        case .notASize: "is not a size"
        case .notAFlag: "is neither on nor off"
        case .notAMemoryRange: "has a part that is not SIZE, SIZE@START, SIZE#START, SIZE$START or SIZE!START"
        }
    }
}
