import MemoryPrimitives
import PageFrames

/// A cache of values of one type. Each lives in a box that owns it, and ends with it.
///
///     let sessions = try ObjectCache<Session, P>("session", in: kmalloc)
///     let session = try sessions.make { Session(number: 7) }
///     session?.value.count += 1
///     // The box ends here: so does the session, and its memory is free.
///
/// All calls may come from any context and from several CPUs at once; making and ending the cache may wait. Boxes had
/// better end before the cache: where one is left, ending the cache reports its object as `objectInUse`, and the cache's
/// memory stays for the box.
@safe
public struct ObjectCache<Value: ~Copyable, P: Platform>: ~Copyable {
    private let reference: CacheReference<P>
    private let kmalloc: Permanent<Kmalloc<P>>

    /// Makes a cache for values.
    /// - Parameters:
    ///   - name: 1 to 31 bytes, as `slabinfo` shows it.
    ///   - kmalloc: where the cache gets its memory.
    ///   - flags: those of the cache.
    /// - Throws: what is wrong with the name, `sizeTooLarge` for values above 32 KiB, or `outOfMemory`.
    public init(
        _ name: StaticString, in kmalloc: Permanent<Kmalloc<P>>, flags: CacheFlags = .none
    ) throws(CacheError) {
        // There is no constructor.
        reference = try unsafe kmalloc.value.makeCache(
            name, objectSize: UInt(max(1, MemoryLayout<Value>.size)), alignment: UInt(MemoryLayout<Value>.alignment),
            flags: flags)
        self.kmalloc = kmalloc
    }

    deinit { kmalloc.value.destroyCache(reference) }

    /// Makes a value in memory of its own.
    ///
    /// - Parameters:
    ///   - flags: what the memory is asked for with.
    ///   - initial: makes the value. Is not called where there is no memory; where it fails, the memory is given
    ///     back.
    /// - Returns: nil where there is no memory. - Throws: what `initial` throws. - Complexity: as `kmalloc`.
    @inline(__always)
    public borrowing func make<Failure: Error>(
        flags: AllocationFlags = .kernel, _ initial: () throws(Failure) -> Value
    ) throws(Failure) -> ObjectBox<Value, P>? {
        guard let memory = unsafe reference.allocate(flags: flags) else { return nil }
        // An object of the cache, large enough for a value and aligned for it.
        let pointer = unsafe memory.bindMemory(to: Value.self, capacity: 1)
        do throws(Failure) {
            unsafe pointer.initialize(to: try initial())
        } catch {
            unsafe reference.free(memory)
            throw error
        }
        return unsafe ObjectBox(owning: pointer, of: reference)
    }

    /// Gives memory that no value is in back to the page frames. - Returns: the frames given back.
    @discardableResult
    public borrowing func shrink() -> UInt { reference.shrink() }

    /// The cache's figures.
    public var statistics: SlabCacheStatistics { reference.statistics }
}

/// A value in memory of an `ObjectCache`, and its only owner: the value ends with the box, on whatever CPU.
@frozen
@safe
public struct ObjectBox<Value: ~Copyable, P: Platform>: ~Copyable {
    private let pointer: UnsafeMutablePointer<Value>
    private let reference: CacheReference<P>

    /// Takes over the value at `pointer`, which lies in an object of the cache.
    @unsafe
    @inline(__always)
    init(owning pointer: UnsafeMutablePointer<Value>, of reference: CacheReference<P>) {
        unsafe self.pointer = pointer
        self.reference = reference
    }

    deinit {
        // Initialised by init's contract, and this is its only owner.
        unsafe pointer.deinitialize(count: 1)
        unsafe reference.free(UnsafeMutableRawPointer(pointer))
    }

    /// The value, in its place.
    @inline(__always)
    public var value: Value {
        // As above; whoever has the box has the value.
        _read { yield unsafe pointer.pointee }
        _modify { yield unsafe &pointer.pointee }
    }

    /// Takes the value out, and frees its memory.
    /// - Returns: the value.
    @inline(__always)
    public consuming func take() -> Value {
        // As above; the value moves to the caller, so that only the memory is left to be freed.
        let value = unsafe pointer.move()
        unsafe reference.free(UnsafeMutableRawPointer(pointer))
        discard self
        return value
    }
}

// The pointer is the box's own, which moves from one CPU to another with it.
extension ObjectBox: @unchecked Sendable where Value: Sendable & ~Copyable {}
