import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// Shrinkers, and the reports on page frames, in the kernel: neither may allocate from the Swift runtime, and no function
/// of theirs may need much of a stack.
enum ShrinkerTests {
    /// A cache of frames that nobody misses.
    @safe
    struct Cache: Shrinker, ~Copyable {
        let frames: UnsafeMutablePointer<UInt>

        borrowing func count(for flags: AllocationFlags) -> UInt { unsafe frames.pointee }

        borrowing func scan(_ target: UInt, for flags: AllocationFlags) -> UInt {
            // The test's own memory, which it alone uses.
            let gift = unsafe min(target, frames.pointee)
            unsafe frames.pointee -= gift
            return gift
        }
    }

    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        SelfTest.run("shrinkers: asked in proportion, and not once they are gone") { proportion(memory) }
        SelfTest.run("reports: free blocks and failed allocations") { reports() }
    }

    private static func proportion(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let frames = memory.value.frames
        guard let frame = SelfTest.require(frames.value.allocate(order: 0), "a frame for the list") else { return }
        let objects = SwiftRuntime.allocationCount
        // The frame is this test's own: the list at its beginning, the caches and their numbers behind it.
        let place = unsafe memory.value.directMap.pointer(to: frame)
        let list = unsafe Permanent(
            placing: ShrinkerList<X86Platform>(in: place + 512),
            at: place.bindMemory(to: ShrinkerList<X86Platform>.self, capacity: 1))
        let large = unsafe cache(of: 300, at: place + 3072)
        let small = unsafe cache(of: 100, at: place + 3584)
        let first = list.value.register(large)
        let second = list.value.register(small)
        SelfTest.expect(list.value.shrink(target: 200, flags: .kernel), equals: 200, "as much as was asked for")
        SelfTest.expect(large.value.count(for: .kernel), equals: 150, "three quarters from the large cache")
        SelfTest.expect(small.value.count(for: .kernel), equals: 50, "one quarter from the small cache")
        if let first, let second {
            SelfTest.expect(list.value.unregister(first) == .removed, "a shrinker can be unregistered")
            SelfTest.expect(list.value.unregister(second) == .removed, "so can the other")
        }
        SelfTest.expect(list.value.shrink(target: 10, flags: .kernel), equals: 0, "none is left")
        SelfTest.expect(SwiftRuntime.allocationCount, equals: objects, "no Swift object was made")
        frames.value.free(frame, order: 0)
    }

    @unsafe
    private static func cache(of frames: UInt, at place: UnsafeMutableRawPointer) -> Permanent<Cache> {
        let number = unsafe place.bindMemory(to: UInt.self, capacity: 1)
        unsafe number.initialize(to: frames)
        return unsafe Permanent(
            placing: Cache(frames: number), at: (place + 256).bindMemory(to: Cache.self, capacity: 1))
    }

    // MARK: Reports

    /// Zones with a block of each order.
    private struct Zones: ZoneReportSource {
        func report(of kind: ZoneKind) -> ZoneReport {
            var zone = ZoneReport(kind)
            zone.present = 2047
            zone.managed = 2047
            zone.free = 2047
            for order in 0...BlockOrder.highest { zone.freeBlocks[0][order] = 1 }
            return zone
        }
    }

    /// Counts lines and bytes.
    private struct Counter: ReportWriter {
        var lines: UInt = 0
        var bytes: UInt = 0

        mutating func write(_ byte: UInt8) {
            bytes += 1
            if byte == UInt8(ascii: "\n") { lines += 1 }
        }
    }

    private static func reports() {
        let objects = SwiftRuntime.allocationCount
        var counter = Counter()
        BuddyInfoReport.write(Zones(), to: &counter)
        SelfTest.expect(counter.lines, equals: 3, "buddyinfo has a line for each zone")
        SelfTest.expect(counter.bytes, equals: 3 * 100, "which is as long as Linux's")
        PageTypeInfoReport.write(Zones(), to: &counter)
        SelfTest.expect(counter.lines, equals: 3 + 4 + 15 + 2 + 3, "pagetypeinfo has its lines")
        let failure = AllocationFailure(name: "test", order: 3, flags: .GFP_ATOMIC | .__GFP_NOWARN, cpu: 0)
        AllocationFailureReport.write(failure, Zones(), to: &counter)
        SelfTest.expect(counter.lines, equals: 27 + 2 + 4 + 6 + 3 + 2, "the report on a failure has its lines")
        SelfTest.expect(SwiftRuntime.allocationCount, equals: objects, "no Swift object was made")
    }
}
