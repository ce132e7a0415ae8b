import MemoryPrimitives
import PageFrames
import Paging
import Slab

extension GuardedPool {
    /// An object in a page of its own.
    ///
    /// - Returns: its address; nil where all slots are in use, or more than a page is asked for.
    /// - Complexity: O(1), a page being written.
    public func allocate(_ request: GuardedRequest) -> UInt? {
        guard 1...PageSize.byteCount ~= request.byteCount, request.alignment &- 1 < PageSize.byteCount else {
            return nil
        }
        let taken = lock.withLock { take(&unlockedState) }
        guard let taken else { return nil }
        let page = page(of: taken.slot)
        // The last multiple of the alignment from which the object fits.
        let last = (PageSize.byteCount &- request.byteCount) & (0 &- request.alignment)
        let address = page.rawValue &+ (taken.standsAtEnd ? last : 0)
        note(request, address, in: taken.slot)
        // The slot's own memory, which nobody else uses now.
        unsafe GuardPattern.fill(memory(of: taken.slot), except: self[taken.slot].range)
        if request.clears { clear(taken.slot) }
        let isMapped = pageTables.value.reveal(page, frame: self[taken.slot].frame.address, permissions: .readWrite)
        if !isMapped { return abandon(taken.slot) }
        lock.withLock { self[taken.slot].state = .allocated }
        return address
    }

    /// The slot that has been free for longest. The lock is held.
    private func take(_ state: inout State) -> (slot: Int, standsAtEnd: Bool)? {
        guard let index = dequeue(&state) else {
            state.figures.refusals &+= 1
            return nil
        }
        self[index].state = .changing
        state.figures.allocations &+= 1
        state.figures.objectsInUse &+= 1
        // Marsaglia's xorshift.
        state.random ^= state.random &>> 12
        state.random ^= state.random &<< 25
        state.random ^= state.random &>> 27
        return (index, state.random &>> 32 & 1 != 0)
    }

    @inline(__always)
    private func note(_ request: GuardedRequest, _ address: UInt, in index: Int) {
        self[index].address = address
        self[index].byteCount = request.byteCount
        self[index].cache = request.cache
        self[index].cacheName = request.cacheName
        self[index].clearsWhenFreed = request.clearsWhenFreed
        self[index].allocation = .now(on: P.self, by: request.trace)
    }

    /// Zeroes the object of a slot that is changing.
    private func clear(_ index: Int) {
        // The slot's own memory.
        unsafe (memory(of: index) + self[index].range.lowerBound).initializeMemory(
            as: UInt8.self, repeating: 0, count: self[index].range.count)
    }

    /// A page whose entry somebody has changed: the slot stays out of use.
    private func abandon(_ index: Int) -> UInt? {
        lock.withLock { unlockedState.figures.objectsInUse &-= 1 }
        P.report(
            MemoryViolation(
                .corruption, in: "kfence", at: page(of: index).rawValue, "the page's entry has changed meanwhile"))
        return nil
    }

    /// Takes back an object, whose page is not mapped on return.
    ///
    /// It is an error to free what is free (`doubleFree`), what is not an object's start (`misalignedFree`), or a page
    /// that holds none (`wildFree`), or an object of another cache (`wrongCache`): each is reported, and nothing changes.
    /// Bytes beside the object that were written are reported, too (`overrun`), and the object is free all the same.
    ///
    /// - Parameters:
    ///   - address: within the pool's range.
    ///   - cache: the address of the cache that the object must be of; 0 for any.
    ///   - call: what reports name.
    /// - Returns: the address of the object's cache; 0 where nothing was taken back, or the object had none.
    /// - Complexity: O(1), a page being read.
    @discardableResult
    public func free(_ address: UInt, from cache: UInt = 0, in call: StaticString) -> UInt {
        guard let index = slot(at: address), let owner = beginFree(address, index, cache) else {
            P.report(violation(at: address, of: cache, in: call))
            return 0
        }
        frames.value.noteFree(page(of: index).rawValue, byteCount: PageSize.byteCount)
        // The slot's own memory, which its user has given back.
        if let damage = unsafe GuardPattern.damage(of: memory(of: index), except: self[index].range) {
            P.report(
                MemoryViolation(
                    .overrun, in: call, at: page(of: index).rawValue &+ UInt(bitPattern: damage.offset),
                    from: self[index].address, "bytes beside a guarded object were written", byte: damage.found,
                    byteCount: damage.byteCount))
        }
        if self[index].clearsWhenFreed { clear(index) }
        var trace = StackTrace()
        P.captureTrace(into: &trace)
        self[index].release = .now(on: P.self, by: trace)
        if !pageTables.value.conceal(page(of: index)) {
            _ = abandon(index)
            return owner
        }
        lock.withLock {
            self[index].state = .freed
            unlockedState.figures.objectsInUse &-= 1
            unlockedState.figures.frees &+= 1
            enqueue(index, &unlockedState)
        }
        return owner
    }

