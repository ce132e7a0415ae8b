/// How many frames of a zone ordinary requests must leave free, computed as Linux 6.1 does. All counts are in frames.
///
///     free > high                                       nothing to do
///     low < free <= high                                the background reclaimer carries on if it has begun
///     min < free <= low                                 the background reclaimer is woken
///     free <= min                                       requests that may wait reclaim; the others fail
///     free <= min, less what its flags allow            urgent requests fail, too
///
/// To each mark comes what the zone keeps from requests that could have been served from higher zones (`lowmemReserve`).
/// Pure values: callable from any context, O(1) unless stated.
public struct Watermarks: Sendable {
    /// One of the three marks.
    public enum Mark: Sendable {
        /// What urgent requests alone may go below.
        case min
        /// Where the background reclaimer is woken.
        case low
        /// Where it may rest.
        case high
    }

    /// Below it, only urgent requests are served.
    public var min: UInt = 0
    /// Below it, the background reclaimer is woken.
    public var low: UInt = 0
    /// Above it, the background reclaimer may rest.
    public var high: UInt = 0

    /// What is added to each mark for a time, after blocks of a group had to be broken up for another.
    public var boost: UInt = 0

    /// Frames kept from requests, by the highest zone that the request could have been served from.
    public var lowmemReserve = InlineArray<3, UInt>(repeating: 0)

    /// No marks: every request passes that leaves a frame.
    public init() {}

    /// The marks of a zone.
    ///
    /// - Parameters:
    ///   - managed: the zone's frames, at most 2^32.
    ///   - total: the frames of all zones together.
    ///   - minimumFree: what all zones together keep free, in KiB: see `minimumFree(frames:requested:)`.
    ///   - scaleFactor: the distance between the marks in 1/10000 of the zone, where a quarter of `min` is less.
    public init(managed: UInt, of total: UInt, minimumFree: UInt, scaleFactor: UInt = 10) {
        let managed = Swift.min(managed, Self.mostFrames)
        guard managed != 0 else { return }
        let reserve = Swift.min(minimumFree / Self.kibibytesPerFrame, Self.mostFrames - 1)
        min = reserve * managed / Swift.max(total, managed)
        let distance = Swift.max(min / 4, Self.fraction(managed, Swift.min(scaleFactor, 10_000), 10_000))
        low = min + distance
        high = low + distance
    }

    /// A mark, with the boost.
    @inline(__always)
    public subscript(mark: Mark) -> UInt {
        switch mark {
        case .min: min &+ boost
        case .low: low &+ boost
        case .high: high &+ boost
        }
    }

    /// What the zones together keep free, in KiB.
    ///
    /// - Parameters:
    ///   - frames: the frames of all zones.
    ///   - requested: the value of `min_free_kbytes=`, or nil. Linux takes whatever it is told; here it is at most a
    ///     quarter of memory, beyond which nothing could be allocated any more.
    /// - Returns: `requested`, or the square root of 16 times the memory in KiB, but within 128 ... 262144.
    /// - Complexity: O(bits).
    public static func minimumFree(frames: UInt, requested: UInt? = nil) -> UInt {
        let kibibytes = Swift.min(frames, mostFrames) * kibibytesPerFrame
        if let requested { return Swift.min(requested, kibibytes / 4) }
        return Swift.max(128, Swift.min(squareRoot(kibibytes * 16), 262_144))
    }

    /// The integer square root: the largest number whose square is not above `number`.
    /// - Complexity: O(bits). No floating point, which a kernel does not have.
    public static func squareRoot(_ number: UInt) -> UInt {
        guard number != 0 else { return 0 }
        var bit: UInt = 1 << UInt((UInt.bitWidth - 1 - number.leadingZeroBitCount) & ~1)
        var rest = number
        var root: UInt = 0
        while bit != 0 {
            let trial = root &+ bit
            root >>= 1
            if rest >= trial {
                rest &-= trial
                root &+= bit
            }
            bit >>= 2
        }
        return root
    }

    /// What `zone` keeps from requests that could have been served from higher zones: for each such zone, the frames of
    /// the zones above `zone` up to it, divided by Linux's `lowmem_reserve_ratio` (256 for DMA and DMA32, 32 for Normal).
    ///
    /// - Parameters:
    ///   - zone: whose reserve.
    ///   - managed: the frames of each zone, in the order of `ZoneKind`.
    /// - Returns: frames, by the highest zone that a request could have been served from.
    public static func lowmemReserve(of zone: ZoneKind, managed: InlineArray<3, UInt>) -> InlineArray<3, UInt> {
        var reserve = InlineArray<3, UInt>(repeating: 0)
        guard managed[zone.rawValue] != 0 else { return reserve }
        let ratio: UInt = zone == .normal ? 32 : 256
        var above: UInt = 0
        for higher in (zone.rawValue + 1)..<3 {
            above += Swift.min(managed[higher], mostFrames)
            reserve[higher] = above / ratio
        }
        return reserve
    }

    /// Frame numbers have 32 bits. The bound keeps the products here below 2^64.
    private static var mostFrames: UInt { 1 << 32 }
    private static var kibibytesPerFrame: UInt { 4 }

    /// `number` * `numerator` / `denominator`, without the product.
    private static func fraction(_ number: UInt, _ numerator: UInt, _ denominator: UInt) -> UInt {
        number / denominator * numerator + number % denominator * numerator / denominator
    }
}
