import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

@testable import KernelMemory

/// Notes down each step of bring-up and what the machine was like then; switches all CPUs to the new tables.
struct RecordingObserver: BringUpObserver {
    typealias P = SimulatedPlatform

    enum Step: Equatable {
        case bootMemory, activate, mapped, pageFrames, kmalloc, vmalloc
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

    /// Words with a bit that reads as 1 whatever is written. Memory is tested where there are any.
    private let badWords: Set<UInt>

    private let losesReservation: Bool

    private let layout: AddressSpaceLayout

    init(
        machine: SimulatedMachine, layout: AddressSpaceLayout, badWords: Set<UInt> = [], losesReservation: Bool = false
    ) {
        self.machine = machine
        self.layout = layout
        self.losesReservation = losesReservation
        self.badWords = badWords
    }

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
        wordThroughNewTables = try? machine.load(layout.directMap.start + 0x10_0000)
    }

    mutating func memoryIsMapped(_ boot: inout BootAllocator) {
        steps.append(.mapped)
        if losesReservation {
            // Nothing is free for a larger list, and so the list is full one day.
            boot.reserve(PhysicalRange(.zero, PhysicalAddress(1 << 40)), owner: .badMemory)
            var next = PhysicalAddress(1 << 41)
            while boot.reserve(PhysicalRange(next, next + 0x1000), owner: .badMemory) { next = next + 0x2000 }
        }
        if badWords.isEmpty { return }
        var memory = BadMemory(machine: machine, base: layout.directMap.start, badWords: badWords)
        _ = boot.testFreeMemory(passes: 1, on: &memory)
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

/// The machine's memory with a bit stuck in some of its words.
private struct BadMemory: MemoryUnderTest {
    let machine: SimulatedMachine
    let base: VirtualAddress
    let badWords: Set<UInt>

    mutating func store(_ word: UInt64, at address: PhysicalAddress) {
        machine.arena.directMap.pointer(to: address).storeBytes(of: word, as: UInt64.self)
    }

    mutating func load(_ address: PhysicalAddress) -> UInt64 {
        let word = machine.arena.directMap.pointer(to: address).load(as: UInt64.self)
        return badWords.contains(address.rawValue) ? word | 1 << 40 : word
    }

    /// All of it must be mapped by now.
    mutating func testBegins(of range: PhysicalRange, pattern: UInt64) {
        #expect(throws: Never.self) { try machine.store(0, to: base + range.start.rawValue) }
        #expect(throws: Never.self) { try machine.store(0, to: base + (range.end.rawValue - 8)) }
    }

    mutating func foundBad(_ range: PhysicalRange, pattern: UInt64) {}
}