    /// Chooses the caller, of several that free an object at once, as the one that does.
    /// - Returns: the address of the object's cache; nil for others, and where that is not the cache asked for.
    private func beginFree(_ address: UInt, _ index: Int, _ cache: UInt) -> UInt? {
        lock.withLock {
            guard self[index].state == .allocated, self[index].address == address else { return nil }
            let owner = self[index].cache
            guard cache == 0 || cache == owner else { return nil }
            self[index].state = .changing
            return owner
        }
    }

    /// The allocated object of a cache with the lowest address above `address`; nil where there is none.
    /// - Complexity: O(slots).
    public func nextObject(of cache: UInt, after address: UInt) -> UInt? {
        let first = slot(at: address).map { $0 + 1 } ?? 0
        return lock.withLock {
            for index in first..<objectCount where self[index].state == .allocated && self[index].cache == cache {
                return self[index].address
            }
            return nil
        }
    }

    /// The physical address of `byteCount` bytes of an allocated object, from `address` on; nil for what is not all of
    /// one. - Complexity: O(1).
    public func memory(at address: UInt, _ byteCount: UInt) -> PhysicalAddress? {
        guard let index = slot(at: address) else { return nil }
        return lock.withLock {
            let offset = address &- self[index].address
            guard self[index].state == .allocated, offset < self[index].byteCount,
                byteCount <= self[index].byteCount &- offset
            else { return nil }
            return self[index].frame.address + (address & (PageSize.byteCount &- 1))
        }
    }

    /// The bytes of the object that starts at `address`; nil, after a report, where none does. - Complexity: O(1).
    public func size(of address: UInt, in call: StaticString) -> UInt? {
        let found: UInt? = lock.withLock {
            guard let index = slot(at: address), self[index].state == .allocated, self[index].address == address else {
                return nil
            }
            return self[index].byteCount
        }
        if found == nil { P.report(violation(at: address, in: call)) }
        return found
    }

    /// What is wrong with an address of the pool where no allocated object starts, or another cache's does.
    private func violation(at address: UInt, of cache: UInt = 0, in call: StaticString) -> MemoryViolation {
        func violation(_ kind: MemoryViolation.Kind, _ detail: StaticString, _ value: UInt = 0) -> MemoryViolation {
            MemoryViolation(kind, in: call, at: address, detail, value)
        }
        guard let index = slot(at: address) else { return violation(.wildFree, "the address lies in a guard page") }
        return lock.withLock {
            let byteCount = self[index].byteCount
            if self[index].state == .unused { return violation(.wildFree, "no guarded object was ever there") }
            if self[index].address != address {
                return violation(.misalignedFree, "not the start of the guarded object of this size", byteCount)
            }
            // Of any cache's, it was another CPU's just now, or free and is used again.
            if self[index].state == .allocated, cache != 0, self[index].cache != cache {
                return violation(.wrongCache, "the guarded object of this size is another cache's", byteCount)
            }
            return violation(.doubleFree, "the guarded object of this size is free", byteCount)
        }
    }
}
