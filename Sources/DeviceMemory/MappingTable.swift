import MemoryPrimitives
import PageFrames
import Slab
import Synchronization

/// By which call memory came to a device.
enum MappingKind: UInt8, Sendable {
    case single
    case list
    case coherent

    /// The call that ends it, as Linux names it.
    var endCall: StaticString {
        switch self {
        case .single: "dma_unmap_single"
        case .list: "dma_unmap_sg"
        case .coherent: "dma_free_coherent"
        }
    }
}

/// Memory that a device has, as its driver must give it back.
struct Mapping: Sendable {
    var bus: BusAddress
    var byteCount: UInt
    var direction: DMADirection
    var kind: MappingKind
    /// The device's number.
    var device: UInt
}

/// Notes of all that devices have: what the boot word `dma_debug` asks for.
///
/// A mapper is made with it or without, and a device's ways lead past it or not: nothing asks for it on the short ways. Its
/// notes are objects of a slab cache in chains that addresses lead to. Where there is no memory for a note, no notes are
/// kept any more, since what they said would be wrong (as in Linux).
///
/// Any context, several CPUs at once: one lock.
@safe
struct MappingTable<P: Platform>: ~Copyable, @unchecked Sendable {
    private static var chainCount: Int { 1024 }

    @unsafe
    private struct Note {
        let mapping: Mapping
        var next: UnsafeMutablePointer<Note>?
    }

    private let lock = SpinLock<P>()
    private let cache: CacheReference<P>
    private let chains: UnsafeMutablePointer<UnsafeMutablePointer<Note>?>
    private let isOff = Atomic<Bool>(false)

    /// - Returns: nil where there is no memory.
    static func make(in kmalloc: Permanent<Kmalloc<P>>) -> Permanent<MappingTable<P>>? {
        // There is no constructor.
        guard
            let cache = try? unsafe kmalloc.value.makeCache(
                "dma_debug_entry", objectSize: UInt(MemoryLayout<Note>.stride), flags: .noLeakTrace)
        else { return nil }
        let flags: AllocationFlags = .kernel | .zero | .noLeakTrace
        let chains = unsafe kmalloc.value.allocate(UInt(chainCount * 8), flags: flags)
        let memory = unsafe kmalloc.value.allocate(UInt(MemoryLayout<MappingTable>.stride), flags: flags)
        guard let chains = unsafe chains, let memory = unsafe memory else {
            // Given to nobody.
            unsafe kmalloc.value.free(chains)
            unsafe kmalloc.value.free(memory)
            _ = kmalloc.value.destroyCache(cache)
            return nil
        }
        // Memory of that size, the table's for good; zero bytes are chains that are empty.
        return unsafe Permanent(
            placing: MappingTable(cache: cache, chains: chains),
            at: memory.bindMemory(to: MappingTable.self, capacity: 1))
    }

    private init(cache: CacheReference<P>, chains: UnsafeMutableRawPointer) {
        self.cache = cache
        unsafe self.chains = chains.bindMemory(to: UnsafeMutablePointer<Note>?.self, capacity: Self.chainCount)
    }

    @inline(__always)
    private static func chain(_ bus: BusAddress) -> Int {
        Int(bitPattern: (bus.rawValue &>> 11) & UInt(bitPattern: chainCount &- 1))
    }

    /// Notes memory down that a device has got.
    func note(_ mapping: Mapping) {
        if isOff.load(ordering: .relaxed) { return }
        guard let memory = unsafe cache.allocate(flags: .atomic | .noWarn | .noLeakTrace) else {
            return isOff.store(true, ordering: .relaxed)
        }
        // An object of that size, the note's until it is freed.
        let note = unsafe memory.bindMemory(to: Note.self, capacity: 1)
        let chain = Self.chain(mapping.bus)
        lock.withLock {
            unsafe note.initialize(to: Note(mapping: mapping, next: chains[chain]))
            unsafe chains[chain] = note
        }
    }

    /// Whether notes are kept. False after there was no memory for one.
    var isOn: Bool { !isOff.load(ordering: .relaxed) }

