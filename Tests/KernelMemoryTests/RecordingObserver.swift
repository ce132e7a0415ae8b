import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import VirtualMemory

@testable import KernelMemory

/// Notes down each step of bring-up and what the machine was like then; switches all CPUs to the new tables.
struct RecordingObserver: BringUpObserver {
    typealias P = SimulatedPlatform

    enum Step: Equatable {
        case bootMemory, activate, pageFrames, kmalloc, vmalloc
    }

    let machine: SimulatedMachine
    private(set) var steps: [Step] = []
    /// The owners of reservations, before anything was allocated.
    private(set) var ownersAtStart: Set<RegionOwner> = []
    private(set) var ownerOfBootPartAtStart: RegionOwner?
    private(set) var root: PhysicalAddress?
    /// The first words of the boot part as the new tables show them.
    private(set) var wordThroughNewTables: UInt64?
    private(set) var tablesAtActivation = 0
    /// Ranges of memory not reserved when the page frames had been handed theirs.
    private(set) var freeAtHandOver: [PhysicalRange] = []
    private(set) var framesAtHandOver: (managed: UInt, free: UInt) = (0, 0)

    init(machine: SimulatedMachine) { self.machine = machine }

    mutating func bootMemoryIsReady(_ boot: borrowing BootAllocator) {
        steps.append(.bootMemory)
        var owners: Set<RegionOwner> = []
        boot.forEachReserved { owners.insert($1) }
        ownersAtStart = owners
        ownerOfBootPartAtStart = boot.owner(of: PhysicalAddress(0x10_0000))
    }

    mutating func activate(_ tables: borrowing PageTables<SimulatedPlatform>) {
        steps.append(.activate)
        root = tables.root
        tablesAtActivation = tables.tableCount
        for cpu in 0..<machine.cpuCount { machine.loadRoot(tables.root, onCPU: cpu) }
        wordThroughNewTables = try? machine.load(AddressSpaceLayout.x86FourLevel.directMap.start + 0x10_0000)
    }

    mutating func pageFramesAreReady(
        _ frames: borrowing PageFrameAllocator<SimulatedPlatform>, _ boot: borrowing BootAllocator
    ) {
        steps.append(.pageFrames)
        var free: [PhysicalRange] = []
        boot.forEachFreeRange { free.append($0) }
        freeAtHandOver = free
        framesAtHandOver = (frames.managedFrames, frames.freeFrames)
    }

    mutating func kmallocIsReady(_ kmalloc: borrowing Kmalloc<SimulatedPlatform>) { steps.append(.kmalloc) }

    mutating func vmallocIsReady(_ vmalloc: borrowing Vmalloc<SimulatedPlatform>) { steps.append(.vmalloc) }
}
