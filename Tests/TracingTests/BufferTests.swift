import MemoryPrimitives
import SimulatedMachine
import Synchronization
import TestSupport
import Testing

@testable import Tracing

private typealias Buffer = TraceBuffer<SimulatedPlatform>

/// A buffer for a machine's CPUs.
private final class TestedBuffer: @unchecked Sendable {
    let memory: UnsafeMutableRawPointer
    let buffer: Buffer

    /// On a machine.
    init(capacity: Int) {
        memory = .allocate(byteCount: Buffer.byteCount(capacity: capacity), alignment: 64)
        buffer = Buffer(in: memory, capacity: capacity)
    }

    deinit { memory.deallocate() }
}

private func numbered(_ number: UInt64, cpu: Int = 0) -> TraceEvent {
    var event = TraceEvent(TraceKind(rawValue: UInt8(number % 11))!, UInt(number))
    event.time = number
    event.cpu = UInt16(cpu)
    event.depth = UInt8(truncatingIfNeeded: number)
    event.isAtomic = number & 1 != 0
    event.flags = UInt32(truncatingIfNeeded: number &* 7)
    event.caller = UInt(number) &* 3
    event.size = UInt(number) &* 5
    event.extent = ~UInt(number)
    event.name = TraceName("name")
    return event
}

@Suite struct BufferTests {
    /// Random writes, reads and looks, of rings so small that they wrap round all the time, against an array.
    @Test(arguments: [1, 2, 3, 7, 64]) func modelOfOneRing(_ capacity: Int) {
        SimulatedMachine(memory: 1 << 20).run {
            let tested = TestedBuffer(capacity: capacity)
            var generator = SeededGenerator.fromEnvironment(default: 11)
            var model: [TraceEvent] = []
            var expected = Buffer.Counts()
            for number in 0..<5000 as Range<UInt64> {
                switch generator.next() % 8 {
                case 0...2:
                    let isWritten = tested.buffer.tryWrite(numbered(number))
                    #expect(isWritten == (model.count < capacity))
                    if isWritten {
                        model.append(numbered(number))
                        expected.written += 1
                    }
                case 3...4:
                    tested.buffer.writeOver(numbered(number))
                    if model.count == capacity {
                        model.removeFirst()
                        expected.overwritten += 1
                    }
                    model.append(numbered(number))
                    expected.written += 1
                case 5...6:
                    let event = tested.buffer.read()
                    #expect(event == model.first)
                    if !model.isEmpty { model.removeFirst() }
                default:
                    var seen: [TraceEvent] = []
                    tested.buffer.forEach { seen.append(copy $0) }
                    #expect(seen == model)
                }
                expected.waiting = UInt64(model.count)
                let counts = tested.buffer.counts
                #expect(counts == expected)
            }
        }
    }

