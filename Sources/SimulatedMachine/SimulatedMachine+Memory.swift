import HostThreads
import MemoryPrimitives

/// Accesses as instructions make them: through the tables that the CPU was given, and through its TLB.
///
/// After each access the translation that was used is compared with a fresh walk. Where they differ, a flush is missing:
/// that is a `StaleTranslation`, kept for `takeStaleTranslations()` or fatal, as the machine's policy says. The access
/// itself goes where the stale entry leads, as on a real CPU. So an access that races with a change of its own page on
/// another CPU is reported too.
extension SimulatedMachine {
    /// MOV CR3: forgets all but global translations on `cpu` (this thread's where nil).
    public func loadRoot(_ root: PhysicalAddress, onCPU cpu: Int? = nil) {
        let tlb = tlbs[cpu ?? host_thread_get_cpu()]
        tlb.isUsed.store(true, ordering: .releasing)
        tlb.cache.withLock { cache in
            cache.root = root.rawValue
            cache.dropAll(keepingGlobal: true)
        }
    }

    /// Reads an integer.
    /// - Parameters:
    ///   - address: aligned to the integer's size.
    ///   - type: the integer's type.
    ///   - asUser: in user mode.
    ///   - cpu: the CPU that reads; this thread's where nil.
    /// - Throws: why the CPU does not make the access.
    /// - Returns: what is there.
    public func load<Value: FixedWidthInteger>(
        _ address: VirtualAddress, as type: Value.Type = UInt64.self, asUser: Bool = false, onCPU cpu: Int? = nil
    ) throws(SimulatedFault) -> Value {
        var result: Value = 0
        // Aligned memory within the arena, by access's promise; any bits are an integer.
        try unsafe access(address, .load, MemoryLayout<Value>.size, asUser, cpu) { unsafe result = $0.load(as: type) }
        return result
    }

    /// Writes an integer. As `load`.
    /// - Throws: as `load`; nothing is written then.
    public func store<Value: FixedWidthInteger>(
        _ value: Value, to address: VirtualAddress, asUser: Bool = false, onCPU cpu: Int? = nil
    ) throws(SimulatedFault) {
        // Aligned memory within the arena, by access's promise.
        try unsafe access(address, .store, MemoryLayout<Value>.size, asUser, cpu) {
            unsafe $0.storeBytes(of: value, as: Value.self)
        }
    }

    /// Fetches an instruction's first byte. As `load`.
    /// - Throws: as `load`.
    /// - Returns: the byte.
    @discardableResult
    public func fetch(
        _ address: VirtualAddress, asUser: Bool = false, onCPU cpu: Int? = nil
    ) throws(SimulatedFault) -> UInt8 {
        var result: UInt8 = 0
        // Memory within the arena, by access's promise.
        try unsafe access(address, .fetch, 1, asUser, cpu) { unsafe result = $0.load(as: UInt8.self) }
        return result
    }

    /// Translates and calls `body` with the memory. A fault goes to the handler first, and is tried once more.
    private func access(
        _ address: VirtualAddress, _ kind: AccessKind, _ size: Int, _ asUser: Bool, _ cpu: Int?,
        _ body: (UnsafeMutableRawPointer) -> Void
    ) throws(SimulatedFault) {
        precondition(address.isAligned(to: UInt(size)), "accesses of the simulated CPU are aligned")
        let cpu = cpu ?? host_thread_get_cpu()
        var mayRetry = true
        while let reason = unsafe attempt(address.rawValue, kind, size, asUser, cpu, body) {
            guard mayRetry, reason != .notCanonical, let pageFaultHandler, pageFaultHandler(address, kind) else {
                throw SimulatedFault(address: address, access: kind, reason: reason)
            }
            mayRetry = false
        }
    }

    private func attempt(
        _ address: UInt, _ kind: AccessKind, _ size: Int, _ asUser: Bool, _ cpu: Int,
        _ body: (UnsafeMutableRawPointer) -> Void
    ) -> SimulatedFault.Reason? {
        if !pagingControl.isCanonical(address) { return .notCanonical }
        let walker = PageWalker(arena: arena, control: pagingControl)
        return tlbs[cpu].cache.withLock { cache in
            guard let root = cache.root else { fatalError("no root was loaded on CPU \(cpu)") }
            var leaf: PageWalker.Leaf
            switch translate(address, kind, asUser, walker, root, &cache) {
            case .leaf(let found): leaf = found
            case .fault(let reason): return reason
            }
            if kind == .store && !leaf.isDirty {
                walker.markDirty(leaf.entryAddress)
                leaf.isDirty = true
                cache.insert(leaf, at: address)
            }
            check(leaf, address, cpu, walker, root)
            let physical = leaf.physical + (address & ((1 << leaf.shift) - 1))
            if physical + UInt(size) > arena.byteCount { return .noMemory }
            // Within the arena, and aligned because the virtual address is.
            unsafe body(arena.directMap.pointer(to: PhysicalAddress(physical)))
            return nil
        }
    }

