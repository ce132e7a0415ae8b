import BootMemory
import Foundation
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

@testable import KernelMemory

typealias TestedMemory = KernelMemory<SimulatedPlatform>
typealias TestedStack = KernelStack<SimulatedPlatform>

/// What a test's machine is made of, besides its memory.
struct Configuration: Sendable {
    var features = PagingFeatures.all
    var cpuCount = 1
    var image = KernelImage.small
    /// Where the boot loader puts its information.
    var information: UInt = 0x9000
    var modules: [Range<UInt>] = []
    /// The length of the memory map that the boot loader claims, in bytes; nil for the true one.
    var claimedMapLength: UInt32?
    /// Words of memory with a stuck bit; memory is tested where there are any.
    var badWords: Set<UInt> = []
    /// Loses a reservation where memory could be tested.
    var losesReservation = false
    /// Room in the region lists before they can grow.
    var memoryCapacity = 128
    var reservedCapacity = 128
    /// Where the regions lie; nil for what `Layouts` chooses for the machine.
    var layout: AddressSpaceLayout?
    /// What counts to the last frame has neither frame caches nor reserves.
    var frames = PageFrameOptions(frameCaches: false, minimumFreeKiB: 0)
    var slab = SlabOptions()
    /// How many pages of freed areas may wait for a purge; none, for what counts to the last frame.
    var purgeThreshold: UInt? = 0
    var findsLeaks = false
    /// Memory each byte of which is `pattern` before bring-up; the rest is clear.
    var patterned: [PhysicalRange] = []

    static let pattern: Int32 = 0xa5
}

/// A simulated machine that has been brought up as the kernel does it: from the boot loader's information to vmalloc,
/// with vmalloc handling the page faults of simulated accesses.
final class KernelMachine: @unchecked Sendable {
    let machine: SimulatedMachine
    let map: MachineMap
    let configuration: Configuration
    let memory: Permanent<TestedMemory>
    let observer: RecordingObserver
    let layout: AddressSpaceLayout
    /// What the boot loader's information lies in.
    let information: Range<UInt>
    private let lists: BootLists
    /// What maps of memory are written in.
    let scratchMemory = UnsafeMutableRawPointer.allocate(byteCount: MapScratch.byteCount, alignment: 8)

    deinit { scratchMemory.deallocate() }

    var directMap: DirectMap { machine.arena.directMap }

    /// - Parameter refused: is given the observer where bring-up throws.
    init(
        _ map: MachineMap, _ configuration: Configuration = Configuration(),
        refused: (RecordingObserver) -> Void = { _ in }
    ) throws {
        let endOfMemory = usableMemory(map).last.map { $0.upperBound } ?? 0
        let machine = SimulatedMachine(memory: max(endOfMemory, 16 << 20), cpuCount: configuration.cpuCount)
        machine.pagingControl.noExecute = configuration.features.noExecute
        machine.pagingControl.gigabytePages = configuration.features.gigabytePages
        machine.pagingControl.fiveLevels = configuration.features.fiveLevels
        let loader = SimulatedBootLoader(machine: machine, information: configuration.information)
        let end = loader.write(
            map: map.entries, modules: configuration.modules, claimedMapLength: configuration.claimedMapLength)
        information = configuration.information..<end
        for range in configuration.patterned {
            memset(machine.arena.directMap.pointer(to: range.start), Configuration.pattern, Int(range.byteCount))
        }

        layout = configuration.layout ?? Layouts.chosen(for: map, configuration.features)
        let limit = PhysicalAddress(4 << 30)
        var description = MachineDescription(
            reachableLimit: limit,
            directMap: machine.arena.directMap, layout: layout, image: configuration.image,
            features: configuration.features, frames: configuration.frames)
        description.slab = configuration.slab
        description.findsLeaks = configuration.findsLeaks
        description.purgeThreshold = configuration.purgeThreshold
        let lists = BootLists(configuration)
        var observer = RecordingObserver(
            machine: machine, layout: layout, badWords: configuration.badWords,
            losesReservation: configuration.losesReservation)
        memory = try machine.run {
            let information = try MultibootInformation(
                at: PhysicalAddress(configuration.information), through: machine.arena.directMap, mappedBelow: limit)
            var sanitised = lists.makeMap(bits: Int(configuration.features.physicalAddressBits))
            _ = try sanitised.fill(from: information)
            do throws(BringUpError) {
                return try TestedMemory.bringUp(
                    description, map: sanitised, information: information, boot: lists.makeBootAllocator(),
                    observer: &observer)
            } catch {
                // A refusal is an answer, not a sign that something is damaged.
                #expect(machine.takeViolations().isEmpty)
                refused(observer)
                throw error
            }
        }
        self.machine = machine
        self.map = map
        self.configuration = configuration
        self.observer = observer
        self.lists = lists
        machine.pageFaultHandler = { [unowned self] address, access in handle(address, access) }
    }

