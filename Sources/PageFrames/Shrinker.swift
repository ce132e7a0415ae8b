import MemoryPrimitives

/// An owner of memory that it could do without: a cache. The allocator asks it to give memory back when frames run short.
///
/// Both calls are made from whatever context asked for memory, on any CPU, with no lock of the allocator held, so that
/// freeing frames is allowed in them. A shrinker is never entered twice at a time, not even by another CPU: what it
/// allocates itself does not come back to it. It had better not allocate; where it must, with `.memoryReserves`.
///
/// `flags` are those of the request that frames are sought for, and bind the shrinker: without `.directReclaim` it must
/// not wait (and so must only try to take locks that its own users hold while they allocate), without `.io` and `.fs`
/// it must not start input and output nor call file systems.
public protocol Shrinker: ~Copyable {
    /// The number of frames that could be given back; 0 for none, or where that cannot be found out now. An estimate.
    borrowing func count(for flags: AllocationFlags) -> UInt

    /// Gives back about `target` frames, which is never 0.
    /// - Returns: the frames given back, which may be more or fewer; 0 where there is no progress, which ends the round.
    borrowing func scan(_ target: UInt, for flags: AllocationFlags) -> UInt
}
