import MemoryPrimitives
import PageFrames
import Paging
import Slab
import Synchronization

/// Makes kernel stacks, keeps some that were freed ready for the next, and has them grow when they are touched.
///
///     addresses:  guard | due ... due | top page | guard
///     states:     (none) --make--> in use --free--> ready --take--> in use
///                            ^                        |
///                            '----- (none) <-- free, where enough are ready, or memory is short
///
/// **Growing takes no lock**, because the code that is interrupted may hold any: see `grow`. So everything that growing
/// needs is there beforehand: the tables, since the stack was made; the frames, in a reserve. For each page that is due, and
/// for each frame that the reserve lacks, one is promised: a stack that was made can be used to its end, however short
/// memory is.
///
/// Any context may call, several CPUs at once, and nothing sleeps; but for `grow`, nobody may call with a lock of memory
/// management held.
@safe
public struct KernelStacks<P: Platform>: ~Copyable, @unchecked Sendable {
    /// What was chosen at boot.
    public let options: StackOptions
    let vmalloc: Permanent<Vmalloc<P>>
    let reserve: StackReserve<P>
    let cache: StackCache<P>
    /// The deepest that any stack ever was that has been freed, in bytes.
    let deepestFreed = Atomic<UInt>(0)
    let growths = Atomic<UInt>(0)

    /// Makes stacks in vmalloc's addresses, and fills the reserve that they grow from.
    /// - Returns: nil where there is no memory.
    public init?(options: StackOptions, vmalloc: Permanent<Vmalloc<P>>) {
        precondition(StackOptions.pageCounts.contains(options.pageCount), "stacks have 2 to 16 pages")
        let capacity = Int(bitPattern: options.pageCount)
        let reserveWords = StackReserve<P>.wordCount(capacity: capacity)
        let byteCount = UInt(bitPattern: (reserveWords &+ StackCache<P>.wordCount) &* 8)
        // A power of two is aligned to itself, and so to the cache's lines.
        let size: UInt = 1 &<< UInt(bitPattern: UInt.bitWidth &- (byteCount &- 1).leadingZeroBitCount)
        // Each place of the reserve lacks a frame at first, and so has one promised.
        let places = capacity &* P.cpuCount
        guard vmalloc.value.frames.value.promise(frames: places) else {
            P.report(
                FailedAllocation(
                    areaOf: UInt(bitPattern: places) &<< PageSize.shift, lack: .areaFrames,
                    flags: AllocationFlags.kernel.rawValue))
            return nil
        }
        // It refers to nothing that could be lost.
        let flags: AllocationFlags = .kernel | .zero | .noLeakTrace
        guard let memory = unsafe vmalloc.value.kmalloc.value.allocate(size, flags: flags) else {
            vmalloc.value.frames.value.withdrawPromise(frames: places)
            return nil
        }
        // The stacks' own for good; words of 0 are atomic words of 0.
        let words = unsafe memory.bindMemory(to: Atomic<UInt>.self, capacity: Int(bitPattern: size / 8))
        reserve = unsafe StackReserve(capacity: capacity, in: words)
        cache = unsafe StackCache(in: words + reserveWords)
        self.options = options
        self.vmalloc = vmalloc
        refillReserve()
    }

    // MARK: Making and freeing

    /// A stack of the usual size that is ready, or else a new one. - Parameter pageCount: nil for the usual.
    /// - Returns: nil, with everything as before, where there is no memory or the size is 0.
    func make(_ pageCount: UInt?, _ name: StaticString, _ caller: UInt) -> Area? {
        defer { refillReserve() }
        let pageCount = pageCount ?? options.pageCount
        if pageCount == options.pageCount, let ready = takeReady(name, caller) { return ready }
        return makeNew(pageCount, name, caller)
    }

    @inline(__always)
    private func takeReady(_ name: StaticString, _ caller: UInt) -> Area? {
        guard let ready = cache.take() else { return nil }
        vmalloc.value.ranges.rename(ready, name, caller: caller)
        let area = VirtualRangeAllocator<P>.copy(ready)
        vmalloc.value.tellOfStack(area, isFreed: false)
        return area
    }

