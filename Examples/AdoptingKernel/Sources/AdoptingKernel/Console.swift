import Quarry
import QuarryX86

/// This kernel's console: the serial port, which the boot code has set up. As a `ReportWriter` it writes numbers, too.
struct Console: ReportWriter {
    mutating func write(_ byte: UInt8) {
        while x86_in8(0x3fd) & 0x20 == 0 { x86_pause() }
        x86_out8(0x3f8, byte)
    }

    /// Writes a number and what it counts, and ends the kernel where it is not as expected.
    static func check(_ text: StaticString, _ found: UInt, is expected: UInt) {
        var console = Console()
        console.write(text)
        console.write(decimal: found, width: 8)
        console.endLine()
        if found != expected { stop("a number is not as it should be", 0x11) }
    }

    /// Says why, and ends QEMU with a code; where there is no QEMU, halts.
    static func stop(_ reason: StaticString, _ code: UInt8, at address: UInt = 0) -> Never {
        var console = Console()
        console.write("adopting kernel: ")
        console.write(reason)
        if address != 0 { console.write(returnAddress: address) }
        console.endLine()
        x86_out8(0xf4, code)
        while true { x86_halt() }
    }
}