    private func handle(_ address: VirtualAddress, _ kind: AccessKind) -> Bool {
        var access: FaultAccess = []
        if kind == .store { access.insert(.write) }
        if kind == .fetch { access.insert(.execute) }
        if memory.value.pageTables.value.translate(address) != nil { access.insert(.protection) }
        return memory.value.resolvePageFault(at: address, access: access)
    }

    func run<Result>(onCPU cpu: Int = 0, _ body: () throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu, body)
    }

    /// Every allocator's own check, and that nothing was reported on the way.
    func check(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try run { try memory.value.checkInvariants() }
        let violations = machine.takeViolations()
        let stale = machine.takeStaleTranslations()
        #expect(violations.isEmpty, "\(violations)", sourceLocation: sourceLocation)
        #expect(stale == [], sourceLocation: sourceLocation)
    }

    /// The memory that the frame table lies in.
    var frameTable: Range<UInt>? {
        var found: Range<UInt>?
        run { memory.value.boot.value.forEachReserved { if $1 == .frameTable { found = $0.addresses } } }
        return found
    }

    /// Where the kernel's direct map shows a physical address.
    func direct(_ address: UInt) -> VirtualAddress { layout.directMap.start + address }

    /// Where the object alias shows a physical address.
    func alias(_ address: UInt) -> VirtualAddress { layout.objectAlias.start + address }

    /// Where the kernel's direct map shows memory that kmalloc handed out.
    func direct(_ pointer: UnsafeMutableRawPointer) -> VirtualAddress {
        direct(directMap.physicalAddress(of: VirtualAddress(pointer)).rawValue)
    }

    func load(_ address: VirtualAddress) throws -> UInt64 { try run { try machine.load(address) } }

    func store(_ value: UInt64, _ address: VirtualAddress) throws {
        try run { try machine.store(value, to: address) }
    }

    func fetch(_ address: VirtualAddress) throws { _ = try run { try machine.fetch(address) } }
}

/// The memory that the kernel has for what comes before the allocators; as long as the machine's.
final class BootLists {
    private let regions = UnsafeMutableBufferPointer<FirmwareRegion>.allocate(capacity: 512)
    private let adjustments = UnsafeMutableBufferPointer<MapAdjustment>.allocate(capacity: 512)
    private let memory: UnsafeMutableBufferPointer<Region>
    private let reserved: UnsafeMutableBufferPointer<Region>

    init(_ configuration: Configuration) {
        memory = .allocate(capacity: configuration.memoryCapacity)
        reserved = .allocate(capacity: configuration.reservedCapacity)
    }

    deinit {
        regions.deallocate()
        adjustments.deallocate()
        memory.deallocate()
        reserved.deallocate()
    }

    func makeMap(bits: Int) -> FirmwareMap {
        FirmwareMap(storage: regions, adjustments: adjustments, physicalAddressBits: bits)
    }

    func makeBootAllocator() -> BootAllocator { BootAllocator(memoryStorage: memory, reservedStorage: reserved) }
}
