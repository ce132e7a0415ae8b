import X86

/// The two 8259 interrupt controllers of a PC, the second behind line 2 of the first.
///
/// The firmware leaves their lines at vectors of exceptions. Nothing is taken from them before `start()`.
public enum InterruptController {
    /// Lines of both controllers.
    public static let lineCount = 16
    /// The line of the first serial port.
    public static var serialLine: UInt { 4 }
    /// Behind which the second controller is.
    private static var cascadeLine: UInt { 2 }

    private static var first: UInt16 { 0x20 }
    private static var second: UInt16 { 0xa0 }

    /// Lets the lines arrive behind the exceptions, and masks them all.
    public static func start() {
        start(first, vector: UInt8(DescriptorTables.exceptionCount), cascade: 1 << UInt8(cascadeLine))
        start(second, vector: UInt8(DescriptorTables.exceptionCount) + 8, cascade: UInt8(cascadeLine))
    }

    /// Edge triggered, in cascade, four words: vector, where the other one is, 8086 mode (Intel 8259A, ICW1 to 4).
    private static func start(_ controller: UInt16, vector: UInt8, cascade: UInt8) {
        command(controller, 0x11)
        mask(controller, vector)
        mask(controller, cascade)
        mask(controller, 0x01)
        mask(controller, 0xff)
    }

    /// Lets a line through.
    public static func enable(_ line: UInt) {
        let controller = line < 8 ? first : second
        mask(controller, x86_in8(controller + 1) & ~(1 << UInt8(line & 7)))
        if line >= 8 { mask(first, x86_in8(first + 1) & ~(1 << UInt8(cascadeLine))) }
    }

    /// True where a line has been raised and waits for the CPU, interrupts being off or the line masked.
    ///
    /// - Parameter line: 0 to 15.
    /// - Complexity: O(1). Any context.
    public static func isWaiting(_ line: UInt) -> Bool {
        let controller = line < 8 ? first : second
        // The register of requests is what is read next.
        command(controller, 0x0a)
        return x86_in8(controller) & 1 << UInt8(line & 7) != 0
    }

    /// True where nobody has raised the line that was announced: its controller answers with its last line where the one
    /// that asked has gone away meanwhile. The first controller is told that the second is done all the same.
    public static func isSpurious(_ line: UInt) -> Bool {
        guard line & 7 == 7 else { return false }
        let controller = line < 8 ? first : second
        // The register of lines in service is what is read next.
        command(controller, 0x0b)
        if x86_in8(controller) & 1 << 7 != 0 { return false }
        if line >= 8 { command(first, endOfInterrupt) }
        return true
    }

    /// Says that a line has been answered.
    public static func end(_ line: UInt) {
        if line >= 8 { command(second, endOfInterrupt) }
        command(first, endOfInterrupt)
    }

    private static var endOfInterrupt: UInt8 { 0x20 }

    private static func command(_ controller: UInt16, _ value: UInt8) {
        x86_out8(controller, value)
        settle()
    }

    private static func mask(_ controller: UInt16, _ value: UInt8) {
        x86_out8(controller + 1, value)
        settle()
    }

    /// Old controllers need a moment between two words: a write to a port that nobody listens to.
    private static func settle() { x86_out8(0x80, 0) }
}
