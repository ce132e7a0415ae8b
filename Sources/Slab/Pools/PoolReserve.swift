import MemoryPrimitives
import PageFrames

/// The elements that a pool keeps back, all of them marked so (see `PoolSource`).
@safe
struct PoolReserve<P: Platform> {
    /// What changes, under the lock.
    @safe
    private struct State {
        /// A list with room for `minimum` elements.
        var elements: UnsafeMutablePointer<UInt>
        var count = 0
        var minimum: Int
        /// Elements that are their users'.
        var inUse = 0
    }

    private struct LockedState: ~Copyable {
        var state: State
        // Not first: ThreadSanitizer takes the whole's address for that of its first part.
        let lock = SpinLock<P>()
    }

    private let state: UnsafeMutablePointer<LockedState>
    let source: PoolSource<P>
    let kmalloc: Permanent<Kmalloc<P>>

    /// The most elements that a reserve can have: its list is one allocation.
    static var largestMinimum: Int { Int(Kmalloc<P>.largestByteCount) / MemoryLayout<UInt>.stride }

    /// A full reserve. - Throws: `badMinimum`, or `outOfMemory` with everything given back.
    init(_ minimum: Int, of source: PoolSource<P>, in kmalloc: Permanent<Kmalloc<P>>) throws(PoolError) {
        guard minimum > 0, minimum <= Self.largestMinimum else { throw .badMinimum }
        guard let memory = unsafe kmalloc.value.allocate(UInt(MemoryLayout<LockedState>.size)) else {
            throw .outOfMemory
        }
        guard let elements = unsafe Self.list(minimum, kmalloc) else {
            unsafe kmalloc.value.free(memory)
            throw .outOfMemory
        }
        // Fresh memory of this size, aligned for any type.
        unsafe state = memory.bindMemory(to: LockedState.self, capacity: 1)
        unsafe state.initialize(to: LockedState(state: State(elements: elements, minimum: minimum)))
        self.source = source
        self.kmalloc = kmalloc
        if fill() { return }
        end()
        throw .outOfMemory
    }

    /// Gives everything back. Nobody may use the reserve afterwards.
    func end() {
        while let element = take(above: 0) { source.free(element, to: kmalloc) }
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(state.pointee.state.elements))
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(state))
    }

    private static func list(_ count: Int, _ kmalloc: Permanent<Kmalloc<P>>) -> UnsafeMutablePointer<UInt>? {
        unsafe kmalloc.value.allocate(UInt(count * MemoryLayout<UInt>.stride))?
            .bindMemory(to: UInt.self, capacity: count)
    }

    /// The elements that there is room for, those that are here, those of the pool that are in use, and a number that no
    /// other reserve has. A snapshot.
    var figures: (minimum: Int, count: Int, inUse: Int) {
        withState { state in (state.minimum, state.count, state.inUse) }
    }
    var identifier: UInt { unsafe UInt(bitPattern: state) }

    /// Counts elements that their users have got, or with a negative number given back.
    func count(inUse change: Int) { withState { state in state.inUse &+= change } }

    /// Allocates what is lacking. - Returns: false where there is no memory; what was got stays.
    private func fill() -> Bool {
        while withState({ state in state.count < state.minimum }) {
            guard let element = source.allocate(.kernel, from: kmalloc) else { return false }
            if source.mark(element, asReserved: true, in: kmalloc), push(element) { continue }
            // Somebody else has filled it meanwhile.
            _ = source.mark(element, asReserved: false, in: kmalloc)
            source.free(element, to: kmalloc)
        }
        return true
    }

    /// Takes an element out, no longer marked, where there are more than `kept`.
    func take(above kept: Int) -> UInt? {
        let found: UInt? = withState { state in
            if state.count <= kept { return nil }
            state.count &-= 1
            // A position below the count.
            return unsafe state.elements[state.count]
        }
        guard let element = found else { return nil }
        if !source.mark(element, asReserved: false, in: kmalloc) {
            P.report(MemoryViolation(.corruption, in: "mempool", at: element, "an element of a reserve was freed"))
        }
        return element
    }

    /// Puts an element, marked already, in. - Returns: false where the reserve is full.
    func push(_ element: UInt) -> Bool {
        withState { state in
            if state.count >= state.minimum { return false }
            // There is room for `minimum` of them.
            unsafe state.elements[state.count] = element
            state.count &+= 1
            return true
        }
    }

    /// See `MemoryPool.resize(to:)`.
    func resize(to minimum: Int) throws(PoolError) {
        guard minimum > 0, minimum <= Self.largestMinimum else { throw .badMinimum }
        let old = figures.minimum
        // Of a shorter list, what it has no room for goes first; and where there is none, the longer one will do.
        if minimum < old { lower(to: minimum) }
        guard let elements = unsafe Self.list(minimum, kmalloc) else {
            if minimum <= old { return }
            throw .outOfMemory
        }
        if minimum > old, unsafe !fill(elements, from: old, to: minimum) {
            unsafe kmalloc.value.free(UnsafeMutableRawPointer(elements))
            throw .outOfMemory
        }
        unsafe replace(by: elements, minimum, gaining: max(0, minimum - old), at: old)
        // What users have at the moment comes back, unless it can be had before.
        _ = fill()
    }

    private func lower(to minimum: Int) {
        withState { state in state.minimum = minimum }
        while let element = take(above: minimum) { source.free(element, to: kmalloc) }
    }

    /// Fills positions of a list that is nobody else's yet. - Returns: false, with all given back, without memory.
    private func fill(_ elements: UnsafeMutablePointer<UInt>, from start: Int, to end: Int) -> Bool {
        var position = start
        while position < end {
            guard let element = source.allocate(.kernel, from: kmalloc) else {
                while position > start {
                    position -= 1
                    _ = source.mark(unsafe elements[position], asReserved: false, in: kmalloc)
                    source.free(unsafe elements[position], to: kmalloc)
                }
                return false
            }
            _ = source.mark(element, asReserved: true, in: kmalloc)
            // Within the list.
            unsafe elements[position] = element
            position += 1
        }
        return true
    }

    /// Moves the elements to another list, which has room for `minimum` and has `gained` more at a position.
    private func replace(by elements: UnsafeMutablePointer<UInt>, _ minimum: Int, gaining gained: Int, at start: Int) {
        let old = unsafe withState { state in
            let old = unsafe state.elements
            // Room for as many, by the contract; those that were here are no more than `start`.
            for index in 0..<state.count { unsafe elements[index] = old[index] }
            for index in 0..<gained { unsafe elements[state.count + index] = elements[start + index] }
            unsafe state.elements = unsafe elements
            state.count += gained
            state.minimum = minimum
            return unsafe old
        }
        // Nobody knows it any more.
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(old))
    }

    @inline(__always)
    private func withState<Result>(_ body: (inout State) -> Result) -> Result {
        // The reserve's own memory, under its lock.
        let interrupts = unsafe state.pointee.lock.acquire()
        defer { unsafe state.pointee.lock.release(interrupts) }
        return unsafe body(&state.pointee.state)
    }
}
