import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// What is said of an area that cannot be had.
@Suite struct FailureReportTests {
    private func failures(_ machine: VmallocMachine) -> [FailedAllocation] { machine.machine.takeFailedAllocations() }

    @Test func missingAddressesAndMissingFramesAreTold() throws {
        let small = VirtualRange(VmallocMachine.space.start, VmallocMachine.space.start + 16 * 4096)
        let machine = VmallocMachine(space: small)
        let before = machine.snapshot()
        _ = failures(machine)
        // 16 pages and a guard page do not fit into 16 pages, and there are frames enough.
        for populate in [false, true] {
            #expect(machine.allocate(16 * 4096, populate: populate) == nil)
            let found = failures(machine)
            #expect(found.map(\.lack) == [.addresses])
            #expect(found.map(\.byteCount) == [69632], "the guard page included")
        }
        // More than all memory: as Linux's 2^53 bytes.
        for populate in [false, true] {
            #expect(machine.allocate(1 << 53, populate: populate) == nil)
            let found = failures(machine)
            #expect(found.map(\.lack) == [.areaFrames])
            #expect(found.map(\.byteCount) == [1 << 53])
        }
        #expect(machine.allocate(1 << 53, flags: .kernel | .noWarn) == nil)
        #expect(machine.allocate(0) == nil)
        #expect(failures(machine).isEmpty, "nobody wants to know")
        #expect(machine.snapshot() == before)
    }

    @Test func aRangeThatCannotBeIsTold() {
        let machine = VmallocMachine()
        _ = failures(machine)
        machine.run {
            #expect(machine.ranges.allocate(AreaRequest(.vmalloc, pageCount: 1 << 41, name: "2^53 bytes")) == nil)
            #expect(machine.ranges.allocate(AreaRequest(.vmalloc, pageCount: .max, name: "all")) == nil)
        }
        #expect(failures(machine).map(\.byteCount) == [9_007_199_254_745_088, .max])
    }

    @Test func wrongAddressesAreTold() throws {
        let machine = VmallocMachine()
        let address = try #require(machine.allocate(4096))
        machine.free(address + (1 << 30))
        machine.free(address + (1 << 30) + 1)
        machine.free(address)
        machine.free(VirtualAddress(8))
        #expect(machine.takeKinds() == [.wildFree, .wildFree, .wildFree])
        try machine.checkAll()
    }

    /// No memory to note an area down in is told as such, and so is running out of frames on the way.
    @Test func whatRanOutIsNamed() throws {
        let machine = VmallocMachine()
        var ranges: [Area] = []
        machine.withFramesLeft(0) {
            machine.run {
                _ = machine.machine.takeFailedAllocations()
                while let area = machine.ranges.allocate(AreaRequest(.device, pageCount: 1, name: "note")) {
                    ranges.append(area)
                }
            }
            let found = failures(machine).filter { $0.lack != .frames }
            #expect(found.map(\.lack) == [.notes])
            #expect(found.map(\.byteCount) == [8192])
            machine.run { for area in ranges { machine.ranges.abandon(area) } }
        }
        let before = machine.snapshot()
        machine.withFramesLeft(30) {
            _ = failures(machine)
            let before = machine.snapshot()
            #expect(machine.allocate(100 * 4096, populate: true) == nil)
            let found = failures(machine).filter { $0.lack != .frames }
            #expect(found.map(\.lack) == [.areaFrames])
            #expect(found.map(\.byteCount) == [100 * 4096])
            #expect(machine.snapshot() == before, "what it had is given back")
            #expect(machine.allocate(100 * 4096, flags: .kernel | .noWarn, populate: true) == nil)
            #expect(failures(machine).isEmpty)
        }
        #expect(machine.snapshot() == before)
        try machine.checkAll()
    }

    private func heading(_ failure: FailedAllocation) -> [String] {
        var writer = Text()
        AreaFailureReport.writeHeading(failure, name: "kernel", cpu: 0, to: &writer)
        return writer.lines
    }

