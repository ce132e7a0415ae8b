import MemoryPrimitives
import Synchronization

/// A queue of events of fixed size that any number of writers and readers use at once, without a lock: what is interrupted in
/// the midst of writing keeps nobody from writing, not even the handler that interrupted it.
///
///     slot i:  | turn | time | kind, context, flags | caller | address | size | extent | name (4 words) |
///
/// Each slot says whose turn it is. Ticket t writes into slot t mod n when the turn there is 2t, and makes it 2t + 1; ticket t
/// reads when it is 2t + 1, and makes it 2 (t + n). (A bounded queue after Vyukov.) So a slot that is being written, or read, is
/// neither read nor written by others; to the writer that comes round to it the ring is full.
@safe
struct TraceRing: @unchecked Sendable {
    private struct Header: ~Copyable {
        /// The ticket of the next event to be written, and of the next to be read.
        let tail = Atomic<UInt64>(0)
        let head = Atomic<UInt64>(0)
        let capacity: Int
    }

    typealias Word = Atomic<UInt64>

    /// Words of a slot.
    @inline(__always) static var slotWords: Int { 11 }

    private let header: UnsafeMutablePointer<Header>
    private let words: UnsafeMutablePointer<Word>

    /// Bytes of memory of a ring for `capacity` events.
    static func byteCount(capacity: Int) -> Int { headerByteCount + capacity * slotWords * 8 }

    private static var headerByteCount: Int { 64 }

