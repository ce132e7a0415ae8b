import MemoryPrimitives
import Paging
import SimulatedMachine
import Synchronization

/// Frames for tables from the arena's first 32 MiB: counted, limited on request, and poisoned when they are free.
final class TablePool: Sendable {
    private struct State {
        var next: UInt = 1 << 20
        var free: [PhysicalAddress] = []
        var inUse: Set<PhysicalAddress> = []
        var budget: Int?
        var allocations = 0
    }

    private let state = HostLock(State())
    private let machine: SimulatedMachine

    init(_ machine: SimulatedMachine) { self.machine = machine }

    var inUse: Int { state.withLock { $0.inUse.count } }
    var frames: Set<PhysicalAddress> { state.withLock { $0.inUse } }
    /// Allocations met so far.
    var allocations: Int { state.withLock { $0.allocations } }
    /// How many more allocations are met; nil for all.
    func limit(to budget: Int?) { state.withLock { $0.budget = budget } }

    func allocate() -> PhysicalAddress? {
        let frame: PhysicalAddress? = state.withLock { state in
            if let budget = state.budget {
                if budget == 0 { return nil }
                state.budget = budget - 1
            }
            let frame: PhysicalAddress
            if let reused = state.free.popLast() {
                frame = reused
            } else {
                guard state.next < 32 << 20 else { return nil }
                frame = PhysicalAddress(state.next)
                state.next += 4096
            }
            state.inUse.insert(frame)
            state.allocations += 1
            return frame
        }
        if let frame { fill(frame, 0) }
        return frame
    }

    func free(_ frame: PhysicalAddress) {
        machine.noteTableFreed(frame)
        // A walk that comes here finds pages that are present and nonsense.
        fill(frame, 0x000f_dead_beef_f067)
        state.withLock { state in
            precondition(state.inUse.remove(frame) != nil, "a table is freed twice")
            state.free.append(frame)
        }
    }

    private func fill(_ frame: PhysicalAddress, _ value: UInt) {
        for index in 0..<512 { machine.entry(at: frame, index).store(value, ordering: .relaxed) }
    }
}

struct PoolSource: TableFrameSource {
    let pool: TablePool
    mutating func allocateTableFrame() -> PhysicalAddress? { pool.allocate() }
    mutating func freeTableFrame(_ frame: PhysicalAddress) { pool.free(frame) }
}

/// A reference to a word of the arena, to plant and to look at entries.
struct EntryReference {
    let pointer: UnsafeMutablePointer<Atomic<UInt>>
    func load() -> UInt { pointer.pointee.load(ordering: .acquiring) }
    func store(_ value: UInt, ordering: AtomicStoreOrdering = .releasing) {
        pointer.pointee.store(value, ordering: .releasing)
    }
}

extension SimulatedMachine {
    func entry(at table: PhysicalAddress, _ index: Int) -> EntryReference {
        EntryReference(
            pointer: (arena.directMap.pointer(to: table) + index * 8).assumingMemoryBound(to: Atomic<UInt>.self))
    }

    /// A word of physical memory.
    func word(_ physical: PhysicalAddress) -> UnsafeMutablePointer<UInt64> {
        arena.directMap.pointer(to: physical).assumingMemoryBound(to: UInt64.self)
    }
}

/// A machine, its tables, and where they come from.
final class TestBench<P: Platform> {
    let machine: SimulatedMachine
    let pool: TablePool
    let root: PhysicalAddress
    let tables: Permanent<PageTables<P>>
    var source: PoolSource
    private let storage: UnsafeMutablePointer<PageTables<P>>

    init(
        cpus: Int = 1, memory: UInt = 4 << 30, features: PagingFeatures = .all, alias: TopLevelAlias? = nil,
        platform: P.Type = SimulatedPlatform.self
    ) {
        machine = SimulatedMachine(memory: memory, cpuCount: cpus)
        machine.pagingControl.noExecute = features.noExecute
        machine.pagingControl.gigabytePages = features.gigabytePages
        machine.pagingControl.physicalAddressBits = features.physicalAddressBits
        machine.pagingControl.fiveLevels = features.fiveLevels
        pool = TablePool(machine)
        source = PoolSource(pool: pool)
        root = pool.allocate()!
        storage = .allocate(capacity: 1)
        tables = Permanent(
            placing: PageTables<P>(root: root, directMap: machine.arena.directMap, features: features, alias: alias),
            at: storage)
        for cpu in 0..<cpus { machine.loadRoot(root, onCPU: cpu) }
    }

    deinit {
        tables.destroy()
        storage.deallocate()
    }

    /// Every entry of every table, to compare before and after.
    func snapshot() -> [PhysicalAddress: [UInt]] {
        var result: [PhysicalAddress: [UInt]] = [:]
        for frame in pool.frames { result[frame] = (0..<512).map { machine.entry(at: frame, $0).load() } }
        return result
    }

    /// True when a word written to `physical` is read back at `virtual`.
    func reads(_ virtual: VirtualAddress, from physical: PhysicalAddress) -> Bool {
        let marker = UInt64(physical.rawValue) ^ 0x5a5a_0000_0000_a5a5
        machine.word(physical).pointee = marker
        return (try? machine.load(virtual)) == marker
    }

    func fault(at virtual: VirtualAddress, _ access: AccessKind = .load, asUser: Bool = false) -> SimulatedFault.Reason?
    {
        do throws(SimulatedFault) {
            switch access {
            case .load: _ = try machine.load(virtual, asUser: asUser)
            case .store: try machine.store(UInt64(1), to: virtual, asUser: asUser)
            case .fetch: try machine.fetch(virtual, asUser: asUser)
            }
            return nil
        } catch {
            return error.reason
        }
    }
}

typealias Bench = TestBench<SimulatedPlatform>

func page(_ address: UInt) -> VirtualAddress { VirtualAddress(address) }
func memory(_ address: UInt) -> PhysicalAddress { PhysicalAddress(address) }
func pages(_ start: UInt, _ byteCount: UInt) -> VirtualRange {
    VirtualRange(VirtualAddress(start), VirtualAddress(start + byteCount))
}

let kib: UInt = 1 << 10
let mib: UInt = 1 << 20
let gib: UInt = 1 << 30
/// The start of the area for mappings; nothing else is special about it.
let areas: UInt = 0xffff_c900_0000_0000
