import MemoryPrimitives
import Synchronization

/// One section's place in the frame table.
@safe
struct SectionEntry: ~Copyable {
    /// nil while the section has no descriptors. Changes once, under the lock of the section's zone.
    let descriptors: Atomic<UnsafeMutablePointer<FrameDescriptor>?> = unsafe Atomic(nil)
    /// For each of the two page blocks, which rings of a frame cache its frames go to (see `FrameCache`).
    let firstRingGroup = Atomic<UInt16>(FrameCacheLayout.noGroup)
    let secondRingGroup = Atomic<UInt16>(FrameCacheLayout.noGroup)
    /// The page blocks. Under the zone's lock.
    var blocks = InlineArray<2, PageBlockInfo>(repeating: PageBlockInfo())
}

/// The descriptors of all page frames: an array of sections, each with 1024 descriptors or with none.
///
/// A section has no descriptors while it has no managed RAM or has not been brought into use. Its entry is read without
/// a lock, so that the slab finds an object's slab in a bounds check, a load, a test and an addition. The array, the
/// descriptors and the page blocks' bits behind them are reached through the direct map.
@safe
public struct FrameTable: @unchecked Sendable {
    private let entries: UnsafeMutablePointer<SectionEntry>

    /// The number of entries: no frame from `sectionCount * 1024` on is managed.
    public let sectionCount: UInt

    /// The bytes that the entries of `sectionCount` sections take.
    static func byteCount(sectionCount: UInt) -> UInt { sectionCount * UInt(MemoryLayout<SectionEntry>.stride) }

    /// A table without descriptors in `memory`, which is `byteCount(sectionCount:)` bytes, aligned to 8, and never given
    /// back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, sectionCount: UInt) {
        unsafe entries = memory.bindMemory(to: SectionEntry.self, capacity: Int(bitPattern: sectionCount))
        for index in 0..<Int(bitPattern: sectionCount) { unsafe (entries + index).initialize(to: SectionEntry()) }
        self.sectionCount = sectionCount
    }

    /// The descriptors of a section, nil where it has none. - Complexity: O(1). Callable from any context.
    @inline(__always)
    func descriptors(ofSection section: UInt) -> UnsafeMutablePointer<FrameDescriptor>? {
        guard section < sectionCount else { return nil }
        // Within the table by the check above.
        return unsafe entries[Int(bitPattern: section)].descriptors.load(ordering: .acquiring)
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

    /// The descriptor of a frame that the allocator itself has noted down. Where that leads nowhere, a note is damaged,
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

    /// A page block, by its number, of a section that has descriptors. Under the zone's lock.
    @inline(__always)
    func pageBlock(_ number: UInt32) -> PageBlock {
        guard let section = unsafe descriptors(ofSection: UInt(number >> 1)) else {
            fatalError("a page block without descriptors")
        }
        let half = Int(number & 1)
        // The bits lie behind the section's descriptors, and the entry is within the table by the check above.
        let bits = unsafe UnsafeMutableRawPointer(section) + Section.bitsOffset + half &* PageBlock.byteCount
        let entry = unsafe UnsafeMutableRawPointer(entries + Int(number >> 1)) + Self.infoOffset
        return unsafe PageBlock(
            bits: bits.assumingMemoryBound(to: UInt64.self),
            info: entry.assumingMemoryBound(to: PageBlockInfo.self) + half)
    }

    /// The rings of a frame cache that a frame goes to when it is freed. For a frame that has a descriptor.
    @inline(__always)
    func ringGroup(of frame: UInt) -> Int {
        // Within the table, or there would be no descriptor.
        let entry = unsafe entries + Int(bitPattern: frame >> Section.shift)
        let half = frame >> UInt(PageBlock.order) & 1
        return Int(
            unsafe half == 0
                ? entry.pointee.firstRingGroup.load(ordering: .relaxed)
                : entry.pointee.secondRingGroup.load(ordering: .relaxed))
    }

    /// Chooses the rings for a page block's frames. Under the zone's lock.
    @inline(__always)
    func setRingGroup(_ group: Int, ofPageBlock number: UInt32) {
        let entry = unsafe entries + Int(number >> 1)
        let value = UInt16(truncatingIfNeeded: group)
        // Within the table: the page block is one of ours.
        if number & 1 == 0 {
            unsafe entry.pointee.firstRingGroup.store(value, ordering: .relaxed)
        } else {
            unsafe entry.pointee.secondRingGroup.store(value, ordering: .relaxed)
        }
    }

    /// Gives a section its descriptors, all alike, and page blocks without free blocks. Under the zone's lock.
    ///
    /// - Parameter memory: `Section.metadataByteCount` bytes that nobody else uses, with any contents.
    @unsafe
    func initialize(
        section: UInt, in memory: UnsafeMutableRawPointer, as state: FrameState, _ mobility: Mobility
    ) {
        precondition(section < sectionCount, "a section beyond the frame table")
        let count = Int(bitPattern: Section.frameCount)
        let descriptors = unsafe memory.bindMemory(to: FrameDescriptor.self, capacity: count)
        if state == .interior {
            // All zeroes, in the fastest way there is.
            unsafe memory.initializeMemory(as: UInt64.self, repeating: 0, count: Section.bitsOffset / 8)
        } else {
            unsafe descriptors.initialize(repeating: FrameDescriptor(state), count: count)
        }
        unsafe (memory + Section.bitsOffset).initializeMemory(
            as: UInt64.self, repeating: 0, count: 2 * PageBlock.byteCount / 8)
        let index = Int(bitPattern: section)
        unsafe entries[index].blocks = InlineArray(repeating: PageBlockInfo(mobility: mobility))
        // Released after the descriptors are written: who finds the entry finds them.
        unsafe entries[index].descriptors.store(descriptors, ordering: .releasing)
    }

    /// Where the page blocks' notes lie in an entry: behind the pointer and the two ring groups, aligned to 2.
    @inline(__always)
    private static var infoOffset: Int { 12 }
}
