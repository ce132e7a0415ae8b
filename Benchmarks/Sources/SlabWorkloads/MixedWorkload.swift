import HostSupport
import WorkloadSupport

/// Workload B: 50000 slots that hold an object of 8 to 2047 bytes each, and are given another one at random.
@safe
struct MixedWorkload<Source: ObjectSource>: ~Copyable {
    static var slotCount: Int { 50_000 }
    static var unmeasured: Int { 100_000 }
    static var measured: Int { 1_000_000 }

    private let source: Source
    // slotCount entries, written by the fill before they are read; 0 stands for no object.
    private let objects: UnsafeMutablePointer<UInt>
    private var generator = Generator()
    private var refused = 0

    /// Fills every slot.
    init(_ source: Source) {
        self.source = source
        unsafe objects = UnsafeMutablePointer.allocate(capacity: Self.slotCount)
        for slot in 0..<Self.slotCount { put(in: slot) }
    }

    deinit { unsafe objects.deallocate() }

    /// Frees what a random slot holds and puts an object of a random size there, `count` times.
    @inline(__always)
    private mutating func step(_ count: Int) {
        for _ in 0..<count {
            let slot = generator.below(Self.slotCount)
            let object = unsafe objects[slot]
            if object != 0 { source.free(object) }
            put(in: slot)
        }
    }

    @inline(__always)
    private mutating func put(in slot: Int) {
        let byteCount = UInt(generator.size())
        let object = source.allocate(byteCount)
        unsafe objects[slot] = object
        guard let pointer = unsafe UnsafeMutablePointer<UInt>(bitPattern: object) else {
            refused += 1
            return
        }
        // An object of at least 8 bytes, which was just handed out.
        unsafe pointer.pointee = byteCount
    }

    /// - Parameter draws: what the workload must have drawn when it ends.
    @inline(never)
    mutating func run(_ label: StaticString, _ draws: MixedDraws) {
        step(Self.unmeasured)
        measure(label, operations: Self.measured) { step(Self.measured) }
        check(draws)
    }

    /// The same, of which no time matters.
    @inline(never)
    mutating func run(_ draws: MixedDraws) {
        step(Self.unmeasured + Self.measured)
        check(draws)
    }

    private func check(_ draws: MixedDraws) {
        expect(generator.state == draws.endState, "the draws of workload B when it ended")
        expect(refused == 0, "a request of workload B was refused")
    }
}

/// What workload B draws.
struct MixedDraws {
    /// The generator's state when the workload ends.
    let endState: UInt64
    /// The bytes asked for by the objects that are live then.
    let liveBytes: UInt

    init() {
        let slots = MixedWorkload<NullObjects>.slotCount
        // As many entries as slots, each written by the fill.
        let sizes = UnsafeMutablePointer<UInt>.allocate(capacity: slots)
        var generator = Generator()
        var checksum = Checksum()
        var live: UInt = 0
        for slot in 0..<slots {
            let size = UInt(generator.size())
            unsafe sizes[slot] = size
            live += size
            checksum.add(Int(size))
        }
        expect(live == 19_286_926, "the bytes that the fill of workload B asks for")
        expect(checksum.value == 0x719f_7e6a_5857_cd89, "the fill of workload B")
        for _ in 0..<MixedWorkload<NullObjects>.unmeasured + MixedWorkload<NullObjects>.measured {
            let slot = generator.below(slots)
            let size = UInt(generator.size())
            live = live - (unsafe sizes[slot]) + size
            unsafe sizes[slot] = size
            checksum.add(slot)
            checksum.add(Int(size))
        }
        expect(live == 18_991_676, "the bytes that are live when workload B ends")
        expect(checksum.value == 0x719c_69ee_8e49_01fb, "the steps of workload B")
        unsafe sizes.deallocate()
        endState = generator.state
        liveBytes = live
    }
}