    @inline(never)
    private func makeNew(_ pageCount: UInt, _ name: StaticString, _ caller: UInt) -> Area? {
        let frames = vmalloc.value.frames
        // An impossible size fails before any work is done.
        if pageCount == 0 || pageCount > frames.value.managedFrames { return nil }
        let request = AreaRequest(
            .stack, pageCount: pageCount, guardPagesBelow: options.guardPageCount, guardPagesAbove: 1, name: name,
            caller: caller)
        // No more are due than the reserve can be sure to have.
        let due = min(pageCount, options.pageCount) &- 1
        let directMap = frames.value.directMap
        let area = vmalloc.value.allocateStack(request, mapped: pageCount &- due, flags: .kernel) { frame in
            StackPaint.fill(frame, directMap)
        }
        guard let area else { return nil }
        vmalloc.value.tellOfStack(area, isFreed: false)
        return area
    }

    /// Keeps a stack on which nothing runs ready for the next who asks, or gives it back.
    func recycle(_ area: borrowing Area) {
        // The copy that the owner had does not know of changed permissions: the note does.
        if let note = area.note, note.node.area.hasOtherPermissions { return giveBackChanged(area) }
        noteDeepest(cleanUp(area))
        vmalloc.value.tellOfStack(area, isFreed: true)
        if area.reservedPages == options.pageCount, let note = area.note {
            vmalloc.value.ranges.rename(note, Self.readyName, caller: 0)
            if cache.put(note) { return refillReserve() }
        }
        vmalloc.value.freeStack(area.usable.start)
        refillReserve()
    }

    /// Gives back a stack whose permissions were changed. It is not kept, because its pages are no longer like others; nor
    /// painted, because the direct map may not allow that before the stack is taken apart.
    @inline(never)
    private func giveBackChanged(_ area: borrowing Area) {
        noteDeepest(deepest(of: area.usable))
        vmalloc.value.tellOfStack(area, isFreed: true)
        vmalloc.value.freeStack(area.usable.start)
        refillReserve()
    }

    /// What reports call a stack that nobody uses.
    static var readyName: StaticString { "(ready)" }

    private func noteDeepest(_ used: UInt) {
        var deepest = deepestFreed.load(ordering: .relaxed)
        while used > deepest {
            let (exchanged, original) = deepestFreed.weakCompareExchange(
                expected: deepest, desired: used, ordering: .relaxed)
            if exchanged { return }
            deepest = original
        }
    }

    // MARK: Looking at stacks

    /// The most bytes of a stack that have ever been in use, as far as they were written to.
    func deepest(of usable: VirtualRange) -> UInt {
        guard let (page, _, offset) = lowestUsed(usable) else { return 0 }
        return usable.end.distance(from: page + offset)
    }

    /// The pages of a stack that are there. - Complexity: O(pages). Takes no lock.
    func mappedPages(of usable: VirtualRange) -> UInt {
        vmalloc.value.pageTables.value.presentPages(in: usable)
    }

    /// Paints what of a stack was used. - Returns: how many bytes that were.
    private func cleanUp(_ area: borrowing Area) -> UInt {
        let usable = area.usable
        let directMap = vmalloc.value.frames.value.directMap
        guard let (lowest, frame, offset) = lowestUsed(usable) else { return 0 }
        StackPaint.fill(frame, from: offset, directMap)
        var page = lowest + PageSize.byteCount
        while page < usable.end {
            if let frame = vmalloc.value.pageTables.value.frame(at: page) { StackPaint.fill(frame, directMap) }
            page = page + PageSize.byteCount
        }
        return usable.end.distance(from: lowest + offset)
    }

    /// The lowest word that is not paint: its page, the frame behind that, and the offset.
    @inline(__always)
    private func lowestUsed(_ usable: VirtualRange) -> (VirtualAddress, PageFrameNumber, UInt)? {
        let directMap = vmalloc.value.frames.value.directMap
        var page = usable.start
        while page < usable.end {
            if let frame = vmalloc.value.pageTables.value.frame(at: page),
                let offset = StackPaint.firstUsed(frame, directMap)
            {
                return (page, frame, offset)
            }
            page = page + PageSize.byteCount
        }
        return nil
    }
}
