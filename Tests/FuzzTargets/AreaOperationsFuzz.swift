import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import VirtualMemory

/// Sequences of calls to vmalloc, right ones and wrong ones, on a small machine whose page faults it handles.
///
///     byte 0    bits 0-1: how much address space; bit 2: freed ranges rest; bit 3: five levels
///     4 bytes a call: which, and three that are its arguments
///
/// After each call its answer is compared with a record of what lies where, what was touched is read and written as the CPU
/// does it, and the allocator's invariants, its counts and the promises of frames are checked. In the end everything is given
/// back, and there must be as many frames as before.
public final class AreaOperationsFuzz {
    public typealias Platform = SimulatedPlatform

    enum Call: UInt8, CaseIterable {
        case vmalloc, vzalloc, allocatePopulated, allocateAligned, allocateBounded, makeStack
        case vfree, vfreeLatest, reallocate, map, mapRAM, read, write, readOutside, setReadOnly, setWritable
        case vread, populate, describe, freeInside, freeUnaligned, freeWild, freeOther, freeTwice, unmapWrongCount
        case takeFrames, giveFrames, failFrames
    }

    static let memory: UInt = 8 << 20
    private static let lastCall = 150
    private static let spaces: [UInt] = [48 << 12, 600 << 12, 1 << 30, 32 << 40]
    /// Made once: a machine is an address space.
    private static let arenas = [SimulatedMachine(memory: memory), SimulatedMachine(memory: memory)]

    var input: InputReader
    let machine: SimulatedMachine
    let frames: Permanent<PageFrameAllocator<Platform>>
    let tables: Permanent<PageTables<Platform>>
    let kmalloc: Permanent<Kmalloc<Platform>>
    let vmalloc: Permanent<Vmalloc<Platform>>
    let stacks: Permanent<KernelStacks<Platform>>
    let space: VirtualRange
    private var places: [() -> Void] = []

    var areas: [LiveArea] = []
    /// The last area that was freed; none once another may lie there.
    var lastFreed: VirtualAddress?
    /// Frames that are mapped, each perhaps several times, and what is in them.
    var ownFrames: [PageFrameNumber] = []
    var ownWords: [[UInt64?]] = []
    /// Frames that somebody else has.
    var taken: [PageFrameNumber] = []
    var nextWord: UInt64 = 1
    /// Whether a request for frames is to fail, or has failed since an area was last refused.
    var isArmed = false

    /// Tries an input. - Throws: what it shows to be wrong.
    public static func run(_ bytes: [UInt8]) throws {
        var input = InputReader(bytes)
        let options = input.byte()
        let machine = arenas[options & 8 == 0 ? 0 : 1]
        machine.pagingControl.fiveLevels = options & 8 != 0
        let fuzz = machine.run { AreaOperationsFuzz(machine, options, input) }
        defer { fuzz.release() }
        try machine.run { try fuzz.tryCalls() }
    }

