import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import TestSupport
import Testing

@testable import VirtualMemory

/// `vmalloc_huge`: which pages are behind an area, and that all calls work on it.
@Suite struct LargePageTests {
    private func huge(
        _ machine: VmallocMachine, _ byteCount: UInt, _ flags: AllocationFlags = .kernel
    ) -> VirtualAddress? {
        machine.run { machine.vmalloc.value.vmalloc_huge(byteCount, flags) }
    }

    /// The sizes of the pages behind an area, in order, each with how many there are in a row.
    private func pages(_ machine: VmallocMachine, _ start: VirtualAddress, _ byteCount: UInt) throws -> [PageSize: Int]
    {
        var found: [PageSize: Int] = [:]
        var offset: UInt = 0
        while offset < byteCount {
            let page = try #require(machine.run { machine.tables.value.translate(start + offset) })
            #expect(page.physical.isAligned(to: page.size.byteCount))
            #expect(page.permissions == .readWrite)
            found[page.size, default: 0] += 1
            offset += page.size.byteCount
        }
        #expect(offset == (byteCount + 4095) & ~4095, "no more than was asked for, in whole pages")
        return found
    }

    @Test(
        arguments: [
            (1, [.size4KiB: 1]), (4096 * 511, [.size4KiB: 511]), (2 << 20, [.size2MiB: 1]),
            ((2 << 20) + 1, [.size2MiB: 1, .size4KiB: 1]), ((6 << 20) - 4096, [.size2MiB: 2, .size4KiB: 511]),
            (8 << 20, [.size2MiB: 4]),
        ] as [(UInt, [PageSize: Int])])
    func theLargestPagesThatFit(byteCount: UInt, expected: [PageSize: Int]) throws {
        let machine = VmallocMachine(mebibytes: 32)
        let before = machine.snapshot()
        let start = try #require(huge(machine, byteCount, .kernel | .zero))
        #expect(byteCount < 2 << 20 || start.isAligned(to: 2 << 20))
        #expect(try pages(machine, start, byteCount) == expected)
        for offset in stride(from: UInt(0), to: byteCount, by: 4096) {
            #expect(try machine.load(start + offset) == 0)
            try machine.store(UInt64(offset), start + offset)
        }
        for offset in stride(from: UInt(0), to: byteCount, by: 4096) {
            #expect(try machine.load(start + offset) == UInt64(offset))
            let frame = try #require(machine.run { machine.vmalloc.value.vmalloc_to_page(start + offset + 5) })
            #expect(machine.run { machine.tables.value.translate(start + offset) }?.physical == frame.address)
        }
        let end = start + (byteCount + 4095) & ~4095
        #expect(throws: SimulatedFault.self) { try machine.load(end) }
        #expect(machine.statistics.areas.presentPages == (byteCount + 4095) / 4096)
        #expect(machine.run { machine.vmalloc.value.is_vmalloc_addr(start) })
        try machine.checkAll()
        machine.free(start)
        #expect(throws: SimulatedFault.self) { try machine.load(start) }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
        try machine.checkAll()
    }

