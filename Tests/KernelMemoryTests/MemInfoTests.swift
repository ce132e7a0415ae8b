import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

@testable import KernelMemory

/// `meminfo`: to the byte in Linux's format, and to the page what there is.
@Suite struct MemInfoTests {
    /// Linux's `/proc/meminfo` (Debian 12, Linux 6.1.192), with 0 where there is nothing here that it could count.
    private static let linuxLines = """
        MemTotal:         468416 kB
        MemFree:          437604 kB
        MemAvailable:     437164 kB
        Buffers:               0 kB
        Cached:                0 kB
        SwapCached:            0 kB
        Active:                0 kB
        Inactive:              0 kB
        Active(anon):          0 kB
        Inactive(anon):        0 kB
        Active(file):          0 kB
        Inactive(file):        0 kB
        Unevictable:           0 kB
        Mlocked:               0 kB
        SwapTotal:             0 kB
        SwapFree:              0 kB
        Zswap:                 0 kB
        Zswapped:              0 kB
        Dirty:                 0 kB
        Writeback:             0 kB
        AnonPages:             0 kB
        Mapped:                0 kB
        Shmem:                 0 kB
        KReclaimable:       8712 kB
        Slab:              14564 kB
        SReclaimable:       8712 kB
        SUnreclaim:         5852 kB
        KernelStack:         752 kB
        PageTables:           40 kB
        SecPageTables:         0 kB
        NFS_Unstable:          0 kB
        Bounce:                0 kB
        WritebackTmp:          0 kB
        CommitLimit:      234208 kB
        Committed_AS:       4336 kB
        VmallocTotal:   34359738364 kB
        VmallocUsed:        7356 kB
        VmallocChunk:          0 kB
        Percpu:              260 kB
        HardwareCorrupted:     0 kB
        AnonHugePages:         0 kB
        ShmemHugePages:        0 kB
        ShmemPmdMapped:        0 kB
        FileHugePages:         0 kB
        FilePmdMapped:         0 kB
        HugePages_Total:       0
        HugePages_Free:        0
        HugePages_Rsvd:        0
        HugePages_Surp:        0
        Hugepagesize:       2048 kB
        Hugetlb:               0 kB
        DirectMap4k:       28544 kB
        DirectMap2M:      495616 kB

        """

    @Test func linesAreLinuxsToTheByte() {
        var info = MemInfo()
        (info.total, info.free, info.available) = (468_416 / 4, 437_604 / 4, 437_164 / 4)
        (info.slab.reclaimable, info.slab.unreclaimable) = (8712 / 4, 5000 / 4)
        (info.slab.largeBlocks, info.slab.bookkeeping) = (800 / 4, 52 / 4)
        (info.kernelStack, info.pageTables) = (752 / 4, 40 / 4)
        // Linux counts to the last byte, and so prints 34359738367; here it is a number of pages.
        (info.vmallocTotal, info.vmallocUsed) = (34_359_738_364 / 4, 7356 / 4)
        (info.committed, info.commitLimit, info.perCPU) = (4336 / 4, 234_208 / 4, 260 / 4)
        info.directMap = [28_544 / 4, 495_616 / 4, 0]
        var writer = TextWriter()
        info.write(to: &writer)
        #expect(writer.text == Self.linuxLines)
    }

