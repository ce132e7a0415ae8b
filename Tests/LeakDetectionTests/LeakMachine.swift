import BootMemory
import LeakDetection
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

typealias Frames = PageFrameAllocator<SimulatedPlatform>
typealias Tables = PageTables<SimulatedPlatform>
typealias Detector = LeakDetector<SimulatedPlatform>

/// A simulated machine up to vmalloc whose allocations are noted down. `data` is the memory that is always in use.
final class LeakMachine: @unchecked Sendable {
    let machine: SimulatedMachine
    let frames: Permanent<Frames>
    let tables: Permanent<Tables>
    let kmalloc: Permanent<Kmalloc<SimulatedPlatform>>
    let vmalloc: Permanent<Vmalloc<SimulatedPlatform>>
    let stacks: Permanent<KernelStacks<SimulatedPlatform>>
    let detector: Permanent<Detector>
    /// A root of so many words.
    let data = UnsafeMutableBufferPointer<UInt>.allocate(capacity: 512)
    private(set) var endCount = 0

    static let exact = PageFrameOptions(frameCaches: false, minimumFreeKiB: 0)

    init(memory: UInt = 16 << 20, cpuCount: Int = 1) {
        let machine = SimulatedMachine(memory: memory, cpuCount: cpuCount)
        let directMap = machine.arena.directMap
        func place<Value: ~Copyable>(_ value: consuming Value) -> Permanent<Value> {
            Permanent(placing: value, at: .allocate(capacity: 1))
        }
        self.machine = machine
        data.initialize(repeating: 0)
        var ended: () -> Void = {}
        (frames, tables, detector, kmalloc, vmalloc, stacks) = machine.run {
            let lists = (0..<2).map { _ in UnsafeMutableBufferPointer<Region>.allocate(capacity: 32) }
            defer { for list in lists { list.deallocate() } }
            var boot = BootAllocator(memoryStorage: lists[0], reservedStorage: lists[1])
            boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(memory)))
            let frames = place(Frames(takingOver: &boot, directMap: directMap, options: LeakMachine.exact)!)
            var source = BuddyTableSource<SimulatedPlatform>(frames: frames)
            let tables = place(Tables(root: source.allocateTableFrame()!, directMap: directMap, features: .all))
            let detector = Detector.start(frames: frames, pageTables: tables, turnedOff: { ended() })!
            let kmalloc = place(Kmalloc<SimulatedPlatform>(frames: frames)!)
            let vmalloc = place(
                Vmalloc<SimulatedPlatform>(
                    range: AddressSpaceLayout.x86FourLevel.areas, frames: frames, pageTables: tables, kmalloc: kmalloc)!
            )
            // What the composition root does: the allocators' own values refer to what they have allocated.
            kmalloc.value.forEachOwnMemory { detector.value.addRoot($0) }
            let start = VirtualAddress(UInt(bitPattern: vmalloc.address))
            detector.value.addRoot(
                VirtualRange(start, start + UInt(MemoryLayout<Vmalloc<SimulatedPlatform>>.size)))
            let stacks = place(KernelStacks<SimulatedPlatform>(options: StackOptions(), vmalloc: vmalloc)!)
            return (frames, tables, detector, kmalloc, vmalloc, stacks)
        }
        let start = VirtualAddress(UInt(bitPattern: data.baseAddress))
        machine.run { _ = detector.value.addRoot(VirtualRange(start, start + UInt(data.count * 8))) }
        machine.pageFaultHandler = { [unowned self] address, _ in
            if stacks.value.grow(at: address, access: .write) == .grown { return true }
            switch vmalloc.value.handleFault(at: address, access: .write) {
            case .resolved, .spurious: return true
            case .fatal: return false
            }
        }
        for cpu in 0..<cpuCount { machine.loadRoot(tables.value.root, onCPU: cpu) }
        // The description of vmalloc refers to where its space begins.
        run { _ = vmalloc.value.allocate(1, flags: .kernel | .noLeakTrace) }
        ended = { [unowned self] in endCount += 1 }
    }

    deinit { data.deallocate() }

    func run<Result>(onCPU cpu: Int = 0, _ body: () throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu, body)
    }

    // Methods of this copyable class, which the testing macros can take apart. Callers are within `run`.

    func kmalloc(_ byteCount: UInt, _ flags: AllocationFlags = .kernel) -> UInt? {
        kmalloc.value.allocate(byteCount, flags: flags | .zero).map { UInt(bitPattern: $0) }
    }

    func kfree(_ address: UInt?) { kmalloc.value.free(address.flatMap { UnsafeMutableRawPointer(bitPattern: $0) }) }

    func vmalloc(_ byteCount: UInt, populate: Bool = false) -> VirtualAddress? {
        vmalloc.value.allocate(byteCount, populate: populate)
    }

    var presentPages: UInt { vmalloc.value.statistics.areas.presentPages }

    func makeStack() -> StackBox? {
        guard let stack = KernelStack<SimulatedPlatform>(name: "test", from: stacks) else { return nil }
        return StackBox(stack)
    }

    func frames(order: Int, flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        frames.value.allocate(order: order, flags: flags)
    }

    func exactFrames(_ byteCount: UInt) -> PageFrameNumber? { frames.value.allocateExact(byteCount: byteCount) }

    func store(_ word: UInt, at address: UInt) { UnsafeMutablePointer<UInt>(bitPattern: address)!.pointee = word }

    /// The words of `stack` are what the caller's stack holds.
    @discardableResult
    func scan(stack: [UInt] = []) -> ScanFigures? {
        stack.withUnsafeBufferPointer { buffer in
            let start = VirtualAddress(UInt(bitPattern: buffer.baseAddress))
            return detector.value.scan(stack: VirtualRange(start, start + UInt(buffer.count * 8)))
        }
    }

    /// The first addresses of all that counts as lost.
    var leaks: [UInt] {
        var all: [UInt] = []
        var next: UInt = 0
        while let leak = detector.value.firstLeak(from: next) {
            all.append(leak.start)
            next = leak.start + leak.byteCount
        }
        return all
    }

    /// What counts as lost after so many scans as it takes for that.
    func scanForLeaks() -> [UInt] {
        scan()
        scan()
        return leaks
    }

    func describe(_ address: UInt) -> LeakReport? { detector.value.describe(address) }
    func notLeak(_ address: UInt) -> Bool { detector.value.notLeak(address) }
    func ignore(_ address: UInt) -> Bool { detector.value.ignore(address) }
    func noScan(_ address: UInt) -> Bool { detector.value.noScan(address) }
    var recordCount: Int { detector.value.recordCount }
    var recordFrames: UInt { detector.value.recordFrames }
    func contains(_ address: UInt) -> Bool { detector.value.contains(address) }
    /// A poll with an empty stack.
    func poll() -> ScanFigures? { detector.value.poll(stack: VirtualRange(VirtualAddress(8), VirtualAddress(8))) }
    var isOn: Bool { detector.value.isOn }

    func direct(_ frame: PageFrameNumber) -> UInt { machine.arena.directMap.virtualAddress(of: frame.address).rawValue }

    func check() throws {
        try run {
            try detector.value.checkInvariants()
            try kmalloc.value.checkInvariants()
            try frames.value.checkInvariants()
        }
        let violations = machine.takeViolations()
        #expect(violations.isEmpty, "\(violations)")
    }
}

/// A report as text.
struct ReportText: ReportWriter {
    private var bytes: [UInt8] = []

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}
