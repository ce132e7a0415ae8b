import MemoryPrimitives
import Synchronization

/// The descriptors of all page frames: an array of page blocks, each with 512 descriptors or with none.
///
/// A section has no descriptors while it has no managed RAM or has not been brought into use. Its origins are read
/// without a lock, so that the slab finds an object's slab in a bounds check, a load, a test and an addition. The arrays,
/// the descriptors and the page blocks' bits behind them lie in one block of memory, mapped wherever bring-up chose.
@safe
public struct FrameTable: @unchecked Sendable {
    /// For each page block, where the descriptor of frame 0 would be if all descriptors lay in one array of which the
    /// section's are a part: so that a frame's descriptor is found by adding 16 times its number. 0 while the section has
    /// no descriptors. Changes once, under the lock of the section's zone.
    private let origins: UnsafeMutablePointer<Atomic<UInt>>

    /// Frames from here on have no page block.
    private let blockCount: UInt

    /// For each page block, behind all origins, where in a frame cache the rings lie that its frames go to.
    private let ringOffsets: UnsafeMutablePointer<Atomic<UInt>>

    /// The number of sections, of two page blocks each: no frame from `sectionCount * 1024` on is managed.
    public var sectionCount: UInt { blockCount >> 1 }

    /// The bytes that `sectionCount` sections take in both arrays.
    static func byteCount(sectionCount: UInt) -> UInt { 4 * sectionCount * UInt(MemoryLayout<Atomic<UInt>>.stride) }

