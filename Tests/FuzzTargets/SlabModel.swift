import MemoryPrimitives
import Slab

/// An object, a block or an element that is its user's, and what that user has written to it.
@safe
struct LiveObject {
    enum Owner: Equatable {
        case kmalloc
        /// The cache with that identifier.
        case cache(UInt)
        /// A block of page frames: a pool's that is no more.
        case pages(order: Int)
    }

    let pointer: UnsafeMutableRawPointer
    /// Bytes that may be used.
    var size: UInt
    /// Bytes at the start that a constructor has set up.
    var kept: UInt = 0
    var seed: UInt8
    var owner: Owner
    /// Whether all of the bytes beyond `size` that could be had later are zero.
    var isZeroed = false
    /// Whether `size` bytes were asked for, and not an object of at least as many.
    var isRequested = true
    /// Whether kmalloc took it from the page frames: more than 8192 bytes, at least when it was allocated.
    var isBlock: Bool

    @unsafe
    init(
        pointer: UnsafeMutableRawPointer, size: UInt, kept: UInt = 0, seed: UInt8, owner: Owner, isZeroed: Bool = false
    ) {
        // Kept; followed by who owns what it is about.
        unsafe self.pointer = pointer
        self.size = size
        self.kept = kept
        self.seed = seed
        self.owner = owner
        self.isZeroed = isZeroed
        isBlock = owner == .kmalloc && size > 8192
    }

    var address: UInt { unsafe UInt(bitPattern: pointer) }

    /// The ranges that hold the pattern: all of a small object, the ends of a large one.
    private var ranges: [Range<UInt>] {
        if size <= kept { return [] }
        return size <= 1024 ? [kept..<size] : [kept..<256, size - 256..<size]
    }

    private func byte(at offset: UInt) -> UInt8 { seed &+ UInt8(truncatingIfNeeded: offset &* 7) }

    /// Writes the pattern.
    func fill() {
        for range in ranges {
            // Within the object, which is ours.
            for offset in range {
                unsafe pointer.storeBytes(of: byte(at: offset), toByteOffset: Int(offset), as: UInt8.self)
            }
        }
    }

    /// Throws where the first `count` bytes are not as they were written, or constructed.
    func check(first count: UInt = .max) throws {
        for range in ranges where range.lowerBound < count {
            for offset in range.clamped(to: 0..<count) {
                // As above.
                let found = unsafe pointer.load(fromByteOffset: Int(offset), as: UInt8.self)
                try require(found == byte(at: offset), "byte \(offset) of \(self) is \(found)")
            }
        }
        for offset in 0..<min(kept, count) {
            let found = unsafe pointer.load(fromByteOffset: Int(offset), as: UInt8.self)
            try require(found == Self.constructed, "constructed byte \(offset) of \(self) is \(found)")
        }
    }

    /// Throws where a byte is not zero. Of large ranges the ends are looked at, and a byte here and there.
    func checkZero(from start: UInt = 0) throws {
        var offset = start
        while offset < size {
            let byte = unsafe pointer.load(fromByteOffset: Int(offset), as: UInt8.self)
            try require(byte == 0, "byte \(offset) of \(self) is \(byte), not zero")
            offset += offset > 4096 && offset + 600 < size ? 509 : 1
        }
    }

    /// What the fuzz target's constructor writes.
    static let constructed: UInt8 = 0xc5
}

/// A cache that was made, as one of its makers knows it.
struct LiveCache {
    let reference: CacheReference<SlabOperationsFuzz.Platform>
    /// Bytes of an object, as asked for.
    let size: UInt
    let alignment: UInt
    let isConstructed: Bool

    var owner: LiveObject.Owner { .cache(reference.identifier) }
}

/// A memory pool, with the elements that are its users'.
final class LivePool {
    enum Source: Equatable {
        case objects(LiveObject.Owner)
        case blocks
        case pages(order: Int)
    }

    var pool: MemoryPool<SlabOperationsFuzz.Platform>
    let source: Source
    let size: UInt
    let kept: UInt
    var elements: [LiveObject] = []

    init(_ pool: consuming MemoryPool<SlabOperationsFuzz.Platform>, _ source: Source, size: UInt, kept: UInt = 0) {
        self.pool = pool
        self.source = source
        self.size = size
        self.kept = kept
    }

    /// Whose the elements are when the pool is no more.
    var owner: LiveObject.Owner {
        switch source {
        case .objects(let owner): owner
        case .blocks: .kmalloc
        case .pages(let order): .pages(order: order)
        }
    }
}