    /// The numbers of the report in KiB.
    private func report(_ machine: KernelMachine) throws -> [String: UInt] {
        var writer = TextWriter()
        machine.run { machine.memory.value.writeMemInfo(to: &writer) }
        var numbers: [String: UInt] = [:]
        let shape = try Regex(#"([\w()]+): +(\d+)( kB)?"#)
        for line in writer.lines {
            let match = try #require(try shape.wholeMatch(in: line))
            let isCount = line.hasPrefix("HugePages_")
            #expect(line.count == (isCount ? 24 : 27) || line.hasPrefix("VmallocTotal:   34359738368 kB"))
            #expect(isCount == !line.hasSuffix(" kB"))
            numbers[String(match[1].substring!)] = UInt(match[2].substring!)
        }
        // The names and their order are the fixture's, whatever the machine.
        let expected = Self.linuxLines.split(separator: "\n").map { $0.split(separator: ":")[0] }
        let optional = ["CmaTotal", "CmaFree", "DirectMap1G"]
        #expect(writer.lines.map { $0.split(separator: ":")[0] }.filter { !optional.contains(String($0)) } == expected)
        return numbers
    }

    /// Each frame is free, a slab's, an area's, a guarded object's or a table's, and stands in one line.
    private func expectBalance(_ machine: KernelMachine, location: SourceLocation = #_sourceLocation) throws {
        let numbers = try report(machine)
        // The tables from before the page frames were there are not theirs.
        let bootTables = UInt(machine.tablesOfBootMemory) * 4
        let pool = UInt(machine.memory.value.guardedPool?.value.objectCount ?? 0) * 4
        let lazy = machine.run { machine.memory.value.memInfo.vmallocLazy } * 4
        let used =
            numbers["Slab"]! + numbers["VmallocUsed"]! + lazy + numbers["PageTables"]!
            - bootTables + pool
        #expect(numbers["MemTotal"]! == numbers["MemFree"]! + used, sourceLocation: location)
        #expect(numbers["Slab"]! == numbers["SReclaimable"]! + numbers["SUnreclaim"]!, sourceLocation: location)
        #expect(numbers["MemAvailable"]! <= numbers["MemTotal"]!, sourceLocation: location)
        let managed = machine.run { machine.memory.value.frames.value.managedFrames }
        #expect(numbers["MemTotal"]! == managed * 4, sourceLocation: location)
    }

    @Test(arguments: [MachineMap.pc(bytes: 16 << 20), .pc(bytes: 512 << 20), .large(gibibytes: 5)], [1, 4])
    func everyFrameStandsInOneLine(map: MachineMap, cpuCount: Int) throws {
        var configuration = Configuration()
        configuration.cpuCount = cpuCount
        let machine = try KernelMachine(map, configuration)
        try expectBalance(machine)
        let objects = machine.run { (0..<400).map { machine.kmalloc(UInt($0) * 29 + 1) } }
        try expectBalance(machine)
        let areas = machine.run { (1...5).map { machine.vmalloc(UInt($0) * 40_000, populate: $0 == 3) } }
        try expectBalance(machine)
        for area in areas { try machine.store(1, try #require(area) + 8192) }
        try expectBalance(machine)
        let stacks = machine.run { (1...3).compactMap { machine.makeStack(pages: $0) } }
        try expectBalance(machine)
        machine.run {
            for object in objects { machine.kfree(object) }
            for area in areas { machine.vfree(area) }
            for stack in stacks { stack.free() }
        }
        try expectBalance(machine)
        machine.run { machine.drain() }
        try expectBalance(machine)
        try machine.check()
    }

    @Test func guardedObjectsKeepTheBalance() throws {
        var configuration = Configuration()
        configuration.slab.sampleInterval = 3
        configuration.slab.guardedObjectCount = 100
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        try expectBalance(machine)
        let objects = machine.run { (0..<200).map { machine.kmalloc(UInt($0) * 20 + 1) } }
        try expectBalance(machine)
        machine.run { for object in objects { machine.kfree(object) } }
        try expectBalance(machine)
    }

    /// Each line moves by what was taken, and by nothing else.
    @Test func linesMoveByWhatIsTaken() throws {
        let machine = try KernelMachine(.pc(bytes: 64 << 20))
        // The notes of areas have a slab from here on, and the area's tables are there.
        let first = machine.run { machine.vmalloc(4096, populate: true) }
        let before = try report(machine)
        func change(_ name: String) throws -> Int { Int(try report(machine)[name]!) - Int(before[name]!) }

        let stack = try #require(machine.run { machine.makeStack(pages: 5) })
        // The three that can grow are not there yet.
        #expect(try change("KernelStack") == 8)
        #expect(try change("VmallocUsed") == 8)
        try machine.store(1, stack.limit)
        machine.run { machine.memory.value.stacks.value.refillReserve() }
        #expect(try change("KernelStack") == 12)
        #expect(try change("VmallocUsed") == 12)
        machine.run { stack.free() }
        #expect(try change("KernelStack") == 0)

        // Pages due at their first touch, some of which a touch brings.
        let area = try #require(machine.run { machine.vmalloc(64 * 4096) })
        #expect(try change("VmallocUsed") == 0 && (try change("Committed_AS")) == 64 * 4)
        try machine.store(1, area + 32 * 4096)
        #expect(try change("VmallocUsed") == 16 * 4 && (try change("Committed_AS")) == 64 * 4)
        #expect(try change("KernelStack") == 0)
        machine.run { machine.vfree(area) }
        #expect(try change("VmallocUsed") == 0 && (try change("Committed_AS")) == 0)
        // What is there from the beginning is no promise. 2 MiB on demand may need a table.
        let large = try #require(machine.run { machine.vmalloc(2 << 20) })
        #expect(try change("Committed_AS") == 2048 + 4)
        try machine.store(1, large)
        #expect(try change("VmallocUsed") == 2048 && (try change("Committed_AS")) == 2048)
        machine.run { machine.vfree(large) }
        #expect(try change("VmallocUsed") == 0 && (try change("Committed_AS")) == 0)

        let block = machine.run { machine.kmalloc(100_000) }
        #expect(try change("Slab") == 128 && (try change("SUnreclaim")) == 128)
        machine.run { machine.kfree(block) }
        #expect(try change("Slab") == 0)

        let frame = try #require(machine.run { machine.allocateFrames(3) })
        #expect(try change("MemFree") == -32)
        machine.run { machine.freeFrames(frame, 3) }
        #expect(try report(machine) == before)
        machine.run { machine.vfree(first) }
        try machine.check()
    }

    /// All RAM is in the direct map, in pages of the sizes that the CPU has.
    @Test(arguments: [true, false])
    func theDirectMapHoldsAllMemory(gigabytePages: Bool) throws {
        var configuration = Configuration()
        configuration.features.gigabytePages = gigabytePages
        let machine = try KernelMachine(.large(gibibytes: 5), configuration)
        let numbers = try report(machine)
        let sizes = ["DirectMap4k", "DirectMap2M", "DirectMap1G"]
        let total = machine.run { machine.memory.value.boot.value.totalMemory }
        #expect(sizes.reduce(0) { $0 + numbers[$1, default: 0] } * 1024 == total)
        #expect((numbers["DirectMap1G"] != nil) == gigabytePages)
        if gigabytePages { #expect(numbers["DirectMap1G"]! >= 1 << 20) }
    }
}
