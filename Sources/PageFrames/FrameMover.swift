import MemoryPrimitives

/// An owner of blocks whose contents can be moved: who allocates with `.movable` and knows all that refers to a block.
///
/// The call is made on any CPU, in a context that may wait, with no lock of the allocator held. Several CPUs may be in it
/// at a time, for different blocks.
public protocol FrameMover: ~Copyable {
    /// Moves what is in a block elsewhere, if the block is this owner's and can be moved now.
    ///
    /// The owner makes sure that the block is, and stays, its own while it copies (by a lock that its own frees of blocks
    /// take, too), copies the contents, notes down in the descriptor of `new` what it had in that of `old`, and makes all
    /// that referred to `old` refer to `new`. On true it has `new` in place of `old`, and must not touch `old` any more:
    /// the allocator frees it.
    ///
    /// - Parameters:
    ///   - old: the block's first frame. It may be anybody's, and may have been freed by now.
    ///   - new: a block of the same order and kind, just allocated, that is the owner's to have.
    ///   - order: log2 of both blocks' size in frames.
    /// - Returns: false where nothing was moved; the allocator frees `new`.
    borrowing func move(from old: PageFrameNumber, to new: PageFrameNumber, order: Int) -> Bool
}
