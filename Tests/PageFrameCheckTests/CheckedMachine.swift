import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

typealias TestedFrames = PageFrameAllocator<SimulatedPlatform>

/// A simulated machine whose page frames are checked as a test wants.
final class CheckedMachine: @unchecked Sendable {
    let machine: SimulatedMachine
    let frames: Permanent<TestedFrames>
    private let place: UnsafeMutablePointer<TestedFrames>
    private let storage: [UnsafeMutableBufferPointer<Region>]

    /// - Parameters:
    ///   - mebibytes: RAM, from the second MiB to here.
    ///   - dirt: what every byte of memory holds at boot.
    init(
        mebibytes: UInt = 16, _ checks: FrameChecks, cpuCount: Int = 1, frameCaches: Bool = true, dirt: UInt8 = 0,
        failedRequest: UInt = 0
    ) throws {
        let machine = SimulatedMachine(memory: mebibytes << 20, cpuCount: cpuCount)
        if dirt != 0 {
            machine.arena.directMap.pointer(to: .zero).initializeMemory(
                as: UInt8.self, repeating: dirt, count: Int(mebibytes << 20))
        }
        let storage = (0..<2).map { _ in UnsafeMutableBufferPointer<Region>.allocate(capacity: 64) }
        var boot = BootAllocator(memoryStorage: storage[0], reservedStorage: storage[1])
        boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(mebibytes << 20)))
        var options = PageFrameOptions()
        options.checks = checks
        options.frameCaches = frameCaches
        options.minimumFreeKiB = 0
        options.failedRequest = failedRequest
        let place = UnsafeMutablePointer<TestedFrames>.allocate(capacity: 1)
        let taken = machine.run { () -> Permanent<TestedFrames>? in
            guard let frames = TestedFrames(takingOver: &boot, directMap: machine.arena.directMap, options: options)
            else { return nil }
            return Permanent(placing: frames, at: place)
        }
        frames = try #require(taken)
        self.place = place
        self.machine = machine
        self.storage = storage
    }

    deinit {
        frames.destroy()
        place.deallocate()
        for array in storage { array.deallocate() }
    }

    func run<Result>(onCPU cpu: Int = 0, _ body: (borrowing TestedFrames) throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu) { try body(frames.value) }
    }

    func allocate(_ order: Int = 0, _ flags: AllocationFlags = .kernel | .noWarn) -> PageFrameNumber? {
        run { $0.allocate(order: order, flags: flags) }
    }

    func free(_ frame: PageFrameNumber, _ order: Int = 0) { run { $0.free(frame, order: order) } }

    func state(_ frame: PageFrameNumber) -> FrameState { run { $0.state(of: frame) } }

    var freeFrames: UInt { run { $0.freeFrames } }

    var cachedFrames: UInt { run { $0.cachedFrames(inZone: 0) + $0.cachedFrames(inZone: 1) } }

    func history(_ frame: PageFrameNumber) -> FrameHistory? { run { $0.ownerReport(of: frame) } }

    /// A byte of memory, counted from a frame's start.
    subscript(frame: PageFrameNumber, offset: Int) -> UInt8 {
        get { machine.arena.directMap.pointer(to: frame).load(fromByteOffset: offset, as: UInt8.self) }
        set {
            machine.arena.directMap.pointer(to: frame).storeBytes(of: newValue, toByteOffset: offset, as: UInt8.self)
        }
    }

    func bytes(_ frame: PageFrameNumber, count: Int = 4096) -> [UInt8] { (0..<count).map { self[frame, $0] } }

    func takeViolations() -> [MemoryViolation] { machine.takeViolations() }

    /// Every rule of the allocator, and that nothing was reported.
    func check(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try run { try $0.checkInvariants() }
        let violations = takeViolations()
        #expect(violations.isEmpty, "\(violations)", sourceLocation: sourceLocation)
    }
}

/// A report as text.
struct ReportText: ReportWriter {
    private var bytes: [UInt8] = []

    init(_ fill: (inout ReportText) -> Void) { fill(&self) }

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    var lines: [String] {
        String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}