    /// An interrupt handler writes, and reads, while the code that it interrupted is in the midst of either.
    @Test func interruptedInTheMidst() {
        SimulatedMachine(memory: 1 << 20).run {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: TraceRing.byteCount(capacity: 3), alignment: 64)
            defer { memory.deallocate() }
            let ring = TraceRing(in: memory, capacity: 3)
            // The interrupted writer has its slot, and has not finished.
            ring.withReservedSlot {
                #expect(ring.read() == nil)
                #expect(ring.write(numbered(1)))
                #expect(ring.write(numbered(2)))
                #expect(!ring.write(numbered(3)))
                // What comes behind the unfinished one waits for it.
                #expect(ring.read() == nil)
                #expect(ring.peek(1) == numbered(1))
                return numbered(0)
            }
            #expect(ring.read() == numbered(0))
            #expect(ring.read() == numbered(1))
            #expect(ring.read() == numbered(2))
            #expect(ring.read() == nil)
        }
    }

    /// A handler that writes over the oldest event while the code that it interrupted reads one loses its own event alone.
    @Test func writingOverWhileOneIsRead() {
        SimulatedMachine(memory: 1 << 20).run {
            let tested = TestedBuffer(capacity: 4)
            for number in 0..<4 as Range<UInt64> { tested.buffer.writeOver(numbered(number)) }
            let read = tested.buffer.ring(0).read { tested.buffer.writeOver(numbered(4)) }
            #expect(read == numbered(0))
            var expected = Buffer.Counts()
            (expected.written, expected.dropped, expected.waiting) = (4, 1, 3)
            #expect(tested.buffer.counts == expected)
            for number in 1..<4 as Range<UInt64> { #expect(tested.buffer.read() == numbered(number)) }
            // There is room again.
            tested.buffer.writeOver(numbered(5))
            #expect(tested.buffer.read() == numbered(5))
        }
    }

    /// Events of several CPUs come out by their time.
    @Test func oldestFirst() {
        SimulatedMachine(memory: 1 << 20, cpuCount: 3).run {
            let tested = TestedBuffer(capacity: 100)
            var generator = SeededGenerator.fromEnvironment(default: 5)
            for number in 0..<150 as Range<UInt64> {
                let isWritten = tested.buffer.tryWrite(numbered(number, cpu: Int(generator.next() % 3)))
                #expect(isWritten)
            }
            var seen: [UInt64] = []
            tested.buffer.forEach { seen.append($0.time) }
            #expect(seen == Array(0..<150))
            for number in 0..<150 as Range<UInt64> {
                let event = tested.buffer.read()
                #expect(event?.time == number)
            }
        }
    }

    /// Threads write into all rings, their own and others', while others read: nothing is lost or comes twice, no event is a
    /// mixture of two, and those of one writer stay in order.
    @Test func threads() {
        let machine = SimulatedMachine(memory: 1 << 20, cpuCount: 4)
        let tested = machine.run { TestedBuffer(capacity: 13) }
        let perWriter = 20_000
        let seen = HostLock<[[UInt64]]>([])
        let finished = Atomic<Int>(0)
        inParallel(4) { thread in
            machine.run(onCPU: thread) {
                if thread < 3 {
                    for number in 0..<perWriter {
                        let event = numbered(UInt64(thread) << 32 | UInt64(number), cpu: number % 7 == 0 ? 3 : thread)
                        while !tested.buffer.tryWrite(event) { SimulatedPlatform.relax() }
                    }
                    finished.add(1, ordering: .sequentiallyConsistent)
                    return
                }
                var own: [UInt64] = []
                while true {
                    let isLast = finished.load(ordering: .sequentiallyConsistent) == 3
                    guard let event = tested.buffer.read() else {
                        if isLast { break }
                        SimulatedPlatform.relax()
                        continue
                    }
                    let cpu = Int(event.cpu)
                    if event != numbered(event.time, cpu: cpu) { Issue.record("a mixture: \(event)") }
                    own.append(event.time)
                }
                seen.withLock { $0.append(own) }
            }
        }
        let all = seen.withLock { $0.flatMap { $0 } }
        #expect(all.count == 3 * perWriter && Set(all).count == all.count)
        for writer in 0..<3 as Range<UInt64> {
            // Of those that a writer put into one ring.
            let own = all.filter { $0 >> 32 == writer && ($0 & 0xffff_ffff) % 7 != 0 }
            #expect(own == own.sorted())
        }
        machine.run {
            let counts = tested.buffer.counts
            #expect(counts.written == UInt64(3 * perWriter) && counts.waiting == 0 && counts.lost == 0)
        }
    }

    /// Overwriting writers and a reader that only looks: what is counted adds up.
    @Test func threadsThatOverwrite() {
        let machine = SimulatedMachine(memory: 1 << 20, cpuCount: 3)
        let tested = machine.run { TestedBuffer(capacity: 5) }
        inParallel(3) { thread in
            machine.run(onCPU: thread) {
                for number in 0..<20_000 as Range<UInt64> {
                    if thread < 2 {
                        tested.buffer.writeOver(numbered(number, cpu: 0))
                    } else if number % 64 == 0 {
                        tested.buffer.forEach { event in
                            if event != numbered(event.time) { Issue.record("a mixture: \(copy event)") }
                        }
                    }
                }
            }
        }
        machine.run {
            let counts = tested.buffer.counts
            #expect(counts.written + counts.dropped == 40_000)
            #expect(counts.written == counts.overwritten + counts.waiting)
            #expect(counts.waiting <= 5)
        }
    }
}
