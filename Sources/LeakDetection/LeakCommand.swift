import BootMemory
import MemoryPrimitives

/// What Linux has written to `/sys/kernel/debug/kmemleak`: `scan`, `scan=SECONDS`, `scan=off`, `clear`, `dump=ADDRESS`,
/// `off`.
public enum LeakCommand: Equatable, Sendable {
    /// A scan now.
    case scan
    /// A scan every so many seconds; 0 for none.
    case scanEvery(seconds: UInt)
    /// What is reported now is not reported again.
    case clear
    /// What is known of the allocation that contains an address.
    case dump(UInt)
    /// No records any more, for good.
    case off

    /// Reads one item of `kmemleak=`.
    /// - Returns: nil for a word that is none of the commands.
    /// - Throws: where the number is missing or none.
    public init?(_ word: Word) throws(CommandLineError) {
        if word.hasKey("scan") {
            if !word.hasValue {
                self = .scan
            } else if word.hasValue("on") {
                self = .scanEvery(seconds: 600)
            } else {
                self = .scanEvery(seconds: word.hasValue("off") ? 0 : try word.number())
            }
        } else if word.hasKey("clear"), !word.hasValue {
            self = .clear
        } else if word.hasKey("dump") {
            self = .dump(try word.number())
        } else if word.hasKey("off"), !word.hasValue {
            self = .off
        } else {
            return nil
        }
    }
}

extension LeakDetector {
    /// Does what a command says. A scan's findings are written as lines of Linux's log are.
    ///
    /// - Parameters:
    ///   - command: what is to be done.
    ///   - stack: as of `scan(stack:)`.
    ///   - ticksPerSecond: of the cycle counter.
    ///   - writer: where it goes.
    public func run<Writer: ReportWriter>(
        _ command: LeakCommand, stack: VirtualRange, ticksPerSecond: UInt64, to writer: inout Writer
    ) {
        switch command {
        case .scan:
            guard let figures = scan(stack: stack) else { return }
            writer.write(found: figures)
        case .scanEvery(let seconds):
            let (ticks, overflow) = UInt64(seconds).multipliedReportingOverflow(by: ticksPerSecond)
            setInterval(ticks: overflow ? .max : ticks)
        case .clear: clear()
        case .dump(let address): dump(address, to: &writer)
        case .off:
            if turnOff() { writer.write("kmemleak: Kernel memory leak detector disabled\n") }
        }
    }
}

extension ReportWriter {
    /// Writes how many new leaks a scan found, where there are any, as Linux does.
    public mutating func write(found figures: ScanFigures) {
        if figures.newLeaks == 0 { return }
        write("kmemleak: ")
        write(decimal: figures.newLeaks)
        write(" new suspected memory leaks\n")
    }
}
