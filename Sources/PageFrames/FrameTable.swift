import MemoryPrimitives
import Synchronization

/// The descriptors of all page frames: an array of sections, each with 1024 descriptors or with none.
///
/// A section has no descriptors while it has no managed RAM or has not been brought into use. An entry changes once,
/// from nil, under the lock of the section's zone; it is read without a lock, so that the slab finds an object's slab
/// in a bounds check, a load, a test and an addition. The array and the descriptors are reached through the direct map.
@safe
public struct FrameTable: @unchecked Sendable {
    typealias Entry = Atomic<UnsafeMutablePointer<FrameDescriptor>?>

    private let entries: UnsafeMutablePointer<Entry>

    /// The number of entries: no frame from `sectionCount * 1024` on is managed.
    public let sectionCount: UInt

    /// The bytes that the entries of `sectionCount` sections take.
    static func byteCount(sectionCount: UInt) -> UInt {
        // Only the size of the type is asked for.
        unsafe sectionCount * UInt(MemoryLayout<Entry>.stride)
    }

    /// A table without descriptors in `memory`, which is `byteCount(sectionCount:)` bytes, aligned to 8, and never given
    /// back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, sectionCount: UInt) {
        unsafe entries = memory.bindMemory(to: Entry.self, capacity: Int(bitPattern: sectionCount))
        for index in 0..<Int(bitPattern: sectionCount) {
            unsafe (entries + index).initialize(to: Entry(nil))
        }
        self.sectionCount = sectionCount
    }

    /// The descriptors of a section, nil where it has none. - Complexity: O(1). Callable from any context.
    @inline(__always)
    func descriptors(ofSection section: UInt) -> UnsafeMutablePointer<FrameDescriptor>? {
        guard section < sectionCount else { return nil }
        // Within the table by the check above.
        return unsafe entries[Int(bitPattern: section)].load(ordering: .acquiring)
    }

    /// The descriptor of `frame`; nil for a frame that the table does not know: no RAM, or not yet brought into use.
    ///
    /// - Complexity: O(1). Callable from any context.
    @inline(__always)
    public func descriptor(of frame: PageFrameNumber) -> UnsafeMutablePointer<FrameDescriptor>? {
        guard let section = unsafe descriptors(ofSection: frame.rawValue >> Section.shift) else { return nil }
        // A section has 1024 descriptors and the index is below that.
        return unsafe section + Int(bitPattern: frame.rawValue & (Section.frameCount &- 1))
    }

    /// The descriptor of a frame that the allocator itself has noted down. Where that leads nowhere, a link is damaged,
    /// and following it could only do more harm: traps.
    @inline(__always)
    func knownDescriptor(of frame: UInt32) -> UnsafeMutablePointer<FrameDescriptor> {
        guard let descriptor = unsafe descriptor(of: PageFrameNumber(UInt(frame))) else {
            fatalError("a free list leads to a frame that has no descriptor")
        }
        return unsafe descriptor
    }

    /// True when the section has descriptors.
    func isInitialized(section: UInt) -> Bool { unsafe descriptors(ofSection: section) != nil }

    /// Gives a section its descriptors, all alike. Under the lock of the section's zone.
    ///
    /// - Parameter memory: 16 KiB that nobody else uses, with any contents.
    @unsafe
    func initialize(section: UInt, in memory: UnsafeMutablePointer<FrameDescriptor>, as state: FrameState) {
        precondition(section < sectionCount, "a section beyond the frame table")
        unsafe memory.initialize(repeating: FrameDescriptor(state), count: Int(bitPattern: Section.frameCount))
        // Released after the descriptors are written: who finds the entry finds them.
        unsafe entries[Int(bitPattern: section)].store(memory, ordering: .releasing)
    }
}