    /// Lines of Linux 6.1's log, without the time stamps.
    @Test func headingsAreLinuxs() {
        let flags = AllocationFlags.kernel.rawValue
        #expect(
            heading(FailedAllocation(areaOf: 9_007_199_254_745_088, lack: .addresses, flags: flags)) == [
                "vmap allocation for size 9007199254745088 failed: use vmalloc=<size> to increase size",
                "kernel: vmalloc error: size 9007199254745088, vm_struct allocation failed, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
                "CPU: 0",
            ])
        #expect(
            heading(FailedAllocation(areaOf: 1 << 53, lack: .areaFrames, flags: flags)) == [
                "kernel: vmalloc error: size 9007199254740992, page order 0, failed to allocate pages, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
                "CPU: 0",
            ])
        #expect(
            heading(FailedAllocation(areaOf: 4096, lack: .notes, flags: AllocationFlags.atomic.rawValue)).first
                == "kernel: vmalloc error: size 4096, vm_struct allocation failed, mode:0xa20(GFP_ATOMIC), nodemask=(null)"
        )
    }

    @Test func badFreesAreToldInLinuxsWords() throws {
        let machine = VmallocMachine()
        let address = try #require(machine.allocate(2 * 4096))
        machine.free(address + 1)
        machine.free(address + 4096)
        machine.free(address)
        machine.free(address)
        machine.free(VirtualAddress(0x1000))
        machine.run { machine.vmalloc.value.vunmap(address) }
        machine.run { #expect(machine.vmalloc.value.vrealloc(address, 4096) == nil) }
        let found = machine.machine.takeViolations()
        #expect(found.allSatisfy { AreaFailureReport.isBadFree($0) })
        let lines = found.map { violation in
            var writer = Text()
            AreaFailureReport.writeBadFree(violation, cpu: 0, to: &writer)
            #expect(writer.lines.count == 2 && writer.lines.last == "CPU: 0")
            return writer.lines[0]
        }
        #expect(
            lines == [
                "Trying to vfree() bad address (ffffc90000000001)",
                "Trying to vfree() nonexistent vm area (ffffc90000001000)",
                "Trying to vfree() nonexistent vm area (ffffc90000000000)",
                "Trying to vfree() nonexistent vm area (0000000000001000)",
                "Trying to vfree() nonexistent vm area (ffffc90000000000)",
                "Trying to vfree() nonexistent vm area (ffffc90000000000)",
            ])
        #expect(!AreaFailureReport.isBadFree(MemoryViolation(.doubleFree, in: "kfree", at: 0, "")))
        #expect(!AreaFailureReport.isBadFree(MemoryViolation(.corruption, in: "vfree", at: 0, "")))
    }

    @Test func figuresSayHowFullItIs() throws {
        let machine = VmallocMachine(cpuCount: 2, purgeThreshold: PurgeTests.never)
        let kept = try #require(machine.allocate(5 * 4096))
        try machine.store(1, kept)
        machine.free(machine.allocate(2 * 4096, populate: true))
        var writer = Text()
        machine.run { machine.vmalloc.value.writeFigures(to: &writer) }
        #expect(
            writer.lines.first
                == "vmalloc: 1 areas, 5 pages reserved, 1 present, 2 lazily freed; 34359738368 kB of addresses, "
                + "largest gap 34359738332 kB")
        let frames = machine.run { (machine.frames.value.freeFrames, machine.frames.value.promisedFrames) }
        #expect(writer.lines.last == "page frames: \(frames.0) free, \(frames.1) promised")
    }

    /// `vrealloc` of a wrong address frees nothing, and an area that cannot be taken apart keeps its range.
    @Test func aDamagedAreaKeepsItsRange() throws {
        let machine = VmallocMachine(mebibytes: 16)
        let space = VmallocMachine.space.start
        machine.run {
            let request = AreaRequest(.vmalloc, pageCount: 1100, name: "damaged")
            var isDone = false
            let area = machine.vmalloc.value.allocatePopulated(request) { _ in
                if isDone { return }
                isDone = true
                // Behind the area's back: a large page in its second table.
                var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
                try? machine.tables.value.map(
                    space + (2 << 20), to: PhysicalAddress(4 << 20), size: .size2MiB, permissions: .readWrite,
                    using: &source)
            }
            #expect(area == nil)
        }
        #expect(machine.takeKinds() == [.corruption])
        let next = try #require(machine.allocate(4096))
        #expect(next >= space + 1101 * 4096, "nobody gets addresses with somebody else's pages")
        machine.free(next)
    }
}

/// A report as text.
private struct Text: ReportWriter {
    private var bytes: [UInt8] = []
    mutating func write(_ byte: UInt8) { bytes.append(byte) }
    var lines: [String] { String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init) }
}
