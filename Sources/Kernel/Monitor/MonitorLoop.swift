import KernelMemory
import MemoryPrimitives
import Monitor
import X86

/// `monitor` on the command line: a prompt on the serial line, and the commands that are typed there.
enum MonitorLoop {
    private static var lineCapacity: Int { 255 }

    nonisolated(unsafe) private static var lineBytes = InlineArray<256, UInt8>(repeating: 0)
    // 32 lines, the line that is typed while they are looked at, and a byte more for each.
    nonisolated(unsafe) private static var historyBytes = InlineArray<8448, UInt8>(repeating: 0)

    /// Reads and obeys lines until one ends the machine, or there is no more input.
    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) -> Never {
        SerialInput.start()
        var editor = makeEditor()
        var writer = SerialReportWriter()
        MonitorOutput.line("Quarry's monitor; `help` lists the commands, Ctrl-D switches the machine off")
        while true {
            editor.begin(to: &writer)
            switch read(&editor) {
            case .line: CommandTable.run(editor.text, memory)
            case .tooLongLine:
                MonitorOutput.line("expected a line of at most \(editor.capacity) characters")
            case .interrupt: break
            case .endOfInput: PowerControl.powerOff()
            }
        }
    }

    @inline(never)
    private static func makeEditor() -> LineEditor {
        // Globals' addresses do not change, and nobody else uses these.
        unsafe LineEditor(
            lineMemory: UnsafeMutableBufferPointer(start: bytes(of: &lineBytes), count: lineCapacity),
            historyMemory: UnsafeMutableBufferPointer(
                start: bytes(of: &historyBytes), count: MemoryLayout.size(ofValue: historyBytes)),
            prompt: "quarry> ")
    }

    private static func bytes(of start: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt8> {
        unsafe start.assumingMemoryBound(to: UInt8.self)
    }

    /// A line, or what else the editor has to say.
    @inline(never)
    private static func read(_ editor: inout LineEditor) -> LineEditor.Event {
        var writer = SerialReportWriter()
        while true {
            let byte = SerialInput.next()
            if let event = editor.handle(byte, completingFrom: CommandCompletion(), to: &writer) { return event }
        }
    }
}
