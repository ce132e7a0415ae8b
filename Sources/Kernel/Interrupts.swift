import Synchronization
import X86

/// Where devices' interrupts arrive: `boot/interrupts.S` calls it on the stack of interrupts, with interrupts off.
@c(interrupt_dispatch)
func dispatchInterrupt(_ line: UInt) {
    // What runs now must not wait.
    X86Platform.enterAtomicContext()
    Interrupts.handle(line)
    X86Platform.leaveAtomicContext()
}

/// Interrupts of devices. They are off until the monitor runs.
enum Interrupts {
    /// How many the serial port has made.
    static let answered = Atomic<UInt>(0)
    nonisolated(unsafe) static var spurious = 0
    nonisolated(unsafe) static var unexpected = 0

    /// Has what a handler needs be there before one runs: at `-Onone` globals come at their first use.
    static func prepare() {
        answered.store(0, ordering: .relaxed)
        unsafe (spurious, unexpected) = (0, 0)
    }

    static func handle(_ line: UInt) {
        if InterruptController.isSpurious(line) {
            unsafe spurious &+= 1
            return
        }
        if line == InterruptController.serialLine {
            SerialInput.receive()
            answered.add(1, ordering: .relaxed)
        } else {
            // All the others are masked.
            unsafe unexpected &+= 1
            Exceptions.doPlanted()
        }
        InterruptController.end(line)
    }
}
