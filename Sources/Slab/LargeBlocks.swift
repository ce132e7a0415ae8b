import MemoryPrimitives
import PageFrames
import Synchronization

/// kmalloc's blocks of more than 8192 bytes: from the buddy, told from other blocks by a tag in the head's descriptor.
struct LargeBlocks<P: Platform>: ~Copyable {
    /// "kM".
    static var tag: UInt16 { 0x6b4d }

    private let blocks = Atomic<Int>(0)
    private let frameCount = Atomic<Int>(0)

    /// The smallest order whose blocks have `byteCount` bytes, which is more than 0.
    static func order(forByteCount byteCount: UInt) -> Int {
        UInt.bitWidth - ((byteCount - 1) >> PageSize.shift).leadingZeroBitCount
    }

    /// The number of blocks handed out, and of their frames. A snapshot.
    var count: Int { blocks.load(ordering: .relaxed) }
    var frames: Int { frameCount.load(ordering: .relaxed) }

    func allocate(
        _ byteCount: UInt, _ flags: AllocationFlags, from frames: Permanent<PageFrameAllocator<P>>
    ) -> PageFrameNumber? {
        let order = Self.order(forByteCount: byteCount)
        guard let frame = frames.value.allocate(order: order, flags: flags.forLargeBlock | .noLeakTrace) else {
            return nil
        }
        let start = frames.value.directMap.virtualAddress(of: frame.address).rawValue
        frames.value.noteAllocation(start, byteCount: byteCount, .object, flags)
        // The block is this call's alone until it returns.
        _ = frames.value.exchangeTag(of: frame, from: 0, to: Self.tag)
        blocks.add(1, ordering: .relaxed)
        frameCount.add(1 << order, ordering: .relaxed)
        return frame
    }

    /// The order of the large block that starts at `frame`; nil where none does.
    @inline(__always)
    static func order(of frame: PageFrameNumber, _ frames: Permanent<PageFrameAllocator<P>>) -> Int? {
        guard let descriptor = unsafe frames.value.descriptor(of: frame),
            // The table's own descriptor.
            unsafe descriptor.pointee.state == .allocatedHead, unsafe descriptor.pointee.tag == Self.tag
        else { return nil }
        return unsafe Int(descriptor.pointee.order)
    }

    /// Gives a large block back. - Returns: false, with nothing changed, where none starts at `frame`.
    func free(_ frame: PageFrameNumber, to frames: Permanent<PageFrameAllocator<P>>) -> Bool {
        // Of two CPUs that free one block, one finds the tag gone.
        guard let order = frames.value.exchangeTag(of: frame, from: Self.tag, to: 0) else { return false }
        blocks.subtract(1, ordering: .relaxed)
        frameCount.subtract(1 << order, ordering: .relaxed)
        frames.value.free(frame, order: order)
        return true
    }
}