    private func translate(
        _ address: UInt, _ kind: AccessKind, _ asUser: Bool, _ walker: PageWalker, _ root: UInt,
        _ cache: inout TranslationCache
    ) -> PageWalker.Outcome {
        if let leaf = cache.page(at: address) {
            // To set the dirty bit for the first time the CPU goes back to the tables.
            let needsDirtyBit = kind == .store && !leaf.isDirty
            if leaf.rights.allow(kind, asUser: asUser, pagingControl) && !needsDirtyBit { return .leaf(leaf) }
        } else if let (level, known) = cache.deepestTable(for: address) {
            let outcome = walker.walk(address, from: known.table, level: level, rights: known.rights) {
                level, table, rights in
                cache.insert(.init(table: table, rights: rights), level: level, at: address)
            }
            if case .leaf(let leaf) = outcome, leaf.rights.allow(kind, asUser: asUser, pagingControl) {
                cache.insert(leaf, at: address)
                return .leaf(leaf)
            }
        }
        // About to fault: the CPU forgets what it knew of the address, and what the handler mends is found next time.
        cache.drop(address)
        let outcome = walker.walk(address, from: root) { level, table, rights in
            cache.insert(.init(table: table, rights: rights), level: level, at: address)
        }
        guard case .leaf(let leaf) = outcome else { return outcome }
        if !leaf.rights.allow(kind, asUser: asUser, pagingControl) { return .fault(.protection) }
        cache.insert(leaf, at: address)
        return outcome
    }

    /// Compares the translation in use with the tables.
    private func check(_ used: PageWalker.Leaf, _ address: UInt, _ cpu: Int, _ walker: PageWalker, _ root: UInt) {
        func offset(_ leaf: PageWalker.Leaf) -> UInt { leaf.physical + (address & ((1 << leaf.shift) - 1)) }
        let kind: StaleTranslation.Kind
        switch walker.walk(address, from: root, markingAccessed: false) {
        case .fault: kind = .unmapped
        case .leaf(let fresh) where offset(fresh) != offset(used): kind = .otherFrame
        case .leaf(let fresh) where used.rights.exceeds(fresh.rights): kind = .lesserPermissions
        case .leaf: return
        }
        record(StaleTranslation(kind: kind, cpu: cpu, address: VirtualAddress(address)))
    }
}

/// What the CPUs still remember.
extension SimulatedMachine {
    /// Tells the machine that the frame of a page table was freed. A CPU whose walks still go through it is reported.
    public func noteTableFreed(_ table: PhysicalAddress) {
        for (cpu, tlb) in tlbs.enumerated() {
            for address in tlb.cache.withLock({ $0.addresses(through: table.rawValue) }) {
                record(StaleTranslation(kind: .freedTable, cpu: cpu, address: VirtualAddress(address)))
            }
        }
    }

    /// The pages through which some CPU still reaches `range`, without asking the tables.
    public func cachedPages(leadingInto range: PhysicalRange) -> [VirtualAddress] {
        tlbs.flatMap { tlb in
            tlb.cache.withLock { $0.addresses(leadingInto: range.start.rawValue..<range.end.rawValue) }
        }.map { VirtualAddress($0) }
    }

    func flushPage(_ address: VirtualAddress) {
        flushHandler?()
        if losesFlushes { return }
        pageFlushes.add(1, ordering: .relaxed)
        for tlb in tlbs { tlb.flush { $0.drop(address.rawValue) } }
    }

    /// As one message to each CPU.
    func flushPages(_ addresses: [VirtualAddress]) {
        flushHandler?()
        if losesFlushes { return }
        pageFlushes.add(addresses.count, ordering: .relaxed)
        flushRounds.add(1, ordering: .relaxed)
        for tlb in tlbs { tlb.flush { cache in for address in addresses { cache.drop(address.rawValue) } } }
    }

    /// By one CPU alone.
    func flushPage(_ address: VirtualAddress, of cpu: Int) {
        if losesFlushes { return }
        ownFlushes.add(1, ordering: .relaxed)
        tlbs[cpu].flush { $0.drop(address.rawValue) }
    }

    /// By one CPU alone.
    func flushAllPages(of cpu: Int) {
        if losesFlushes { return }
        ownFlushes.add(1, ordering: .relaxed)
        tlbs[cpu].flush { $0.dropAll() }
    }

    func flushAllPages() {
        flushHandler?()
        if losesFlushes { return }
        fullFlushes.add(1, ordering: .relaxed)
        for tlb in tlbs { tlb.flush { $0.dropAll() } }
    }
}
