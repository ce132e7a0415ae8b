/// Why a cache cannot be made.
public enum CacheError: Error, Sendable {
    /// The name has no bytes.
    case emptyName
    /// The name has more than 31 bytes.
    case nameTooLong
    /// The name has a blank or what is no printable ASCII, which `slabinfo` could not show.
    case unprintableName
    /// Objects of 0 bytes were asked for.
    case noSize
    /// The objects, aligned, would be larger than `SlabLayout.largestSlotSize`.
    case sizeTooLarge
    /// The alignment is no power of two.
    case alignmentNotPowerOfTwo
    /// There is no memory to note the cache down.
    case outOfMemory

    /// The error as a sentence.
    public var description: StaticString {
        switch self {
        case .emptyName: "a cache's name is empty"
        case .nameTooLong: "a cache's name is longer than 31 bytes"
        case .unprintableName: "a cache's name has a blank or an unprintable byte"
        case .noSize: "a cache's objects have no bytes"
        case .sizeTooLarge: "a cache's objects are larger than a slab"
        case .alignmentNotPowerOfTwo: "a cache's alignment is no power of two"
        case .outOfMemory: "there is no memory to note a cache down"
        }
    }
}
