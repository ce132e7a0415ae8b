import BootMemory
import KernelMemory
import LeakDetection
import MemoryPrimitives
import X86

/// The leak detector as the kernel uses it: scans of the stack that is in use with its registers, and what the command line
/// wants done at the end of the boot.
enum LeakCheck {
    typealias Detector = LeakDetector<X86Platform>

    /// There is no clock yet: the time stamp counter of the machines that tests run on counts nanoseconds, or about that.
    private static var ticksPerSecond: UInt64 { 1_000_000_000 }

    static var detector: Permanent<Detector>? { unsafe Quarry.memory?.value.leaks }

    /// A line for the log, where there was no memory for a record.
    static func detectionHasEnded() {
        Log.warning("kmemleak: no memory to note an allocation down; the leak detector is off")
    }

    /// Calls `body` with the part of the main stack that is in use, in which the registers are that must survive a call.
    @inline(never)
    private static func withStack(_ body: (VirtualRange) -> Void) {
        var registers = InlineArray<6, UInt64>(repeating: 0)
        // The six words of this variable.
        unsafe withUnsafeMutablePointer(to: &registers) { registers in unsafe x86_store_saved_registers(registers) }
        body(MainStack.inUse)
        unsafe withUnsafeMutablePointer(to: &registers) { registers in unsafe x86_keep(registers) }
    }

    /// Scans once. - Returns: nil where the detector is not on.
    static func scan() -> ScanFigures? {
        guard let detector else { return nil }
        var figures: ScanFigures?
        withStack { stack in figures = detector.value.scan(stack: stack) }
        return figures
    }

    /// Scans where `kmemleak=scan=SECONDS` has it that a scan is due. Called between self tests: nothing runs by itself yet.
    static func poll() {
        guard let detector else { return }
        withStack { stack in
            guard let figures = detector.value.poll(stack: stack) else { return }
            log(figures)
        }
    }

    private static func log(_ figures: ScanFigures) {
        Log.info(
            """
            kmemleak: scan: \(figures.words) words, \(figures.scannedAllocations) allocations looked through, \
            \(figures.waiting) to be looked at again, \(figures.leaks) lost, \(UInt(figures.ticks)) ticks
            """)
        var writer = SerialReportWriter()
        writer.write(found: figures)
    }

    /// Sets the interval of scans, where there is to be one, before the self tests run.
    static func prepare(_ parameters: LeakParameters) {
        guard let detector, let word = parameters.word else { return }
        Log.info("kmemleak: on, room for records in \(detector.value.recordFrames) frames")
        for item in word.items {
            if case .command(.scanEvery(let seconds)) = try? LeakParameters.Item(item) {
                run(.scanEvery(seconds: seconds), detector)
            }
        }
    }

    /// Does what the items of the word say, in order, and prints all that is lost.
    @inline(never)
    static func finish(_ parameters: LeakParameters) {
        guard let detector, let word = parameters.word else { return }
        Log.plain("--- kmemleak")
        for item in word.items {
            switch try? LeakParameters.Item(item) {
            case .plant: PlantedLeaks.plant()
            case .command(.scanEvery), .on, nil: break
            case .command(.scan):
                // Nothing is reported before its second scan.
                for _ in 0..<2 { if let figures = scan() { log(figures) } }
                var writer = SerialReportWriter()
                detector.value.writeLeaks(to: &writer)
            case .command(let command): run(command, detector)
            }
        }
        Log.plain("--- end kmemleak")
    }

    private static func run(_ command: LeakCommand, _ detector: Permanent<Detector>) {
        withStack { stack in
            var writer = SerialReportWriter()
            detector.value.run(command, stack: stack, ticksPerSecond: ticksPerSecond, to: &writer)
        }
    }
}