    /// Takes a note away, if what is given back is what was given.
    /// - Returns: what is wrong; nothing has changed then.
    func remove(_ mapping: Mapping) -> StaticString? {
        if isOff.load(ordering: .relaxed) { return nil }
        var wrong: StaticString? = "device driver frees DMA memory it has not allocated"
        let chain = Self.chain(mapping.bus)
        // A note that was taken out of its chain.
        let found = unsafe lock.withLock { () -> UnsafeMutablePointer<Note>? in
            var previous: UnsafeMutablePointer<Note>?
            // Notes in a chain are there as long as the lock is held.
            var current = unsafe chains[chain]
            while let note = unsafe current {
                let noted = unsafe note.pointee.mapping
                if noted.bus == mapping.bus && noted.device == mapping.device {
                    // An address may be mapped several times, in the same way or not: the one that fits is meant.
                    if let difference = Self.difference(noted, mapping) {
                        wrong = difference
                    } else {
                        wrong = nil
                        if let previous = unsafe previous {
                            unsafe previous.pointee.next = note.pointee.next
                        } else {
                            unsafe chains[chain] = note.pointee.next
                        }
                        return unsafe note
                    }
                }
                unsafe previous = note
                unsafe current = note.pointee.next
            }
            return nil
        }
        // In the chain no more.
        if let found = unsafe found { unsafe cache.free(UnsafeMutableRawPointer(found)) }
        return wrong
    }

    private static func difference(_ noted: Mapping, _ given: Mapping) -> StaticString? {
        if noted.kind != given.kind { return "device driver frees DMA memory with wrong function" }
        if noted.byteCount != given.byteCount { return "device driver frees DMA memory with different size" }
        if noted.direction != given.direction { return "device driver frees DMA memory with different direction" }
        return nil
    }

    /// Whether a part of what a device has may be synchronised so. - Returns: what is wrong.
    /// - Complexity: O(notes), since any byte of a buffer may be named.
    func check(_ bus: BusAddress, _ byteCount: UInt, _ direction: DMADirection, _ device: UInt) -> StaticString? {
        if isOff.load(ordering: .relaxed) { return nil }
        return lock.withLock { () -> StaticString? in
            var wrong: StaticString? = "device driver tries to sync DMA memory it has not allocated"
            forEach { noted in
                let offset = bus.rawValue &- noted.bus.rawValue
                if noted.device != device || offset >= noted.byteCount { return }
                if noted.kind == .coherent {
                    return
                } else if byteCount > noted.byteCount &- offset {
                    wrong = "device driver syncs DMA memory outside allocated range"
                } else if noted.direction != direction {
                    wrong = "device driver syncs DMA memory with different direction"
                } else {
                    wrong = nil
                }
            }
            return wrong
        }
    }

    /// What a device still has. - Complexity: O(notes). - Parameter body: called with the lock held.
    func forEach(ofDevice device: UInt, _ body: (Mapping) -> Void) {
        lock.withLock { forEach { if $0.device == device { body($0) } } }
    }

    /// The lock is held.
    private func forEach(_ body: (Mapping) -> Void) {
        for chain in 0..<Self.chainCount {
            // As in `remove`.
            var current = unsafe chains[chain]
            while let note = unsafe current {
                unsafe body(note.pointee.mapping)
                unsafe current = note.pointee.next
            }
        }
    }
}

extension DMAMapper {
    /// Ends a device: its driver is gone, and uses nothing of it any more. What it has not given back is lost; with
    /// `dma_debug` that is reported, once, with the first such address and how many there are.
    /// - Returns: how many mappings were left, 0 where none are noted down. - Complexity: O(mappings of all devices).
    @discardableResult
    public func end(_ device: consuming DMADevice<P>) -> UInt {
        guard let notes else { return 0 }
        var count: UInt = 0
        var first = BusAddress(0)
        notes.value.forEach(ofDevice: device.number) { mapping in
            if count == 0 || mapping.bus < first { first = mapping.bus }
            count &+= 1
        }
        if count > 0 {
            report("device driver has pending DMA allocations while released from device", "dma_debug", first, count)
        }
        return count
    }
}
