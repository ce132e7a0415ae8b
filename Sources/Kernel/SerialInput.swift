import MemoryPrimitives
import Synchronization
import X86

/// What is typed on the serial line: the interrupt handler fills a ring, and who reads waits in `hlt` for it.
///
///     port --receive(), in the handler--> ring --next(), take()--> monitor
///
/// A full ring takes nothing more: the port keeps what comes, and whoever sends waits where its line can tell it so. What is
/// lost all the same, because the port itself was full, is counted as far as the port says it.
///
/// One writes and one reads: each changes its own count, and the bytes between the two are the reader's.
enum SerialInput {
    private static var capacity: UInt { 256 }

    nonisolated(unsafe) private static var bytes = InlineArray<256, UInt8>(repeating: 0)
    /// How many bytes were ever put into the ring, and taken from it.
    private static let written = Atomic<UInt>(0)
    private static let read = Atomic<UInt>(0)
    /// Set while the ring was full and the port keeps what comes.
    private static let isPaused = Atomic<Bool>(false)

    /// Lets bytes come by interrupts, which are on from here on.
    static func start() {
        // What a handler needs is there before one runs: at `-Onone` globals come at their first use.
        Interrupts.prepare()
        _ = isEmpty
        isPaused.store(false, ordering: .relaxed)
        unsafe place(of: 0).pointee = 0
        receive()
        InterruptController.start()
        SerialPort.setReceiveInterrupts(on: true)
        InterruptController.enable(InterruptController.serialLine)
        x86_enable_interrupts()
    }

    /// Lets none come any more.
    static func stop() {
        x86_disable_interrupts()
        SerialPort.setReceiveInterrupts(on: false)
    }

    /// Puts what the port has received into the ring. Called by the interrupt handler.
    static func receive() {
        while SerialPort.hasReceived {
            let count = written.load(ordering: .relaxed)
            if count &- read.load(ordering: .acquiring) == capacity {
                isPaused.store(true, ordering: .relaxed)
                return SerialPort.setReceiveInterrupts(on: false)
            }
            // Within the ring, at a place that the reader has done with.
            unsafe place(of: count).pointee = SerialPort.receivedByte
            written.store(count &+ 1, ordering: .releasing)
        }
    }

    /// The next byte; nil where none is there.
    static func take() -> UInt8? {
        let count = read.load(ordering: .relaxed)
        if isEmpty { return nil }
        // Within the ring, at a place that has been written.
        let byte = unsafe place(of: count).pointee
        read.store(count &+ 1, ordering: .releasing)
        if isPaused.load(ordering: .relaxed), isEmpty { goOn() }
        return byte
    }

    /// The next byte; waits for it.
    static func next() -> UInt8 {
        while true {
            if let byte = take() { return byte }
            // What comes between the look and the halt ends the halt.
            x86_disable_interrupts()
            if isEmpty { x86_enable_interrupts_and_halt() } else { x86_enable_interrupts() }
        }
    }

    static var isEmpty: Bool { read.load(ordering: .relaxed) == written.load(ordering: .acquiring) }

    /// Lets the port interrupt again, which it does at once where bytes wait.
    @inline(never)
    private static func goOn() {
        let interrupts = X86Platform.disableInterrupts()
        isPaused.store(false, ordering: .relaxed)
        SerialPort.setReceiveInterrupts(on: true)
        X86Platform.restoreInterrupts(interrupts)
    }

    /// A global's address does not change, and the place lies within the ring.
    private static func place(of count: UInt) -> UnsafeMutablePointer<UInt8> {
        unsafe withUnsafeMutablePointer(to: &bytes) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: UInt8.self) + Int(count % capacity)
    }
}
