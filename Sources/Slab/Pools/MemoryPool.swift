import MemoryPrimitives
import PageFrames

/// Elements of one size, some of which are kept in reserve, so that who has to go on can: Linux's mempool.
///
///     allocate -> the allocator --no memory--> the reserve
///     free     -> the reserve --full---------> the allocator
///
/// As long as its users free what they have allocated, an allocation that found nothing can be had a little later. Nobody
/// waits for that here: it is for the caller to try again when an element has been freed.
///
/// Allocating and freeing may be done in any context, interrupt handlers included, and on several CPUs at once; making,
/// resizing and ending a pool may wait.
@safe
public struct MemoryPool<P: Platform>: ~Copyable, @unchecked Sendable {
    private let reserve: PoolReserve<P>

    /// The most elements that can be kept in reserve.
    public static var largestMinimum: Int { PoolReserve<P>.largestMinimum }

    /// A pool of memory from kmalloc.
    ///
    /// - Parameters:
    ///   - minimum: elements in reserve, 1 to `largestMinimum`.
    ///   - elementSize: bytes, 1 to `Kmalloc.largestByteCount`.
    ///   - kmalloc: where the elements come from.
    /// - Throws: what is wrong, or `outOfMemory` where the reserve cannot be filled.
    public init(_ minimum: Int, elementSize: UInt, in kmalloc: Permanent<Kmalloc<P>>) throws(PoolError) {
        guard elementSize > 0, elementSize <= Kmalloc<P>.largestByteCount else { throw .badSize }
        let source: PoolSource<P> =
            elementSize <= SizeClass.largestByteCount
            ? .objects(CacheReference(kmalloc.value.cache(serving: elementSize)))
            : .blocks(order: LargeBlocks<P>.order(forByteCount: elementSize))
        reserve = try PoolReserve(minimum, of: source, in: kmalloc)
    }

    /// A pool of objects of a cache, which must stay as long as the pool.
    /// - Throws: what is wrong, or `outOfMemory`.
    public init(
        _ minimum: Int, of cache: CacheReference<P>, in kmalloc: Permanent<Kmalloc<P>>
    ) throws(PoolError) {
        reserve = try PoolReserve(minimum, of: .objects(cache), in: kmalloc)
    }

    /// A pool of blocks of 2 to the power of `order` page frames, 0 to 10.
    /// - Throws: what is wrong, or `outOfMemory`.
    public init(_ minimum: Int, order: Int, in kmalloc: Permanent<Kmalloc<P>>) throws(PoolError) {
        guard order >= 0, order <= BlockOrder.highest else { throw .badOrder }
        reserve = try PoolReserve(minimum, of: .pages(order: order), in: kmalloc)
    }

    /// Gives the reserve back. It is an error to end a pool whose elements are in use: that is reported, as `objectInUse`.
    deinit {
        let inUse = reserve.figures.inUse
        if inUse > 0 {
            P.report(
                MemoryViolation(
                    .objectInUse, in: "mempool_destroy", at: reserve.identifier, "elements of the pool are in use",
                    UInt(inUse)))
        }
        reserve.end()
    }

    /// Allocates an element.
    ///
    /// - Parameter flags: how far the search for memory may go before the reserve is looked at. First nothing is waited
    ///   for; where the reserve is empty, too, and the flags have `.directReclaim`, the search is made again with all of
    ///   them. `.zero` clears. Flags for a zone have no effect, as the reserve lies where it lies.
    /// - Returns: an element to be given to `free`; nil where there is neither memory nor a reserve.
    /// - Complexity: as the allocator's.
    public borrowing func allocate(flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? {
        let decided: AllocationFlags = .zero | .dma | .dma32 | .memoryReserves
        // The emergency reserves are not for those who have one of their own.
        let wanted = flags.subtracting(decided) | .noMemoryReserves
        let quick = wanted.subtracting(.directReclaim | .io) | .noRetry | .noWarn
        var found = source.allocate(quick, from: kmalloc) ?? reserve.take(above: 0)
        if found == nil, flags.contains(.directReclaim) {
            found = source.allocate(wanted, from: kmalloc) ?? reserve.take(above: 0)
        }
        guard let element = found else { return nil }
        reserve.count(inUse: 1)
        if flags.contains(.zero) { return unsafe Magazine<P>.clear(element, source.clearedByteCount) }
        return unsafe UnsafeMutableRawPointer(bitPattern: element)
    }

    /// Gives an element back: to the reserve where that is not full, else to where it came from.
    ///
    /// It is an error to free what is free already or in the reserve (`doubleFree`), or what is no element of the pool's
    /// (`wildFree`, `wrongCache`, `misalignedFree`): that is reported, and nothing changes.
    /// - Parameter element: nil does nothing. - Complexity: as the allocator's.
    public borrowing func free(_ element: UnsafeMutableRawPointer?) {
        let address = UInt(bitPattern: element)
        if address == 0 { return }
        // Each is marked first, so that the pool sees what is wrong with it.
        guard source.mark(address, asReserved: true, in: kmalloc) else {
            P.report(source.diagnose(address, in: kmalloc))
            return
        }
        reserve.count(inUse: -1)
        if !reserve.push(address) {
            _ = source.mark(address, asReserved: false, in: kmalloc)
            source.free(address, to: kmalloc)
        }
    }

    /// Changes how many elements are kept in reserve. What the reserve lacks then is allocated; what it has too many of is
    /// freed.
    ///
    /// - Throws: `badMinimum`, or `outOfMemory`, with the reserve as large as it was.
    /// - Complexity: O(elements). For contexts that may wait; one caller at a time.
    public borrowing func resize(to minimum: Int) throws(PoolError) { try reserve.resize(to: minimum) }

    /// The elements that the reserve has room for, and those in it. A snapshot.
    public var minimum: Int { reserve.figures.minimum }
    /// The elements that are in the reserve now.
    public var reserved: Int { reserve.figures.count }

    private var source: PoolSource<P> { reserve.source }
    private var kmalloc: Permanent<Kmalloc<P>> { reserve.kmalloc }
}