    private init(_ machine: SimulatedMachine, _ options: UInt8, _ input: InputReader) {
        self.machine = machine
        self.input = input
        let start = AddressSpaceLayout.x86FourLevel.areas.start
        space = VirtualRange(start, start + Self.spaces[Int(options & 3)])
        let directMap = machine.arena.directMap
        // Read until the frames' allocator has taken over.
        let memoryList = UnsafeMutableBufferPointer<Region>.allocate(capacity: 32)
        let reservedList = UnsafeMutableBufferPointer<Region>.allocate(capacity: 32)
        defer {
            unsafe memoryList.deallocate()
            unsafe reservedList.deallocate()
        }
        var boot = unsafe BootAllocator(memoryStorage: memoryList, reservedStorage: reservedList)
        boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(Self.memory)))
        var places: [() -> Void] = []
        func place<Value: ~Copyable>(_ value: consuming Value) -> Permanent<Value> {
            let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
            // Deallocated by `release`, after the last use.
            let permanent = unsafe Permanent(placing: value, at: pointer)
            places.append {
                unsafe permanent.destroy()
                unsafe pointer.deallocate()
            }
            return permanent
        }
        // The machine is large enough for all of them.
        frames = place(
            PageFrameAllocator<Platform>(
                takingOver: &boot, directMap: directMap,
                options: PageFrameOptions(frameCaches: false, minimumFreeKiB: 0))!)
        var source = BuddyTableSource<Platform>(frames: frames)
        var features = PagingFeatures.all
        features.fiveLevels = options & 8 != 0
        tables = place(
            PageTables<Platform>(root: source.allocateTableFrame()!, directMap: directMap, features: features))
        kmalloc = place(Kmalloc<Platform>(frames: frames, options: SlabOptions())!)
        // A touch brings its page and no other: the record knows to the page what is there.
        var touches = VmallocOptions()
        touches.setFaultAround(byteCount: PageSize.byteCount)
        touches.mapsLargePages = false
        vmalloc = place(
            Vmalloc<Platform>(
                range: space, frames: frames, pageTables: tables, kmalloc: kmalloc,
                restingPages: options & 4 == 0 ? 0 : 64, options: touches)!)
        stacks = place(KernelStacks<Platform>(options: StackOptions(), vmalloc: vmalloc)!)
        self.places = places
        for _ in 0..<12 { ownFrames.append(frames.value.allocate(order: 0, flags: .zero)!) }
        ownWords = Array(repeating: Array(repeating: 0, count: 512), count: ownFrames.count)
        machine.loadRoot(tables.value.root, onCPU: 0)
        Platform.flushAllPages()
        let vmalloc = vmalloc
        let stacks = stacks
        let tables = tables
        machine.pageFaultHandler = { address, kind in
            var access: FaultAccess = kind == .store ? .write : kind == .fetch ? .execute : .none
            if tables.value.translate(address) != nil { access.insert(.protection) }
            switch stacks.value.grow(at: address, access: access) {
            case .grown, .spurious: return true
            case .reserveIsEmpty: return false
            case .notDue: break
            }
            switch vmalloc.value.handleFault(at: address, access: access) {
            case .resolved, .spurious: return true
            case .fatal: return false
            }
        }
    }

    private func release() {
        machine.pageFaultHandler = nil
        for place in places.reversed() { place() }
    }

    private func tryCalls() throws {
        // kmalloc keeps the slab that the areas' notes come from, once it is there.
        vmalloc.value.vfree(vmalloc.value.vmalloc(1))
        _ = vmalloc.value.ranges.giveUpResting()
        kmalloc.value.shrink()
        let before = frames.value.freeFrames
        let tablesBefore = tables.value.tableCount
        for _ in 0..<Self.lastCall where !input.isAtEnd {
            // All of them, by the remainder.
            let call = Call(rawValue: input.byte() % UInt8(Call.allCases.count))!
            try make(call)
            try check(after: call)
        }
        try giveEverythingBack()
        try require(tables.value.tableCount == tablesBefore, "\(tables.value.tableCount) tables are left")
        try require(
            frames.value.freeFrames == before, "\(frames.value.freeFrames) frames are free, and \(before) were")
    }

    private func giveEverythingBack() throws {
        frames.value.failAllocation(nth: 0)
        for frame in taken { frames.value.free(frame, order: 0) }
        taken = []
        for index in areas.indices { try checkContents(of: index, everything: true) }
        while let area = areas.popLast() { release(area) }
        try check(after: .vfree)
        _ = vmalloc.value.ranges.giveUpResting()
        kmalloc.value.shrink()
        try frames.value.checkInvariants()
        try tables.value.checkInvariants()
        try kmalloc.value.checkInvariants()
        try require(frames.value.promisedFrames == 0, "\(frames.value.promisedFrames) frames are still promised")
    }

    /// What must hold after each call.
    private func check(after call: Call) throws {
        // As a CPU does before it goes on on another stack.
        stacks.value.refillReserve()
        try vmalloc.value.checkInvariants()
        try stacks.value.checkInvariants()
        let figures = vmalloc.value.statistics.areas
        try require(figures.areas == UInt(areas.count), "\(call): \(figures.areas) areas, and not \(areas.count)")
        let reserved = areas.reduce(0) { $0 + $1.pages.count }
        let untouched = areas.reduce(0) { $0 + $1.pages.count { $0.isDue } }
        try require(figures.reservedPages == UInt(reserved), "\(call): \(figures.reservedPages) pages, not \(reserved)")
        try require(
            figures.presentPages == UInt(reserved - untouched),
            "\(call): \(figures.presentPages) pages are there, and not \(reserved - untouched)")
        try require(
            frames.value.promisedFrames == UInt(untouched),
            "\(call): \(frames.value.promisedFrames) frames are promised, and not \(untouched)")
        let violations = machine.takeViolations()
        try require(violations.isEmpty, "\(call): \(violations)")
        try require(machine.takeStaleTranslations().isEmpty, "\(call): a stale translation was used")
        _ = machine.takeFailedAllocations()
    }
}