    /// Makes the memory an empty ring. - Parameter memory: `byteCount(capacity:)` bytes, aligned to 8.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        unsafe header = memory.bindMemory(to: Header.self, capacity: 1)
        unsafe header.initialize(to: Header(capacity: capacity))
        unsafe words = (memory + Self.headerByteCount).bindMemory(to: Word.self, capacity: capacity * Self.slotWords)
        for index in 0..<capacity * Self.slotWords {
            let turn = index % Self.slotWords == 0 ? UInt64(index / Self.slotWords * 2) : 0
            // Within the memory.
            unsafe (words + index).initialize(to: Word(turn))
        }
    }

    /// The ring that `init(in:capacity:)` has made of the memory.
    @unsafe
    @inline(__always)
    init(existingIn memory: UnsafeMutableRawPointer) {
        unsafe header = memory.assumingMemoryBound(to: Header.self)
        unsafe words = (memory + Self.headerByteCount).assumingMemoryBound(to: Word.self)
    }

    var capacity: Int { unsafe header.pointee.capacity }

    /// The number of events. A snapshot.
    var count: Int {
        // The head first: it never overtakes the tail.
        let head = unsafe header.pointee.head.load(ordering: .acquiring)
        return Int(unsafe header.pointee.tail.load(ordering: .acquiring) &- head)
    }

    /// Adds an event. - Returns: false, with nothing changed, where the ring is full.
    func write(_ event: borrowing TraceEvent) -> Bool {
        guard let ticket = reserve() else { return false }
        unsafe store(event, slot(ticket))
        unsafe slot(ticket)[0].store(2 &* ticket &+ 1, ordering: .releasing)
        return true
    }

    /// Adds the event that `body` returns, after the slot was taken: for tests of what comes in between. The ring has room.
    func withReservedSlot(_ body: () -> TraceEvent) {
        guard let ticket = reserve() else { return }
        unsafe store(body(), slot(ticket))
        unsafe slot(ticket)[0].store(2 &* ticket &+ 1, ordering: .releasing)
    }

    /// Takes a slot, to be written by nobody else; nil where the ring is full.
    private func reserve() -> UInt64? {
        // The ring's own memory, here and below.
        var ticket = unsafe header.pointee.tail.load(ordering: .relaxed)
        while true {
            let slot = unsafe slot(ticket)
            let turn = unsafe slot[0].load(ordering: .acquiring)
            if turn == 2 &* ticket {
                let (exchanged, original) = unsafe header.pointee.tail.weakCompareExchange(
                    expected: ticket, desired: ticket &+ 1, ordering: .relaxed)
                if exchanged { return ticket }
                ticket = original
            } else if Int64(bitPattern: turn &- 2 &* ticket) < 0 {
                return nil
            } else {
                ticket = unsafe header.pointee.tail.load(ordering: .relaxed)
            }
        }
    }

    /// Whether a write fails because events are there that nobody has begun to read. A snapshot.
    var isFullOfEvents: Bool { count >= capacity }

    /// Takes the oldest event; nil where there is none, or it is still being written.
    @inline(never)
    func read() -> TraceEvent? { read {} }

    /// As `read()`, with `body` called before the slot is given back: for tests of what comes in between.
    @inline(__always)
    func read(_ body: () -> Void) -> TraceEvent? {
        var ticket = unsafe header.pointee.head.load(ordering: .relaxed)
        while true {
            let slot = unsafe slot(ticket)
            let turn = unsafe slot[0].load(ordering: .acquiring)
            if turn == 2 &* ticket &+ 1 {
                let (exchanged, original) = unsafe header.pointee.head.weakCompareExchange(
                    expected: ticket, desired: ticket &+ 1, ordering: .relaxed)
                if exchanged {
                    let event = unsafe load(slot)
                    body()
                    unsafe slot[0].store(2 &* (ticket &+ UInt64(capacity)), ordering: .releasing)
                    return event
                }
                ticket = original
            } else if Int64(bitPattern: turn &- (2 &* ticket &+ 1)) < 0 {
                return nil
            } else {
                ticket = unsafe header.pointee.head.load(ordering: .relaxed)
            }
        }
    }

    /// The event that is `position` places behind the oldest, which stays; nil where there is none, or others are at it.
    func peek(_ position: Int) -> TraceEvent? {
        let ticket = unsafe header.pointee.head.load(ordering: .relaxed) &+ UInt64(position)
        let slot = unsafe slot(ticket)
        guard unsafe slot[0].load(ordering: .acquiring) == 2 &* ticket &+ 1 else { return nil }
        let event = unsafe load(slot)
        atomicMemoryFence(ordering: .acquiring)
        // Nobody has written there meanwhile.
        return unsafe slot[0].load(ordering: .relaxed) == 2 &* ticket &+ 1 ? event : nil
    }

    /// The time of the oldest event; nil as above.
    var oldestTime: UInt64? { peek(0)?.time }

    @inline(__always)
    private func slot(_ ticket: UInt64) -> UnsafeMutablePointer<Word> {
        unsafe words + Int(ticket % UInt64(capacity)) * Self.slotWords
    }

    private func store(_ event: borrowing TraceEvent, _ slot: UnsafeMutablePointer<Word>) {
        let context =
            UInt64(event.kind.rawValue) | UInt64(event.depth) << 8 | UInt64(event.cpu) << 16
            | UInt64(event.flags) << 32
        // Bit 7 of the kind's byte: there are fewer kinds than that.
        let atomic: UInt64 = event.isAtomic ? 0x80 : 0
        // A slot has so many words.
        unsafe slot[1].store(event.time, ordering: .relaxed)
        unsafe slot[2].store(context | atomic, ordering: .relaxed)
        unsafe slot[3].store(UInt64(event.caller), ordering: .relaxed)
        unsafe slot[4].store(UInt64(event.address), ordering: .relaxed)
        unsafe slot[5].store(UInt64(event.size), ordering: .relaxed)
        unsafe slot[6].store(UInt64(event.extent), ordering: .relaxed)
        unsafe slot[7].store(event.name.words.0, ordering: .relaxed)
        unsafe slot[8].store(event.name.words.1, ordering: .relaxed)
        unsafe slot[9].store(event.name.words.2, ordering: .relaxed)
        unsafe slot[10].store(event.name.words.3, ordering: .relaxed)
    }

    private func load(_ slot: UnsafeMutablePointer<Word>) -> TraceEvent {
        // As above.
        let context = unsafe slot[2].load(ordering: .relaxed)
        let kind = TraceKind(rawValue: UInt8(truncatingIfNeeded: context) & 0x7f) ?? .kmalloc
        var event = unsafe TraceEvent(kind, UInt(slot[4].load(ordering: .relaxed)))
        event.isAtomic = context & 0x80 != 0
        event.depth = UInt8(truncatingIfNeeded: context >> 8)
        event.cpu = UInt16(truncatingIfNeeded: context >> 16)
        event.flags = UInt32(truncatingIfNeeded: context >> 32)
        event.time = unsafe slot[1].load(ordering: .relaxed)
        event.caller = unsafe UInt(slot[3].load(ordering: .relaxed))
        event.size = unsafe UInt(slot[5].load(ordering: .relaxed))
        event.extent = unsafe UInt(slot[6].load(ordering: .relaxed))
        unsafe event.name.words.0 = slot[7].load(ordering: .relaxed)
        unsafe event.name.words.1 = slot[8].load(ordering: .relaxed)
        unsafe event.name.words.2 = slot[9].load(ordering: .relaxed)
        unsafe event.name.words.3 = slot[10].load(ordering: .relaxed)
        return event
    }
}