    /// A table without descriptors in `memory`, which is `byteCount(sectionCount:)` bytes, aligned to 8, and never given
    /// back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, sectionCount: UInt) {
        let byteCount = Int(bitPattern: Self.byteCount(sectionCount: sectionCount))
        unsafe memory.initializeMemory(as: UInt64.self, repeating: 0, count: byteCount / 8)
        blockCount = 2 * sectionCount
        // Zero bytes are atomic zeroes: no page block has descriptors.
        let capacity = Int(bitPattern: blockCount)
        unsafe origins = memory.bindMemory(to: Atomic<UInt>.self, capacity: 2 * capacity)
        unsafe ringOffsets = origins + capacity
    }

    /// Notes down for a debugger how a frame's descriptor and its page block are found.
    func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        notes.note("frame_table.origins", unsafe UInt(bitPattern: origins))
        notes.note("frame_table.blocks", blockCount)
        notes.note("frame_table.block_order", PageBlock.order)
        notes.note("frame_table.descriptor_size", Self.descriptorByteCount)
        notes.note("page_block.first", Section.pageBlocksOffset)
        notes.note("page_block.size", PageBlock.byteCount)
        notes.note("page_block.counts", PageBlock.bitsByteCount)
    }

    /// The descriptor of `frame`; nil for a frame that the table does not know: no RAM, or not yet brought into use.
    ///
    /// - Complexity: O(1). Callable from any context.
    @inline(__always)
    public func descriptor(of frame: PageFrameNumber) -> UnsafeMutablePointer<FrameDescriptor>? {
        guard let origin = origin(of: frame) else { return nil }
        return unsafe Self.descriptor(frame.rawValue, from: origin)
    }

    /// What leads from a frame to its descriptor; nil for a frame that the table does not know.
    @inline(__always)
    private func origin(of frame: PageFrameNumber) -> UInt? {
        let block = frame.rawValue &>> UInt(PageBlock.order)
        guard _fastPath(block < blockCount) else { return nil }
        // Within the table by the check above.
        let origin = unsafe origins[Int(bitPattern: block)].load(ordering: .acquiring)
        return _fastPath(origin != 0) ? origin : nil
    }

    /// The owner's word of a slab's frame; nil for every other frame. The way of each `kfree`.
    ///
    /// - Complexity: O(1). Callable from any context.
    @inline(__always)
    public func slabOwner(of frame: PageFrameNumber) -> UInt? {
        guard let origin = origin(of: frame) else { return nil }
        // The table's own descriptor, whose state others may be changing.
        let descriptor = unsafe Self.descriptor(frame.rawValue, from: origin)
        let use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed))
        guard _fastPath(use.state.isSlab) else { return nil }
        return unsafe descriptor.pointee.owner
    }

    /// A frame's descriptor, counted from where frame 0's would be. For a frame of the section with that origin.
    @unsafe
    @inline(__always)
    private static func descriptor(_ frame: UInt, from origin: UInt) -> UnsafeMutablePointer<FrameDescriptor> {
        // An address that the section's descriptors have, and so not null.
        unsafe UnsafeMutablePointer(bitPattern: origin &+ frame &* descriptorByteCount).unsafelyUnwrapped
    }

    @inline(__always)
    private static var descriptorByteCount: UInt { UInt(bitPattern: MemoryLayout<FrameDescriptor>.stride) }

    /// The descriptor of a frame that the allocator itself has noted down. Where that leads nowhere, a note is damaged,
    /// and following it could only do more harm: traps.
    @inline(__always)
    func knownDescriptor(of frame: UInt32) -> UnsafeMutablePointer<FrameDescriptor> {
        guard let descriptor = unsafe descriptor(of: PageFrameNumber(UInt(frame))) else {
            fatalError("a free list leads to a frame that has no descriptor")
        }
        return unsafe descriptor
    }

    /// The descriptor of a frame that is certain to have one.
    @unsafe
    @inline(__always)
    func managedDescriptor(of frame: UInt32) -> UnsafeMutablePointer<FrameDescriptor> {
        let index = Int(frame &>> UInt32(truncatingIfNeeded: PageBlock.order))
        // Within the table, and with an origin, by the caller's certainty.
        let origin = unsafe origins[index].load(ordering: .relaxed)
        return unsafe Self.descriptor(UInt(frame), from: origin)
    }

    /// True when the section has descriptors.
    func isInitialized(section: UInt) -> Bool {
        unsafe descriptor(of: PageFrameNumber(section << Section.shift)) != nil
    }

    /// A page block, by its number, of a section that has descriptors. Under the zone's lock.
    @inline(__always)
    func pageBlock(_ number: UInt32) -> PageBlock {
        // The zones note down page blocks of sections in use only.
        let origin = unsafe origins[Int(number)].load(ordering: .relaxed)
        let first = unsafe Self.descriptor(UInt(number &<< 9), from: origin)
        // Both page blocks lie behind the section's descriptors, of which the second's begin half way.
        let whole = Section.pageBlocksOffset
        let offset = number & 1 == 0 ? whole : whole / 2 &+ PageBlock.byteCount
        return unsafe PageBlock(in: UnsafeMutableRawPointer(first) + offset)
    }

    /// Where in a frame cache the rings lie that a frame goes to when it is freed. For a frame that has a descriptor.
    @inline(__always)
    func rings(of frame: UInt) -> Int {
        // Within the table, or there would be no descriptor.
        unsafe Int(
            bitPattern: ringOffsets[Int(bitPattern: frame &>> UInt(PageBlock.order))].load(ordering: .relaxed))
    }

    /// Chooses the rings for a page block's frames. Under the zone's lock.
    @inline(__always)
    func setRings(_ offset: Int, ofPageBlock number: UInt32) {
        // Within the table: the page block is one of ours.
        unsafe ringOffsets[Int(number)].store(UInt(bitPattern: offset), ordering: .relaxed)
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
            unsafe memory.initializeMemory(as: UInt64.self, repeating: 0, count: Section.pageBlocksOffset / 8)
        } else {
            unsafe descriptors.initialize(repeating: FrameDescriptor(state), count: count)
        }
        let blocks = unsafe memory + Section.pageBlocksOffset
        unsafe PageBlock(in: blocks).reset(mobility)
        unsafe PageBlock(in: blocks + PageBlock.byteCount).reset(mobility)
        let origin = UInt(bitPattern: descriptors) &- (section << Section.shift) &* Self.descriptorByteCount
        precondition(origin != 0, "descriptors at an address that means there are none")
        // Released after the descriptors are written: who finds the entry finds them.
        unsafe origins[Int(bitPattern: 2 * section)].store(origin, ordering: .releasing)
        unsafe origins[Int(bitPattern: 2 * section + 1)].store(origin, ordering: .releasing)
    }
}
