/// A call on an allocator, or a page fault, as it is traced.
///
/// What the fields mean depends on the kind:
///
/// | kind | `address` | `size` | `extent` | `flags` | `name` |
/// |---|---|---|---|---|---|
/// | `kmalloc`, `cacheAllocation` | the object | bytes asked for | bytes it has | allocation flags | |
/// | `kfree`, `cacheFree` | the object | | | | the cache's |
/// | `pageAllocation` | frame number | order | its descriptor | allocation flags | |
/// | `pageFree` | frame number | order | its descriptor | | |
/// | `vmalloc` | first byte | bytes asked for | bytes it has | allocation flags | `populated`, or `on_demand` |
/// | `vfree` | first byte | | | | |
/// | `map` | first byte | bytes | physical address | permissions | who maps |
/// | `unmap` | first byte | bytes, where known | | | who unmaps |
/// | `pageFault` | what was accessed | error code | | | |
///
/// An allocation is told of once it has been made, and one that failed is not; a free before the memory can be had again.
public struct TraceEvent: Sendable, Equatable {
    /// What the event is about.
    public var kind: TraceKind
    /// How many calls that are traced this one is made within; 0 for a call of the allocators' users.
    public var depth: UInt8 = 0
    /// The CPU, counted from 0.
    public var cpu: UInt16 = 0
    /// Whether it was made in a context that may not wait: in an interrupt handler, or with a lock held.
    public var isAtomic = false
    /// Allocation flags or permissions, by the kind.
    public var flags: UInt32 = 0
    /// Ticks of the clock that whoever records has.
    public var time: UInt64 = 0
    /// The return address of who made the call; 0 where unknown. Of a page fault, the instruction's address.
    public var caller: UInt = 0
    /// An address or a frame's number, by the kind.
    public var address: UInt
    /// Bytes, an order or an error code, by the kind.
    public var size: UInt = 0
    /// Bytes or an address, by the kind.
    public var extent: UInt = 0
    /// A name that belongs to the kind.
    public var name = TraceName()

    /// An event of which nothing more is known.
    /// - Parameters:
    ///   - kind: what it is about.
    ///   - address: an address or a frame's number, by the kind.
    @inline(__always)
    public init(_ kind: TraceKind, _ address: UInt) {
        self.kind = kind
        self.address = address
    }

    /// Memory that was handed out.
    @inline(__always)
    public init(_ kind: TraceKind, _ address: UInt, requested: UInt, allocated: UInt, flags: UInt32) {
        self.init(kind, address)
        size = requested
        extent = allocated
        self.flags = flags
    }

    /// Whether somebody within the allocators made the call, on behalf of another that is traced.
    @inline(__always)
    public var isNested: Bool { depth != 0 }
}

/// Up to 32 bytes of ASCII, kept by value.
public struct TraceName: Sendable, Equatable {
    /// The most bytes of a name.
    @inline(__always) public static var capacity: Int { 32 }

    /// The bytes, 8 a word, the first in the lowest; 0 behind the name's end.
    public var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// No name.
    @inline(__always)
    public init() {}

    /// A name of ASCII. - Parameter text: what goes beyond 32 bytes is left out.
    public init(_ text: StaticString) {
        // A StaticString's bytes live as long as the image.
        for index in 0..<text.utf8CodeUnitCount { set(index, unsafe text.utf8Start[index]) }
    }

    /// Whether all bytes are alike.
    public static func == (left: TraceName, right: TraceName) -> Bool { left.words == right.words }

    /// The number of bytes.
    public var byteCount: Int {
        var count = 0
        while count < Self.capacity, self[count] != 0 { count += 1 }
        return count
    }

    /// The byte at a position below `capacity`; 0 behind the name's end.
    public subscript(position: Int) -> UInt8 {
        let word =
            switch position &>> 3 {
            case 0: words.0
            case 1: words.1
            case 2: words.2
            default: words.3
            }
        return UInt8(truncatingIfNeeded: word &>> UInt64(position & 7 &* 8))
    }

    /// Sets the byte at a position, which has been 0; a position of `capacity` or more does nothing.
    public mutating func set(_ position: Int, _ byte: UInt8) {
        let bits = UInt64(byte) &<< UInt64(position & 7 &* 8)
        switch position &>> 3 {
        case 0: words.0 |= bits
        case 1: words.1 |= bits
        case 2: words.2 |= bits
        case 3: words.3 |= bits
        default: break
        }
    }

    /// True where the name is `text`.
    public func isEqual(to text: StaticString) -> Bool { self == TraceName(text) }
}

extension ReportWriter {
    /// Writes a name.
    public mutating func write(_ name: TraceName) {
        for index in 0..<name.byteCount { write(name[index]) }
    }
}

extension Platform {
    /// Runs `body` as a call that is traced: what is traced within it is nested.
    /// - Returns: what `body` does. - Throws: what `body` does.
    @inline(__always)
    public static func withinTracedCall<Result: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let outer = enterTracedCall()
        defer { leaveTracedCall(outer) }
        return try body()
    }

    /// Whether anything is traced. Asked where a call takes a slow way: with the short ways closed meanwhile, it does.
    @inline(__always)
    public static var isTracing: Bool { tracedEvents.rawValue != 0 }
}
