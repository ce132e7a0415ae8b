import MemoryPrimitives
import PageFrames
import Paging
import Slab

/// Objects that each have a page of their own between pages that nobody may touch, as Linux's KFENCE keeps them.
///
///     guard | slot 0 | guard | slot 1 | guard | ... | slot n-1 | guard
///
/// An object stands at one end of its page, which end is left to chance, so that an access beyond that end faults at
/// once; the rest of the page holds a pattern, which is looked at when the object is freed. A freed object's page is not
/// mapped any more, so that any use of it faults, until its slot is used again: the slot freed first comes first.
///
/// All memory is taken at bring-up. The addresses are an area's; the tables for them stay, so that mapping a page needs
/// no memory. They are not in the direct map: the physical address of a guarded object is not its distance from there.
///
/// Placed once, and never moved. All calls may come from any context and several CPUs at once.
@safe
public struct GuardedPool<P: Platform>: ~Copyable, @unchecked Sendable {
    /// What changes, under the lock.
    struct State {
        /// The queue of slots without an object, threaded through them; negative for none.
        var first: Int32 = -1
        var last: Int32 = -1
        /// Decides at which end of its page the next object stands; never 0.
        var random: UInt64
        var figures = GuardedStatistics()
    }

    /// All that the pool takes of the address space, the outermost guard pages included.
    public let range: VirtualRange
    /// The number of slots.
    public let objectCount: Int
    let firstPage: VirtualAddress
    let lock = SpinLock<P>()
    let frames: Permanent<PageFrameAllocator<P>>
    let pageTables: Permanent<PageTables<P>>
    private let statePointer: UnsafeMutablePointer<State>
    private let slots: UnsafeMutablePointer<GuardedSlot>

    /// The most slots that a pool can have: what is noted about them lies in one block.
    public static var largestObjectCount: UInt {
        (Kmalloc<P>.largestByteCount - UInt(stateByteCount)) / UInt(MemoryLayout<GuardedSlot>.stride)
    }

    private static var stateByteCount: Int { (MemoryLayout<State>.size + 15) & ~15 }

    /// Takes the memory and the addresses.
    ///
    /// - Parameters:
    ///   - count: the number of objects that can be guarded at a time: at least 1, at most `largestObjectCount`.
    ///   - vmalloc: gives the addresses.
    ///   - kmalloc: gives the memory for what is noted down; no sampling has started there.
    /// - Returns: nil, with everything given back, where there is too little memory, or for another count.
    /// - Complexity: O(count).
    public init?(count: UInt, vmalloc: Permanent<Vmalloc<P>>, kmalloc: Permanent<Kmalloc<P>>) {
        guard 1...Self.largestObjectCount ~= count else { return nil }
        let byteCount = UInt(Self.stateByteCount) + count * UInt(MemoryLayout<GuardedSlot>.stride)
        guard let memory = unsafe kmalloc.value.allocate(byteCount, flags: .kernel | .noLeakTrace) else { return nil }
        // Fresh memory, large enough for both, and the pool's for good.
        let slots = unsafe (memory + Self.stateByteCount).bindMemory(to: GuardedSlot.self, capacity: Int(count))
        let frames = vmalloc.value.frames
        guard unsafe Self.takeFrames(Int(count), slots, frames) else {
            unsafe kmalloc.value.free(memory)
            return nil
        }
        let request = AreaRequest(
            .guardedObjects, pageCount: 2 * count - 1, guardPagesBelow: 1, guardPagesAbove: 1, name: "kfence")
        guard let area = vmalloc.value.reserveGuarded(request) else {
            unsafe Self.giveBack(Int(count), slots, frames)
            unsafe kmalloc.value.free(memory)
            return nil
        }
        unsafe self.slots = slots
        self.frames = frames
        pageTables = vmalloc.value.pageTables
        range = area.range
        firstPage = area.usable.start
        objectCount = Int(count)
        unsafe statePointer = memory.bindMemory(to: State.self, capacity: 1)
        unsafe statePointer.initialize(to: State(random: Self.seed()))
        for index in 0..<objectCount { enqueue(index, &unlockedState) }
    }

    /// A frame for each slot, all or none.
    @unsafe
    private static func takeFrames(
        _ count: Int, _ slots: UnsafeMutablePointer<GuardedSlot>, _ frames: Permanent<PageFrameAllocator<P>>
    ) -> Bool {
        for index in 0..<count {
            guard let frame = frames.value.allocate(order: 0, flags: .kernel | .noLeakTrace) else {
                unsafe giveBack(index, slots, frames)
                return false
            }
            // Within the memory that the caller took for them.
            unsafe (slots + index).initialize(to: GuardedSlot(frame: frame))
        }
        return true
    }

