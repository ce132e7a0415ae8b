import MemoryPrimitives

/// Why the machine's memory could not be brought up.
public enum BringUpError: Error, Sendable {
    /// The map leaves so many bytes of free memory, which is not enough to work with.
    case tooLittleMemory(UInt)
    /// The list of memory or of reservations was full, and could not grow.
    case mapTooLarge
    /// No memory for page tables, or for the allocators themselves.
    case outOfBootMemory
    /// The image's description is inconsistent, or part of it is not RAM.
    case imageNotMappable
    /// The layout is one that no kernel can have, for the reason given (`AddressSpaceLayout.problem`).
    case layoutNotUsable(StaticString)

    /// The error in words, for the log.
    public var reason: StaticString {
        switch self {
        case .tooLittleMemory: "too little memory"
        case .mapTooLarge: "the memory map has too many parts"
        case .outOfBootMemory: "too little memory for page tables and allocators"
        case .imageNotMappable: "the kernel image cannot be mapped"
        case .layoutNotUsable(let problem): problem
        }
    }
}
