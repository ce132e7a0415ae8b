/// A request or a structure that breaks a rule of memory management, found before harm was done.
public struct MemoryViolation: Sendable {
    /// Which rule was broken.
    public enum Kind: UInt8, Sendable {
        /// The object or block is free already.
        case doubleFree
        /// The address was never handed out: outside RAM, reserved, or of another owner.
        case wildFree
        /// The address lies within an object, a block or an area, not at its start.
        case misalignedFree
        /// The block was allocated with another order.
        case wrongOrder
        /// The frame is part of a larger block, not its first.
        case freeOfTail
        /// A lock was taken again by the CPU that holds it, or released by one that does not.
        case lockMisuse
        /// An internal structure says something impossible.
        case corruption
        /// A promise of frames that was never made was called upon.
        case brokenPromise
        /// A request that may wait was made in an interrupt handler or with a spin lock held. It is served without
        /// waiting.
        case waitInAtomicContext
        /// A reference to a block that is not in use, or one more than can be counted.
        case badReference
        /// Memory was written after it had been freed.
        case writeAfterFree
        /// Memory behind the end of a block was written.
        case overrun
        /// Memory before the start of an object was written.
        case underrun
        /// The object is of another cache than the one that it was freed to.
        case wrongCache
        /// A cache or a pool was to be destroyed, and objects are still their users'.
        case objectInUse
        /// A cache that must be there could not be made.
        case missingCache
        /// RAM was to be mapped as a device's memory.
        case mapsMemory
        /// Memory that a device reaches was given back, or made the CPU's, in another way than it was given.
        case badMapping
    }

    /// Which rule was broken.
    public var kind: Kind
    /// The call that found it, as its user names it: "kfree", "vfree", "__free_pages".
    public var call: StaticString
    /// The offending address; for frames, the physical address of the frame.
    public var address: UInt
    /// What was found there, in words.
    public var detail: StaticString
    /// A number that belongs to `detail` (an order, a size, a count, the byte found); 0 where there is none.
    public var value: UInt
    /// Where the frame, block or object begins that `address` lies in or beyond; `address` itself where that says no
    /// more.
    public var origin: UInt
    /// The number of bytes that are not as they should be, from `address` on; 0 where bytes are not what is wrong.
    public var byteCount: UInt = 0
    /// What those bytes should be.
    public var expectedByte: UInt8 = 0
    /// Whether the error does no harm that matters to who reports it, and the kernel may go on.
    public var mayContinue = false

    /// A violation found by `call` at `address`: `detail` says it in words, `value` is the number it speaks of.
    public init(_ kind: Kind, in call: StaticString, at address: UInt, _ detail: StaticString, _ value: UInt = 0) {
        self.kind = kind
        self.call = call
        self.address = address
        self.detail = detail
        self.value = value
        origin = address
    }

    /// Bytes that are not as they should be.
    ///
    /// - Parameters:
    ///   - address: the first of them.
    ///   - origin: where the frame or block begins that this is said of.
    ///   - kind: which rule was broken.
    ///   - call: the call that found it, as its user names it.
    ///   - detail: what is wrong, in words.
    ///   - byte: what `address` holds.
    ///   - byteCount: how many bytes are wrong.
    public init(
        _ kind: Kind, in call: StaticString, at address: UInt, from origin: UInt, _ detail: StaticString, byte: UInt8,
        byteCount: UInt
    ) {
        self.init(kind, in: call, at: address, detail, UInt(byte))
        self.origin = origin
        self.byteCount = byteCount
    }
}

/// The first thing that a `checkInvariants()` found wrong.
public struct InvariantViolation: Error, Sendable {
    /// The rule that does not hold, as a sentence.
    public var rule: StaticString
    /// Where: an address, a frame number or an index, as the rule says.
    public var location: UInt
    /// What was found there.
    public var found: UInt
    /// What the rule wants to be there.
    public var expected: UInt

    /// A rule that does not hold at `location`, with the number that was found and the one that the rule wants.
    public init(_ rule: StaticString, at location: UInt = 0, found: UInt = 0, expected: UInt = 0) {
        self.rule = rule
        self.location = location
        self.found = found
        self.expected = expected
    }
}