    @unsafe
    private static func giveBack(
        _ count: Int, _ slots: UnsafeMutablePointer<GuardedSlot>, _ frames: Permanent<PageFrameAllocator<P>>
    ) {
        // The slots that takeFrames filled.
        for index in 0..<count { frames.value.free(unsafe slots[index].frame, order: 0) }
    }

    private static func seed() -> UInt64 {
        var seed: UInt64 = 0
        // The eight bytes of this variable.
        unsafe withUnsafeMutableBytes(of: &seed) { bytes in unsafe P.fillRandom(bytes) }
        return seed | 1
    }

    /// The state, for whoever holds the lock.
    @inline(__always)
    var unlockedState: State {
        // Initialised by init and never given back.
        unsafeAddress { unsafe UnsafePointer(statePointer) }
        nonmutating unsafeMutableAddress { unsafe statePointer }
    }

    /// What is known of a slot, `0 ..< objectCount`: for whoever holds the lock or has the slot in state `changing`, and
    /// for reports, which take what they find.
    @inline(__always)
    subscript(index: Int) -> GuardedSlot {
        // Initialised by init and never given back; callers pass indices of slots.
        unsafeAddress { unsafe UnsafePointer(slots + index) }
        nonmutating unsafeMutableAddress { unsafe slots + index }
    }

    /// The page of a slot.
    @inline(__always)
    func page(of index: Int) -> VirtualAddress { firstPage + UInt(bitPattern: index) &* 2 &* PageSize.byteCount }

    /// The slot whose page `address` lies in; nil for guard pages and addresses outside the pool.
    func slot(at address: UInt) -> Int? {
        let page = (address &- firstPage.rawValue) >> PageSize.shift
        guard address >= firstPage.rawValue, page & 1 == 0, page / 2 < UInt(objectCount) else { return nil }
        return Int(bitPattern: page / 2)
    }

    /// The memory of a slot's page, which the direct map shows whether the page is mapped or not.
    @inline(__always)
    func memory(of index: Int) -> UnsafeMutableRawPointer {
        unsafe frames.value.directMap.pointer(to: self[index].frame)
    }

    // MARK: The queue, under the lock

    func enqueue(_ index: Int, _ state: inout State) {
        let slot = Int32(truncatingIfNeeded: index)
        self[index].next = -1
        if state.last < 0 { state.first = slot } else { self[Int(state.last)].next = slot }
        state.last = slot
    }

    func dequeue(_ state: inout State) -> Int? {
        guard state.first >= 0 else { return nil }
        let index = Int(state.first)
        state.first = self[index].next
        if state.first < 0 { state.last = -1 }
        return index
    }

    /// How kmalloc reaches the pool once it is in its place.
    public static func calls(of pool: Permanent<GuardedPool<P>>) -> GuardedObjectCalls {
        // Each closure is given the pointer that stands beside it, which is to a permanent pool.
        unsafe GuardedObjectCalls(
            pool: UnsafeRawPointer(pool.address), range: pool.value.range,
            allocate: { pool, request in
                unsafe pool.assumingMemoryBound(to: GuardedPool<P>.self).pointee.allocate(request)
            },
            free: { pool, address, cache, call in
                unsafe pool.assumingMemoryBound(to: GuardedPool<P>.self).pointee.free(address, from: cache, in: call)
            },
            byteCount: { pool, address, call in
                unsafe pool.assumingMemoryBound(to: GuardedPool<P>.self).pointee.size(of: address, in: call)
            },
            nextObject: { pool, cache, address in
                unsafe pool.assumingMemoryBound(to: GuardedPool<P>.self).pointee.nextObject(of: cache, after: address)
            },
            memory: { pool, address, byteCount in
                unsafe pool.assumingMemoryBound(to: GuardedPool<P>.self).pointee.memory(at: address, byteCount)
            })
    }
}

/// What a pool has done.
public struct GuardedStatistics: Equatable, Sendable {
    /// Objects that are their users'.
    public internal(set) var objectsInUse: UInt = 0
    /// Objects handed out so far.
    public internal(set) var allocations: UInt = 0
    /// Objects taken back so far.
    public internal(set) var frees: UInt = 0
    /// Requests for which no slot was left.
    public internal(set) var refusals: UInt = 0
}

extension GuardedPool {
    /// Figures since bring-up. - Complexity: O(1).
    public var statistics: GuardedStatistics { lock.withLock { unlockedState.figures } }
}