    /// 1 GiB where the CPU has such pages and memory has such a part; and without.
    @Test(arguments: [true, false]) func aGigabyte(hasGigabytePages: Bool) throws {
        var features = PagingFeatures.all
        features.gigabytePages = hasGigabytePages
        let machine = VmallocMachine(mebibytes: 3200, features: features)
        let before = machine.snapshot()
        let byteCount: UInt = (1 << 30) + (2 << 20) + 4096
        let start = try #require(huge(machine, byteCount))
        #expect(
            try pages(machine, start, byteCount)
                == (hasGigabytePages
                    ? [.size1GiB: 1, .size2MiB: 1, .size4KiB: 1] : [.size2MiB: 513, .size4KiB: 1]))
        #expect(start.isAligned(to: hasGigabytePages ? 1 << 30 : 2 << 20))
        for offset in [0, 4096, (1 << 30) - 8, 1 << 30, byteCount - 8] as [UInt] {
            try machine.store(UInt64(offset), start + offset)
        }
        for offset in [0, 4096, (1 << 30) - 8, 1 << 30, byteCount - 8] as [UInt] {
            #expect(try machine.load(start + offset) == UInt64(offset))
        }
        machine.free(start)
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
        #expect(machine.machine.takeStaleTranslations() == [])
        try machine.run { try machine.frames.value.checkInvariants() }
    }

    /// Where memory is in pieces, small pages are what there is.
    @Test func fragmentedMemory() throws {
        let machine = VmallocMachine(mebibytes: 24)
        // One frame of each 2 MiB stays in use, but for one piece.
        var taken = machine.run { (0..<7000).compactMap { _ in machine.frames.value.allocate(order: 0) } }
        let kept = Dictionary(grouping: taken) { $0.rawValue / 512 }.values.map { $0.min()! }.sorted().dropFirst(2)
        taken.removeAll { kept.contains($0) }
        machine.run { for frame in taken { machine.frames.value.free(frame, order: 0) } }
        let before = machine.snapshot()
        let start = try #require(huge(machine, 8 << 20))
        let found = try pages(machine, start, 8 << 20)
        #expect(found[.size2MiB, default: 0] <= 2 && found[.size4KiB, default: 0] >= 1024)
        #expect(found[.size2MiB, default: 0] * 512 + found[.size4KiB, default: 0] == 2048)
        try machine.checkAll()
        machine.free(start)
        #expect(machine.snapshot() == before)
        machine.run { for frame in kept { machine.frames.value.free(frame, order: 0) } }
        try machine.checkAll()
    }

    /// A part with other permissions is split off; the blocks come back whole.
    @Test func splitAndFreed() throws {
        let machine = VmallocMachine(mebibytes: 24)
        let before = machine.snapshot()
        let start = try #require(huge(machine, (6 << 20) + 8192))
        var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
        for (offset, byteCount) in [(4096, 8192), ((2 << 20) - 4096, 8192), ((6 << 20) - 4096, 8192)] as [(UInt, UInt)]
        {
            let range = VirtualRange(start + offset, start + offset + byteCount)
            try machine.run {
                try machine.tables.value.adjustRange(range, removing: .write, using: &source)
            }
            #expect(throws: SimulatedFault.self) { try machine.store(1, start + offset) }
        }
        machine.free(start)
        #expect(machine.takeKinds() == [])
        #expect(machine.snapshot() == before)
        try machine.checkAll()
    }

    @Test func otherCallsOnALargeArea() throws {
        let machine = VmallocMachine(mebibytes: 24)
        let before = machine.snapshot()
        let start = try #require(huge(machine, 4 << 20))
        for offset in stride(from: UInt(0), to: 4 << 20, by: 4096) { try machine.store(UInt64(offset), start + offset) }
        var bytes = [UInt8](repeating: 1, count: 24)
        bytes.withUnsafeMutableBytes { buffer in
            let read = machine.run { machine.vmalloc.value.vread(buffer, start + (4 << 20) - 16) }
            #expect(read == 16 && buffer.loadUnaligned(fromByteOffset: 0, as: UInt64.self) == 0)
        }
        bytes.withUnsafeMutableBytes { buffer in
            _ = machine.run { machine.vmalloc.value.vread(buffer, start + (2 << 20)) }
            #expect(buffer.loadUnaligned(fromByteOffset: 0, as: UInt64.self) == 2 << 20)
        }
        // Larger: another area, with the same contents.
        let moved = try #require(machine.run { machine.vmalloc.value.vrealloc(start, 5 << 20) })
        for offset in stride(from: UInt(0), to: 4 << 20, by: 4096) {
            #expect(try machine.load(moved + offset) == UInt64(offset))
        }
        machine.run {
            machine.vmalloc.value.vfree(moved + 4096)
            machine.vmalloc.value.vfree(moved)
            machine.vmalloc.value.vfree(moved)
        }
        #expect(machine.takeKinds() == [.misalignedFree, .doubleFree])
        #expect(machine.snapshot() == before)
    }

    @Test func whatCannotBeHad() throws {
        let machine = VmallocMachine(mebibytes: 16)
        let before = machine.snapshot()
        for byteCount in [0, .max, 1 << 40, 17 << 20] as [UInt] { #expect(huge(machine, byteCount) == nil) }
        _ = machine.machine.takeFailedAllocations()
        // As many as there are cannot be: tables are needed, too.
        let all = machine.run { machine.frames.value.freeFrames } * 4096
        #expect(huge(machine, all) == nil)
        #expect(machine.machine.takeFailedAllocations().contains { $0.lack == .areaFrames })
        #expect(huge(machine, all, .kernel | .noWarn) == nil)
        #expect(machine.machine.takeFailedAllocations().filter { $0.lack == .areaFrames }.isEmpty)
        let low = try #require(huge(machine, 3 << 20, .kernel | .dma32))
        #expect(try pages(machine, low, 3 << 20)[.size2MiB] == nil, "a zone is as for small pages")
        machine.free(low)
        #expect(machine.snapshot() == before)
        try machine.checkAll()
    }

    @Test func eachStepFailing() throws {
        let machine = VmallocMachine(mebibytes: 24)
        let point = FailurePoint(
            arm: { nth in machine.run { machine.frames.value.failAllocation(nth: nth) } },
            left: { machine.run { machine.frames.value.requestsUntilFailure } })
        let steps = try failEachInTurn(point, counters: { machine.snapshot() }, check: { try machine.checkAll() }) {
            let address = huge(machine, (4 << 20) + 70 * 4096)
            return address.map { address in { machine.free(address) } }
        }
        #expect(steps.failed >= 4 && steps.survived >= 2, "smaller pages do for a large one")
        _ = machine.machine.takeFailedAllocations()
    }

    /// Areas of all sizes come and go on several CPUs, each with its own contents.
    @Test func onSeveralCPUs() throws {
        let machine = VmallocMachine(mebibytes: 96, cpuCount: 4)
        _ = machine.run { machine.kmalloc.value.shrink() }
        let before = machine.snapshot()
        machine.machine.onAllCPUs { cpu in
            var generator = SeededGenerator(seed: UInt64(cpu))
            for _ in 0..<40 {
                let byteCount = UInt.random(in: 1...(9 << 20), using: &generator)
                guard let start = machine.vmalloc.value.vmalloc_huge(byteCount) else { continue }
                let places: [UInt] = [0, (byteCount - 1) & ~7]
                for place in places { try? machine.machine.store(UInt64(cpu), to: start + place) }
                for place in places {
                    let found: UInt64? = try? machine.machine.load(start + place)
                    if found != UInt64(cpu) { fatalError("another CPU wrote there") }
                }
                machine.vmalloc.value.vfree(start)
            }
        }
        _ = machine.machine.takeFailedAllocations()
        #expect(machine.takeKinds() == [])
        _ = machine.run { machine.kmalloc.value.shrink() }
        #expect(machine.snapshot() == before)
        try machine.checkAll()
    }
}
