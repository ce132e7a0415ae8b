import Synchronization

/// A reference to a slab: a pointer to its header, and what can be asked of it.
///
/// The header stays where it is until its slab is given back, which happens only when all objects are free and the
/// slab is in no list. Bitmap, links and counts are under the cache's lock.
@safe
struct SlabPage: Equatable {
    typealias State = Atomic<UInt8>

    private let header: UnsafeMutablePointer<SlabHeader>

    /// The slab whose header is at `address`, as a frame's descriptor names it; nil for 0.
    @inline(__always)
    init?(headerAddress: UInt) {
        // Only `initialize` writes such addresses into descriptors of slabs.
        guard let header = unsafe UnsafeMutablePointer<SlabHeader>(bitPattern: headerAddress) else { return nil }
        unsafe self.header = header
    }

    /// A new slab, all objects free, in no list.
    ///
    /// - Parameters:
    ///   - memory: room for the header, `SlabHeader.byteCount(objectCount:)` bytes, aligned to 8, that nobody else uses.
    ///   - base: the virtual address of object 0.
    @unsafe
    init(at memory: UnsafeMutableRawPointer, base: UInt, layout: SlabLayout, cacheIndex: Int) {
        unsafe header = memory.bindMemory(to: SlabHeader.self, capacity: 1)
        unsafe header.initialize(
            to: SlabHeader(
                next: nil, previous: nil, base: base, indexing: layout.indexing,
                objectCount: UInt32(truncatingIfNeeded: layout.objectCount),
                freeCount: UInt32(truncatingIfNeeded: layout.objectCount),
                cacheIndex: UInt8(truncatingIfNeeded: cacheIndex), list: .none))
        // The memory has room for a byte for each object and a bit for each, by the contract above.
        for index in 0..<layout.objectCount {
            unsafe statePointer(index).initialize(to: State(ObjectState.free.rawValue))
        }
        var left = layout.objectCount
        for word in 0..<SlabHeader.wordCount(layout.objectCount) {
            unsafe bitmap[word] = left >= 64 ? .max : (1 << UInt64(left)) - 1
            left -= 64
        }
    }

    static func == (left: SlabPage, right: SlabPage) -> Bool { left.headerAddress == right.headerAddress }

    var headerAddress: UInt { unsafe UInt(bitPattern: header) }

    // The header is valid for as long as the slab is; see the type.
    var next: SlabPage? {
        get { unsafe header.pointee.next }
        nonmutating set { unsafe header.pointee.next = newValue }
    }
    var previous: SlabPage? {
        get { unsafe header.pointee.previous }
        nonmutating set { unsafe header.pointee.previous = newValue }
    }
    var list: SlabHeader.List {
        get { unsafe header.pointee.list }
        nonmutating set { unsafe header.pointee.list = newValue }
    }
    var freeCount: Int { unsafe Int(header.pointee.freeCount) }
    var base: UInt { unsafe header.pointee.base }
    @inline(__always)
    var objectCount: Int { unsafe Int(truncatingIfNeeded: header.pointee.objectCount) }
    @inline(__always)
    var cacheIndex: Int { unsafe Int(truncatingIfNeeded: header.pointee.cacheIndex) }

    /// The index of the object that starts at `address` in the slab's block; nil where none does.
    /// - Complexity: O(1): a multiplication, a rotation and a comparison.
    @inline(__always)
    func index(of address: UInt) -> Int? {
        let offset = unsafe UInt32(truncatingIfNeeded: address &- header.pointee.base)
        let index = unsafe header.pointee.indexing.index(atOffset: offset)
        guard unsafe index < header.pointee.objectCount else { return nil }
        return Int(truncatingIfNeeded: index)
    }

    /// The state byte of an object, which outlives any use of the object.
    @inline(__always)
    func statePointer(_ index: Int) -> UnsafeMutablePointer<State> {
        // The state bytes follow the header; callers pass an index below objectCount.
        unsafe UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: State.self) + index
    }

    /// An object's state. A snapshot, unless the caller holds what the table at `ObjectState` names.
    func state(_ index: Int) -> ObjectState {
        ObjectState(rawValue: unsafe statePointer(index).pointee.load(ordering: .relaxed))
    }

    func setState(_ index: Int, _ state: ObjectState) {
        // Callers pass indices of objects of this slab.
        unsafe statePointer(index).pointee.store(state.rawValue, ordering: .relaxed)
    }

    /// Takes a free object out of the bitmap and puts it into `state`. Not for a slab without free objects.
    /// - Complexity: O(words of the bitmap), at most 7.
    func takeFree(for state: ObjectState) -> Int? {
        for word in 0..<SlabHeader.wordCount(objectCount) {
            let bits = unsafe bitmap[word]
            if bits == 0 { continue }
            // The lowest set bit, which goes.
            unsafe bitmap[word] = bits & (bits &- 1)
            unsafe header.pointee.freeCount &-= 1
            let index = word &* 64 &+ bits.trailingZeroBitCount
            setState(index, state)
            return index
        }
        return nil
    }

    /// Puts an object, which nobody uses, back into the bitmap. - Complexity: O(1).
    func putFree(_ index: Int) {
        setState(index, .free)
        unsafe bitmap[index &>> 6] |= 1 &<< UInt64(truncatingIfNeeded: index)
        unsafe header.pointee.freeCount &+= 1
    }

    /// Whether the bitmap says that an object is free.
    func isMarkedFree(_ index: Int) -> Bool { unsafe bitmap[index &>> 6] >> UInt64(index & 63) & 1 != 0 }

    @inline(__always)
    private var bitmap: UnsafeMutablePointer<UInt64> {
        // Behind the state bytes, within the room that the initialiser was given.
        unsafe (UnsafeMutableRawPointer(header + 1) + SlabHeader.bitmapOffset(objectCount: objectCount))
            .assumingMemoryBound(to: UInt64.self)
    }
}
