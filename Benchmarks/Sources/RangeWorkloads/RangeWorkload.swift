import HostSupport
import WorkloadSupport

/// Workload C: 10000 slots that hold a range of 1 to 64 pages and a guard page each, and are given another one at
/// random; then, in which range does an address lie?
@safe
struct RangeWorkload<Source: RangeSource>: ~Copyable {
    static var slotCount: Int { 10_000 }
    static var unmeasured: Int { 50_000 }
    static var measured: Int { 500_000 }
    static var lookups: Int { 1_000_000 }
    static var mostPages: Int { 64 }
    static var spaceStart: UInt { 0xffff_c900_0000_0000 }

    private let source: Source
    // slotCount entries each, written by the fill before they are read.
    private let addresses: UnsafeMutablePointer<UInt>
    private let pageCounts: UnsafeMutablePointer<Int>
    private var generator = Generator()
    private var refused = 0

    /// Fills every slot.
    init(_ source: Source) {
        self.source = source
        unsafe addresses = UnsafeMutablePointer.allocate(capacity: Self.slotCount)
        unsafe pageCounts = UnsafeMutablePointer.allocate(capacity: Self.slotCount)
        for slot in 0..<Self.slotCount { put(in: slot) }
    }

    deinit {
        unsafe addresses.deallocate()
        unsafe pageCounts.deallocate()
    }

    /// Frees what a random slot holds and puts a range of a random size there, `count` times.
    @inline(__always)
    private mutating func step(_ count: Int) {
        for _ in 0..<count {
            let slot = generator.below(Self.slotCount)
            source.free(unsafe addresses[slot])
            put(in: slot)
        }
    }

    @inline(__always)
    private mutating func put(in slot: Int) {
        let pageCount = 1 &+ generator.below(Self.mostPages)
        let address = source.allocate(UInt(bitPattern: pageCount))
        unsafe addresses[slot] = address
        unsafe pageCounts[slot] = pageCount
        if address == 0 { refused &+= 1 }
    }

    /// Looks up a random byte of the range in a random slot, `lookups` times. - Returns: how often another was found.
    @inline(__always)
    private mutating func find() -> Int {
        var wrong = 0
        for _ in 0..<Self.lookups {
            let slot = generator.below(Self.slotCount)
            let offset = generator.below(unsafe pageCounts[slot] &<< 12)
            let address = unsafe addresses[slot]
            if source.find(address &+ UInt(bitPattern: offset)) != address { wrong &+= 1 }
        }
        return wrong
    }

    /// The lines that a run prints.
    struct Labels {
        let pairs: StaticString
        let lookups: StaticString
    }

    /// - Parameter draws: what the workload must have drawn when it ends.
    @inline(never)
    mutating func run(_ labels: Labels, _ draws: RangeDraws) {
        step(Self.unmeasured)
        measure(labels.pairs, operations: Self.measured) { step(Self.measured) }
        expect(generator.state == draws.endState, "the draws of workload C when it ended")
        expect(refused == 0, "a request of workload C was refused")
        generator = Generator()
        var wrong = 0
        measure(labels.lookups, operations: Self.lookups) { wrong = find() }
        expect(generator.state == draws.lookupState, "the draws of workload C's look-ups when they ended")
        expect(wrong == 0 || Source.self == NullRanges.self, "an address of workload C was found in another range")
    }
}

/// What workload C draws.
struct RangeDraws {
    /// The generator's state when the steps end, and when the look-ups do.
    let endState: UInt64
    let lookupState: UInt64
    /// The pages of all ranges that are live in the end, guard pages included.
    let livePages: Int

    init() {
        typealias Workload = RangeWorkload<NullRanges>
        // As many entries as slots, each written by the fill.
        let counts = UnsafeMutablePointer<Int>.allocate(capacity: Workload.slotCount)
        var generator = Generator()
        var checksum = Checksum()
        for slot in 0..<Workload.slotCount {
            unsafe counts[slot] = 1 + generator.below(Workload.mostPages)
            checksum.add(unsafe counts[slot])
        }
        expect(checksum.value == 0x7cdc_38db_cc8d_7322, "the fill of workload C")
        for _ in 0..<Workload.unmeasured + Workload.measured {
            let slot = generator.below(Workload.slotCount)
            unsafe counts[slot] = 1 + generator.below(Workload.mostPages)
            checksum.add(slot)
            checksum.add(unsafe counts[slot])
        }
        expect(checksum.value == 0x6e45_e312_9b05_a22f, "the steps of workload C")
        endState = generator.state
        var live = 0
        for slot in 0..<Workload.slotCount { live += unsafe counts[slot] + 1 }
        expect(live == 333_454, "the pages that are live when workload C ends")
        livePages = live
        generator = Generator()
        var lookups = Checksum()
        for _ in 0..<Workload.lookups {
            let slot = generator.below(Workload.slotCount)
            let offset = generator.below(unsafe counts[slot] << 12)
            lookups.add(slot)
            lookups.add(offset)
        }
        expect(lookups.value == 0xafc7_2e9d_a32a_91e5, "the look-ups of workload C")
        lookupState = generator.state
        unsafe counts.deallocate()
    }
}
