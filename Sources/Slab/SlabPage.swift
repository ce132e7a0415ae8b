import MemoryPrimitives
import Synchronization

/// A reference to a slab: a pointer to where its header ends and its state bytes begin, and what can be asked of it.
///
/// The header stays where it is until its slab is given back, which happens only when all objects are free and the
/// slab is in no list. Bitmap, links and counts are under the cache's lock.
@safe
struct SlabPage: Equatable {
    typealias State = Atomic<UInt8>

    private let states: UnsafeMutablePointer<State>

    @inline(__always)
    private var header: UnsafeMutablePointer<SlabHeader> {
        // The header ends where the states begin.
        unsafe UnsafeMutableRawPointer(states).assumingMemoryBound(to: SlabHeader.self) - 1
    }

    /// The slab that the descriptors of its frames name so.
    @inline(__always)
    init(name: UInt) {
        // Only a cache writes such addresses, which are not 0, into descriptors of slabs.
        unsafe states = UnsafeMutablePointer<State>(bitPattern: name).unsafelyUnwrapped
    }

    /// What the descriptors of the slab's frames have as their owner's word.
    @inline(__always)
    var name: UInt { unsafe UInt(bitPattern: states) }

    /// A new slab, all objects free, in no list.
    ///
    /// - Parameters:
    ///   - memory: room for the header, `SlabHeader.byteCount(objectCount:)` bytes, aligned to 8, that nobody else uses.
    ///   - base: the virtual address of object 0.
    ///   - usableSize: see `SlabHeader`.
    @unsafe
    init(at memory: UnsafeMutableRawPointer, base: UInt, layout: SlabLayout, usableSize: UInt, magazines: UInt) {
        let header = unsafe memory.bindMemory(to: SlabHeader.self, capacity: 1)
        unsafe states = UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: State.self)
        unsafe header.initialize(
            to: SlabHeader(
                negatedBase: 0 &- base, objectCount: UInt32(truncatingIfNeeded: layout.objectCount), objectCountHigh: 0,
                usableSize: usableSize,
                magazines: magazines, next: nil, previous: nil, inverse: layout.indexing.inverse,
                freeCount: UInt16(truncatingIfNeeded: layout.objectCount),
                list: UInt8(truncatingIfNeeded: SlabLists.none),
                shift: UInt8(truncatingIfNeeded: layout.indexing.shift)))
        // The memory has room for a byte for each object and a bit for each, by the contract above. Free is 0.
        let bytes = unsafe UnsafeMutableRawPointer(states)
        let byteCount = SlabHeader.bitmapOffset(objectCount: layout.objectCount)
        unsafe bytes.initializeMemory(as: UInt64.self, repeating: 0, count: byteCount / 8)
        var left = layout.objectCount
        for word in 0..<SlabHeader.wordCount(layout.objectCount) {
            unsafe bitmap[word] = left >= 64 ? .max : (1 << UInt64(left)) - 1
            left -= 64
        }
    }

    @inline(__always)
    static func == (left: SlabPage, right: SlabPage) -> Bool { left.name == right.name }

    @inline(__always)
    var headerAddress: UInt { unsafe UInt(bitPattern: header) }

    // The header is valid for as long as the slab is; see the type.
    @inline(__always)
    var next: SlabPage? {
        get { unsafe header.pointee.next }
        nonmutating set { unsafe header.pointee.next = newValue }
    }
    @inline(__always)
    var previous: SlabPage? {
        get { unsafe header.pointee.previous }
        nonmutating set { unsafe header.pointee.previous = newValue }
    }
    @inline(__always)
    var list: Int {
        get { unsafe Int(truncatingIfNeeded: header.pointee.list) }
        nonmutating set { unsafe header.pointee.list = UInt8(truncatingIfNeeded: newValue) }
    }
    @inline(__always)
    var freeCount: Int {
        get { unsafe Int(truncatingIfNeeded: header.pointee.freeCount) }
        nonmutating set { unsafe header.pointee.freeCount = UInt16(truncatingIfNeeded: newValue) }
    }
    @inline(__always)
    var base: UInt { unsafe 0 &- header.pointee.negatedBase }
    /// See `SlabHeader`.
    @inline(__always)
    var usableSize: UInt { unsafe header.pointee.usableSize }
    @inline(__always)
    var objectCount: Int { unsafe Int(truncatingIfNeeded: header.pointee.objectCount) }
    /// The magazine of the cache on CPU 0.
    @inline(__always)
    var magazines: UInt { unsafe header.pointee.magazines }
    /// The cache, which is one of this platform's.
    @inline(__always)
    func cache<P: Platform>(on platform: P.Type = P.self) -> Permanent<SlabCache<P>> {
        Magazine<P>(at: magazines, cpu: 0).cache
    }

    @inline(__always)
    private var indexing: ObjectIndexing {
        unsafe ObjectIndexing(inverse: header.pointee.inverse, shift: header.pointee.shift)
    }

    /// The index of the object that starts at `address` in the slab's block; nil where none does.
    /// - Complexity: O(1): a multiplication, a rotation and a comparison.
    @inline(__always)
    func index(of address: UInt) -> Int? {
        let offset = unsafe UInt32(truncatingIfNeeded: header.pointee.negatedBase &+ address)
        let index = UInt(indexing.index(atOffset: offset))
        // One load.
        let count = unsafe UInt(header.pointee.objectCount) | UInt(header.pointee.objectCountHigh) &<< 32
        guard _fastPath(index < count) else { return nil }
        return Int(bitPattern: index)
    }

    /// The address of an object of `slotSize` bytes.
    @inline(__always)
    func address(of index: Int, slotSize: UInt) -> UInt { base &+ UInt(bitPattern: index) &* slotSize }

    /// The state byte of an object, which outlives any use of the object.
    @inline(__always)
    func statePointer(_ index: Int) -> UnsafeMutablePointer<State> {
        // Callers pass an index below objectCount.
        unsafe states + index
    }

    /// The index of the object that a state byte of this slab is of.
    @inline(__always)
    func index(ofState state: UnsafeMutablePointer<State>) -> Int {
        // Only compared with where this slab's state bytes are.
        unsafe state - states
    }

    /// An object's state. A snapshot, unless the caller holds what the table at `ObjectState` names.
    @inline(__always)
    func state(_ index: Int) -> ObjectState {
        ObjectState(rawValue: unsafe statePointer(index).pointee.load(ordering: .relaxed))
    }

    @inline(__always)
    func setState(_ index: Int, _ state: ObjectState) {
        // Callers pass indices of objects of this slab.
        unsafe statePointer(index).pointee.store(state.rawValue, ordering: .relaxed)
    }

    /// Makes an allocated object a free one, which is the caller's to put somewhere; of two that try at once, one can.
    /// - Returns: false where it is not allocated, with nothing changed.
    @inline(__always)
    func retract(_ index: Int) -> Bool {
        // As above. State bytes outlive the objects.
        unsafe statePointer(index).pointee.compareExchange(
            expected: ObjectState.allocated.rawValue, desired: ObjectState.free.rawValue, ordering: .relaxed
        ).exchanged
    }

    /// Takes up to `count` free objects out of the bitmap, in an order that `random` says, and calls `body` with each: its
    /// index, and how many came before. - Returns: how many. - Complexity: O(count + words of the bitmap).
    @inline(__always)
    func take(_ count: Int, random: UInt64, _ body: (_ index: Int, _ position: Int) -> Void) -> Int {
        let wordCount = SlabHeader.wordCount(objectCount)
        let bitmap = unsafe bitmap
        var random = random
        var word = wordCount == 1 ? 0 : Int(truncatingIfNeeded: random &>> 32) & (wordCount &- 1)
        var taken = 0
        for _ in 0..<wordCount {
            // Words of this slab's bitmap.
            var bits = unsafe bitmap[word]
            if bits != 0 {
                let end = taken &+ min(count &- taken, bits.nonzeroBitCount)
                repeat {
                    // The first set bit from a random one on, round the word.
                    let turned = bits &>> random | bits &<< (0 &- random)
                    let bit = (turned.trailingZeroBitCount &+ Int(truncatingIfNeeded: random)) & 63
                    bits ^= 1 &<< UInt64(truncatingIfNeeded: bit)
                    random = random &>> 6 | random &<< 58
                    body(word &* 64 &+ bit, taken)
                    taken &+= 1
                } while taken != end
                unsafe bitmap[word] = bits
                if taken == count { break }
            }
            word = word &+ 1 == wordCount ? 0 : word &+ 1
        }
        freeCount = freeCount &- taken
        return taken
    }

    /// Puts an object, which is free and in nobody's hands, back into the bitmap. Counting it is left to the caller.
    @inline(__always)
    func markFree(_ index: Int) { unsafe bitmap[index &>> 6] |= 1 &<< UInt64(truncatingIfNeeded: index) }

    /// Whether the bitmap says that an object is free.
    func isMarkedFree(_ index: Int) -> Bool { unsafe bitmap[index &>> 6] >> UInt64(index & 63) & 1 != 0 }

    @inline(__always)
    private var bitmap: UnsafeMutablePointer<UInt64> {
        // Behind the state bytes, within the room that the initialiser was given.
        unsafe (UnsafeMutableRawPointer(states) + SlabHeader.bitmapOffset(objectCount: objectCount))
            .assumingMemoryBound(to: UInt64.self)
    }
}
