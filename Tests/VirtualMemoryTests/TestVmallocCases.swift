import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// The cases of Linux's lib/test_vmalloc.c, one test by each of its names, and each with everything as before afterwards.
///
/// Not here: pcpu_alloc_test, because there is no allocator of per-CPU memory, and the kvfree_rcu tests, because there is no
/// RCU. That a call beside 15,000 areas takes at most twice as long as beside one is counted in instructions, by `make bench`.
@Suite struct TestVmallocCases {
    /// Runs `body`, after which every counter is as before and nothing is reported.
    private func unchanged(_ machine: VmallocMachine, _ body: () throws -> Void) throws {
        // Notes of areas stay in their cache until it is shrunk.
        func settle() {
            machine.run {
                _ = machine.vmalloc.value.ranges.giveUpResting()
                machine.kmalloc.value.shrink()
            }
        }
        settle()
        let before = machine.snapshot()
        try body()
        settle()
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    private func allocate(
        _ machine: VmallocMachine, pages: UInt, alignment: UInt, flags: AllocationFlags = .kernel
    ) -> VirtualAddress? {
        machine.run {
            let request = AreaRequest(.vmalloc, pageCount: pages, alignment: alignment, name: "aligned")
            return machine.vmalloc.value.allocateOnDemand(request, flags: flags)?.usable.start
        }
    }

    /// One page at a time; the same with several.
    @Test(arguments: [1, 4, 16, 64] as [UInt], [0, 64] as [UInt])
    func fix_size_alloc_test(pages: UInt, resting: UInt) throws {
        let machine = VmallocMachine(restingPages: resting)
        try unchanged(machine) {
            for round in 0..<200 as Range<UInt64> {
                let address = try #require(machine.allocate(pages * 4096))
                #expect(try machine.load(address) == 0, "what the last one wrote is gone")
                try machine.store(round + 1, address)
                machine.free(address)
            }
        }
    }

    /// Every second of many areas is freed, and each gap has just room for what comes next.
    @Test func full_fit_alloc_test() throws {
        let machine = VmallocMachine(mebibytes: 96)
        try unchanged(machine) {
            var kept: [VirtualAddress] = []
            var junk: [VirtualAddress] = []
            for _ in 0..<8192 {
                kept.append(try #require(machine.allocate(4096)))
                junk.append(try #require(machine.allocate(4096)))
            }
            for address in junk { machine.free(address) }
            let gaps = Set(junk.map(\.rawValue))
            for _ in 0..<500 {
                let address = try #require(machine.allocate(4096))
                #expect(gaps.contains(address.rawValue), "a gap that fits is used")
                try machine.store(1, address)
                machine.free(address)
            }
            try machine.check()
            for address in kept { machine.free(address) }
        }
    }

    /// A hundred pages and one page, beside 15,000 areas.
    @Test func long_busy_list_alloc_test() throws {
        let machine = VmallocMachine(mebibytes: 128)
        try unchanged(machine) {
            var busy: [VirtualAddress] = []
            for _ in 0..<15_000 { busy.append(try #require(machine.allocate(4096))) }
            #expect(Set(busy.map(\.rawValue)).count == 15_000)
            #expect(machine.statistics.areas.areas == 15_000)
            for _ in 0..<100 {
                let large = try #require(machine.allocate(100 * 4096))
                let small = try #require(machine.allocate(4096))
                try machine.store(7, large)
                try machine.store(1, small)
                #expect(try machine.load(large) == 7)
                machine.free(large)
                machine.free(small)
            }
            try machine.check()
            for address in busy { machine.free(address) }
        }
    }

    @Test(arguments: [UInt64(1), 2]) func random_size_alloc_test(seed: UInt64) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        let machine = VmallocMachine()
        try unchanged(machine) {
            for _ in 0..<500 {
                let pages = UInt.random(in: 1...100, using: &random)
                let address = try #require(machine.allocate(pages * 4096))
                try machine.store(1, address)
                try machine.store(2, address + (pages * 4096 - 8))
                machine.free(address)
            }
        }
    }

    /// Five pages at multiples of twice a kernel stack's size.
    @Test func fix_align_alloc_test() throws {
        let machine = VmallocMachine()
        let alignment = 2 * StackOptions().pageCount * 4096
        try unchanged(machine) {
            var live: [VirtualAddress] = []
            for round in 0..<200 {
                let address = try #require(allocate(machine, pages: 5, alignment: alignment))
                #expect(address.isAligned(to: alignment))
                try machine.store(UInt64(round), address + 4 * 4096)
                live.append(address)
                if live.count > 7 { machine.free(live.removeFirst()) }
            }
            for address in live { machine.free(address) }
        }
    }

    /// One to ten pages at multiples of up to 4 MiB.
    @Test(arguments: [UInt64(3), 4]) func random_size_align_alloc_test(seed: UInt64) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        let machine = VmallocMachine()
        try unchanged(machine) {
            var live: [VirtualAddress] = []
            for _ in 0..<500 {
                let alignment = UInt(1) << UInt.random(in: 12...22, using: &random)
                let pages = UInt.random(in: 1...10, using: &random)
                let address = try #require(allocate(machine, pages: pages, alignment: alignment))
                #expect(address.isAligned(to: alignment))
                try machine.store(1, address)
                live.append(address)
                if live.count > 5 { machine.free(live.remove(at: Int.random(in: live.indices, using: &random))) }
            }
            try machine.check()
            for address in live { machine.free(address) }
        }
    }

    /// A page at multiples of every power of two: there must be one from which on it fails, and nothing but that.
    @Test func align_shift_alloc_test() throws {
        let machine = VmallocMachine()
        try unchanged(machine) {
            var failed: [UInt] = []
            for shift in 0..<64 as Range<UInt> {
                // A request's alignment is a page at least.
                let alignment = max(UInt(1) << shift, 4096)
                guard let address = allocate(machine, pages: 1, alignment: alignment, flags: .kernel | .noWarn) else {
                    failed.append(shift)
                    continue
                }
                #expect(address.isAligned(to: alignment) && VmallocMachine.space.contains(address))
                try machine.store(1, address)
                machine.free(address)
            }
            let first = try #require(failed.first, "it must fail")
            #expect(failed == Array(first..<64))
            // No smaller than what half of the space has room for, and no larger than what the space has a multiple of.
            let size = VmallocMachine.space.byteCount
            #expect(UInt(1) << first > size / 2 && UInt(1) << first <= size * 2)
        }
    }

    @Test(arguments: [1, 16]) func vm_map_ram_test(count: Int) throws {
        let machine = VmallocMachine()
        try unchanged(machine) {
            let frames = machine.run { (0..<count).compactMap { _ in machine.frames.value.allocate(order: 0) } }
            #expect(frames.count == count)
            for round in 0..<200 as Range<UInt64> {
                let address = try #require(
                    machine.run { frames.withUnsafeBufferPointer { machine.vmalloc.value.vm_map_ram($0, -1) } })
                try machine.store(round, address)
                #expect(machine.machine.arena.directMap.pointer(to: frames[0].address).load(as: UInt64.self) == round)
                machine.run { machine.vmalloc.value.vm_unmap_ram(address, count) }
            }
            machine.run { for frame in frames { machine.frames.value.free(frame, order: 0) } }
        }
    }
}
