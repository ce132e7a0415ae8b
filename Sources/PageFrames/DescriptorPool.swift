/// Memory for the metadata of a zone's sections, handed out a section at a time and never given back.
///
/// Reserved at boot for every section that has free memory, touched only when a section is brought into use.
@safe
struct DescriptorPool: ~Copyable {
    private let base: UnsafeMutableRawPointer
    private let capacity: Int

    /// The number of sections that have taken their room.
    private(set) var used = 0

    /// The number of sections that there is room for.
    var remaining: Int { capacity - used }

    /// - Parameter memory: `capacity` times `Section.metadataByteCount`, aligned to 128.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        unsafe base = memory
        self.capacity = capacity
    }

    /// Room for one section's metadata, with any contents. `remaining` must not be 0.
    mutating func take() -> UnsafeMutableRawPointer {
        precondition(used < capacity, "more sections than there is room for")
        defer { used += 1 }
        // Within the pool by the check above.
        return unsafe base + used * Int(bitPattern: Section.metadataByteCount)
    }
}
