import KernelMemory
import MemoryPrimitives
import Monitor
import PageFrames
import X86

/// `stress`: allocations of all kinds and their frees in random order, each marked at both ends, with a check of everything
/// now and then.
enum StressRun {
    private typealias Memory = Permanent<KernelMemory<X86Platform>>

    private static var slotCount: Int { 256 }
    private static var stepsPerCheck: UInt { 2000 }
    private static var longest: UInt { 86_400 }

    nonisolated(unsafe) private static var slots = InlineArray<256, HeldAllocation>(
        repeating: HeldAllocation(kind: .pages, size: 0, address: 0, companion: 0))
    nonisolated(unsafe) private static var isHeld = InlineArray<256, Bool>(repeating: false)

    /// A global's address does not change. `index` is one of 0..<slotCount.
    private static func slot(_ index: Int) -> UnsafeMutablePointer<HeldAllocation> {
        unsafe withUnsafeMutablePointer(to: &slots) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: HeldAllocation.self) + index
    }

    /// As above.
    private static func held(_ index: Int) -> UnsafeMutablePointer<Bool> {
        unsafe withUnsafeMutablePointer(to: &isHeld) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: Bool.self) + index
    }

    /// What a run has done.
    private struct Figures {
        var steps: UInt = 0
        var allocations: UInt = 0
        var refusals: UInt = 0
        var checks: UInt = 0
    }

    static func run(_ call: CommandCall) throws(CommandError) {
        let expected: StaticString = "a number of seconds, 1 to 86400"
        let seconds = try call.number(1, expected)
        try call.expectNoMore(than: 1)
        guard seconds >= 1 && seconds <= longest else { throw CommandError(expected: expected, found: call[1]) }
        let rate = Clock.ticksPerSecond
        let start = x86_read_time_stamp()
        var figures = Figures()
        var end: StaticString = "the time is up"
        while x86_read_time_stamp() &- start < UInt64(seconds) * rate {
            if SerialInput.take() != nil {
                end = "a key was pressed"
                break
            }
            guard step(&figures, call.memory) else {
                end = "something is wrong"
                break
            }
        }
        freeAll(call.memory)
        _ = isSound(&figures, call.memory)
        let elapsed = UInt((x86_read_time_stamp() &- start) / rate)
        MonitorOutput.line(
            """
            stress: \(end) after \(elapsed) s: \(figures.steps) steps, \(figures.allocations) allocations, \
            \(figures.refusals) refused, \(figures.checks) checks
            """)
    }

    /// Fills a random slot or empties it. - Returns: false where something was found to be wrong.
    private static func step(_ figures: inout Figures, _ memory: Memory) -> Bool {
        figures.steps += 1
        let random = RandomSource.next()
        let index = Int(random & UInt64(slotCount - 1))
        if unsafe held(index).pointee {
            if !release(index, memory) { return false }
        } else {
            fill(index, random >> 8, &figures, memory)
        }
        return figures.steps % stepsPerCheck != 0 || isSound(&figures, memory)
    }

    private static func fill(_ index: Int, _ random: UInt64, _ figures: inout Figures, _ memory: Memory) {
        let (kind, size) = request(UInt(random))
        guard let allocation = HeldAllocation.make(kind, size, .kernel | .noWarn, memory) else {
            figures.refusals += 1
            return
        }
        figures.allocations += 1
        unsafe slot(index).pointee = allocation
        unsafe held(index).pointee = true
        let (first, last) = marks(of: allocation, memory)
        x86_store64(first, mark(index, first))
        x86_store64(last, mark(index, last))
    }

    /// A kind and a size, the small ones more often.
    private static func request(_ random: UInt) -> (AllocationKind, UInt) {
        let size = random >> 8
        switch random & 0xf {
        case 0...3: return (.pages, size % 7 * (size >> 8 & 1))
        case 4...9: return (.kmalloc, 8 + size % (size >> 20 & 7 == 0 ? 60_000 : 2000))
        case 10: return (.object, 8 + size % 2000)
        case 11...12: return (.vmalloc, 8 + size % (400 << 10))
        case 13: return (.huge, 8 + size % (size >> 20 & 7 == 0 ? 3 << 20 : 1 << 20))
        case 14: return (.stack, (1 + size % 8) << PageSize.shift)
        default: return (.dma, 8 + size % (64 << 10))
        }
    }

    /// Where an allocation is marked: its first word and its last. Of a stack the last alone: it has pages to grow by, which
    /// are for code that runs on it.
    private static func marks(of allocation: HeldAllocation, _ memory: Memory) -> (first: UInt, last: UInt) {
        let start = allocation.virtualAddress(memory).rawValue
        let size = allocation.kind == .pages ? PageSize.byteCount << allocation.size : allocation.size
        let last = start + (size - 8) & ~7
        return (allocation.kind == .stack ? last : start, last)
    }

    private static func mark(_ index: Int, _ address: UInt) -> UInt64 {
        (UInt64(address) ^ UInt64(index)) &* 0x9e37_79b9_7f4a_7c15
    }

    /// Frees what a slot holds. - Returns: false where its marks are not what was written.
    private static func release(_ index: Int, _ memory: Memory) -> Bool {
        let allocation = unsafe slot(index).pointee
        unsafe held(index).pointee = false
        let (first, last) = marks(of: allocation, memory)
        let isIntact = x86_load64(first) == mark(index, first) && x86_load64(last) == mark(index, last)
        if !isIntact {
            MonitorOutput.line(
                "stress: somebody wrote to \(allocation.kind.word) memory of \(allocation.size) at \(hex: first)")
        }
        allocation.free(memory)
        return isIntact
    }

    private static func freeAll(_ memory: Memory) {
        for index in 0..<slotCount where unsafe held(index).pointee { _ = release(index, memory) }
    }

    @inline(never)
    private static func isSound(_ figures: inout Figures, _ memory: Memory) -> Bool {
        figures.checks += 1
        do throws(InvariantViolation) {
            try memory.value.checkInvariants()
            return true
        } catch {
            MonitorOutput.line(
                """
                stress: broken: \(error.rule): at \(hex: error.location), found \(hex: error.found), expected \
                \(hex: error.expected)
                """)
            return false
        }
    }
}
