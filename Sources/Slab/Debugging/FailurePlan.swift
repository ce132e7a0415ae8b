import MemoryPrimitives

/// Which allocations of objects are to fail although there is memory: the value of `failslab=`.
///
///     failslab=nth:3                    the third
///     failslab=probability:10           of a hundred about ten
///     failslab=nth:3,kmalloc-64,fs*     of the caches that are named
public struct FailurePlan: Sendable {
    /// Counted from 1, those of the chosen caches alone; 0 for none.
    public let nth: UInt
    /// Of a hundred allocations.
    public let percentage: UInt
    /// The caches that this is about; all where it is empty.
    private let names: CacheNameList

    /// Nothing fails until `Kmalloc.failAllocation(nth:)` says so, which it can of all caches.
    public init() {
        nth = 0
        percentage = 0
        names = CacheNameList()
    }

    /// Reads the value of `failslab=`.
    /// - Parameter value: what stands behind `failslab=`. It must stay where it is.
    /// - Returns: nil where it has no such form.
    @unsafe
    public init?(_ value: UnsafeRawBufferPointer) {
        var end = 0
        // Every index is below value.count.
        while end < value.count, unsafe value[end] != UInt8(ascii: ",") { end += 1 }
        // Of the same text, which stays.
        let nth = unsafe Self.number(behind: "nth:", value, end)
        let percentage = unsafe Self.number(behind: "probability:", value, end)
        guard nth != nil || percentage.map({ $0 <= 100 }) == true else { return nil }
        self.nth = nth ?? 0
        self.percentage = percentage ?? 0
        let start = min(end + 1, value.count)
        unsafe names = CacheNameList(UnsafeRawBufferPointer(rebasing: value[start...]))
    }

    /// Whether allocations from a cache of that name may fail.
    func concerns(_ name: CacheName) -> Bool { names.isEmpty || names.contains(name) }

    /// The decimal number that follows `prefix` and ends at `end`.
    @unsafe
    private static func number(behind prefix: StaticString, _ text: UnsafeRawBufferPointer, _ end: Int) -> UInt? {
        let length = prefix.utf8CodeUnitCount
        guard length < end else { return nil }
        // Both have so many bytes.
        for place in 0..<length where unsafe text[place] != prefix.utf8Start[place] { return nil }
        var number: UInt = 0
        for place in length..<end {
            let digit = unsafe text[place] &- UInt8(ascii: "0")
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt(digit))
            if digit > 9 || overflow || carry { return nil }
            number = sum
        }
        return number
    }
}
