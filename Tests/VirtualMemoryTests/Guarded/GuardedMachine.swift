import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import Synchronization
import Testing

@testable import VirtualMemory

typealias TestedPool = GuardedPool<SimulatedPlatform>

/// A simulated machine with a pool of guarded objects that kmalloc samples to. Guarded objects are touched through the
/// simulated MMU only: their addresses mean nothing to the host. So vmalloc, whose notes kmalloc has, is not used.
final class GuardedMachine: @unchecked Sendable {
    let below: VmallocMachine
    let pool: Permanent<TestedPool>
    /// The last fault that was the pool's.
    private let fault = Mutex<GuardedError?>(nil)

    var machine: SimulatedMachine { below.machine }

    init(objects: UInt = 16, interval: UInt = 1, cpuCount: Int = 1) {
        var slab = SlabOptions()
        slab.sampleInterval = interval
        let below = VmallocMachine(cpuCount: cpuCount, slab: slab)
        self.below = below
        pool = below.run {
            let made = TestedPool(count: objects, vmalloc: below.vmalloc, kmalloc: below.kmalloc)!
            let pool = Permanent(placing: made, at: .allocate(capacity: 1))
            below.kmalloc.value.startSampling(to: GuardedPool.calls(of: pool), every: interval)
            return pool
        }
        machine.trace = [0x1000, 0x2000, 0x3000]
        machine.pageFaultHandler = { [unowned self] address, access in
            var wanted: FaultAccess = []
            if access == .store { wanted.insert(.write) }
            if access == .fetch { wanted.insert(.execute) }
            if self.below.tables.value.translate(address) != nil { wanted.insert(.protection) }
            let found = self.pool.value.diagnose(address, access: wanted)
            self.fault.withLock { $0 = found }
            return false
        }
    }

    deinit {
        pool.destroy()
        unsafe pool.address.deallocate()
    }

    func run<Result>(onCPU cpu: Int = 0, _ body: () throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu, body)
    }

    // Methods of a class that can be copied, which the testing macros can take apart.

    func kmalloc(_ byteCount: UInt, _ flags: AllocationFlags = .kernel) -> UInt? {
        run { below.kmalloc.value.allocate(byteCount, flags: flags).map { UInt(bitPattern: $0) } }
    }

    func kfree(_ address: UInt) { run { below.kmalloc.value.free(UnsafeMutableRawPointer(bitPattern: address)) } }

    func ksize(_ address: UInt) -> UInt {
        run { below.kmalloc.value.size(of: UnsafeRawPointer(bitPattern: address)) }
    }

    func krealloc(_ address: UInt, _ byteCount: UInt) -> UInt? {
        run {
            below.kmalloc.value.reallocate(
                UnsafeMutableRawPointer(bitPattern: address), byteCount, flags: .kernel
            ).map { UInt(bitPattern: $0) }
        }
    }

    func allocate(_ request: GuardedRequest) -> UInt? { run { pool.value.allocate(request) } }

    func isGuarded(_ address: UInt?) -> Bool { address.map { pool.value.range.contains(VirtualAddress($0)) } ?? false }

    /// A guarded object at one end of its page; chance decides which.
    func object(_ byteCount: UInt, atEnd: Bool) throws -> UInt {
        for _ in 0..<200 {
            let address = try #require(kmalloc(byteCount))
            try #require(isGuarded(address))
            if (address & 4095 != 0) == atEnd { return address }
            kfree(address)
        }
        throw Missing()
    }

    struct Missing: Error {}

    /// Reads a byte. - Returns: what the pool says of the fault; nil where there was none, or it was not the pool's.
    func read(_ address: UInt) -> GuardedError? {
        fault.withLock { $0 = nil }
        _ = try? run { try machine.load(VirtualAddress(address), as: UInt8.self) }
        return fault.withLock { $0 }
    }

    /// Writes a byte. As `read`.
    @discardableResult
    func write(_ address: UInt, _ value: UInt8 = 0x42) -> GuardedError? {
        fault.withLock { $0 = nil }
        try? run { try machine.store(value, to: VirtualAddress(address)) }
        return fault.withLock { $0 }
    }

    func violations() -> [MemoryViolation] { machine.takeViolations() }

    var statistics: GuardedStatistics { run { pool.value.statistics } }

    func report(_ error: GuardedError) -> String {
        var trace = StackTrace()
        trace.append(0xa000)
        trace.append(0xb000)
        var writer = ReportText()
        run { pool.value.write(error, trace, to: &writer) }
        return writer.text
    }

    func diagnose(_ violation: MemoryViolation) -> GuardedError? { run { pool.value.diagnose(violation) } }

    func check(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try run {
            try pool.value.checkInvariants()
            try below.tables.value.checkInvariants()
            try below.kmalloc.value.checkInvariants()
            try below.vmalloc.value.checkInvariants()
            try below.frames.value.checkInvariants()
        }
        #expect(machine.takeStaleTranslations() == [], sourceLocation: sourceLocation)
        #expect(machine.takeViolations().map(\.kind) == [], sourceLocation: sourceLocation)
    }
}

/// A report as text.
struct ReportText: ReportWriter {
    private var bytes: [UInt8] = []

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}
