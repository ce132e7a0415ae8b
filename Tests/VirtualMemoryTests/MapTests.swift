import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Frames of the caller's, mapped one after the other; and vmalloc by Linux's other names.
@Suite struct MapTests {
    /// The `count` frames of the caller's that `body` is given, and back they go.
    private func withFrames(_ machine: VmallocMachine, _ count: Int, _ body: ([PageFrameNumber]) throws -> Void) throws
    {
        var frames = machine.run { (0..<count).compactMap { _ in machine.frames.value.allocate(order: 0) } }
        frames.reverse()
        try body(frames)
        machine.run { for frame in frames { machine.frames.value.free(frame, order: 0) } }
    }

    private func map(
        _ machine: VmallocMachine, _ frames: [PageFrameNumber], _ permissions: PagePermissions = .readWrite
    ) -> VirtualAddress? {
        machine.run { frames.withUnsafeBufferPointer { machine.vmalloc.value.vmap($0, permissions) } }
    }

    @Test(arguments: [1, 16, 700])
    func framesAreMappedInOrderAndStayTheCallers(count: Int) throws {
        let machine = VmallocMachine(mebibytes: 16)
        let before = machine.snapshot()
        try withFrames(machine, count) { frames in
            let address = try #require(map(machine, frames))
            let pages = (0..<UInt(count)).map { address + $0 * 4096 }
            for (page, frame) in zip(pages, frames) {
                try machine.store(UInt64(frame.rawValue), page + 8)
                #expect(machine.run { machine.vmalloc.value.vmalloc_to_page(page + 8) } == frame)
                #expect(machine.run { machine.vmalloc.value.vmalloc_to_pfn(page) } == frame.rawValue)
            }
            // Mapped a second time, they show the same.
            let other = try #require(map(machine, frames, .readOnly))
            #expect(try machine.load(other + 8) == UInt64(frames[0].rawValue))
            #expect(throws: (any Error).self) { try machine.store(1, other) }
            #expect(throws: (any Error).self) { try machine.load(address + UInt(count) * 4096) }
            #expect(machine.run { machine.vmalloc.value.find_vm_area(address + 5)?.kind } == .map)
            try machine.checkAll()
            machine.run {
                machine.vmalloc.value.vunmap(other)
                machine.vmalloc.value.vm_unmap_ram(address, count)
            }
            for page in pages { #expect(throws: (any Error).self) { try machine.load(page) } }
            for frame in frames { #expect(machine.run { machine.frames.value.state(of: frame) } == .allocatedHead) }
        }
        #expect(machine.takeKinds() == [])
        #expect(machine.snapshot() == before)
    }

    @Test func whatCannotBeMappedIsRefused() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        try withFrames(machine, 2) { frames in
            #expect(map(machine, []) == nil)
            #expect(map(machine, [frames[0], PageFrameNumber(1 << 30)]) == nil)
            #expect(map(machine, frames, PagePermissions.readWrite.union(.execute)) == nil)
            let address = try #require(map(machine, frames))
            machine.run {
                machine.vmalloc.value.vfree(address)
                machine.vmalloc.value.vunmap(address + 4096)
                machine.vmalloc.value.vm_unmap_ram(address, 1)
            }
            #expect(machine.takeKinds() == [.wildFree, .misalignedFree, .wildFree])
            machine.run { machine.vmalloc.value.vunmap(address) }
            machine.run { machine.vmalloc.value.vunmap(address) }
            #expect(machine.takeKinds() == [.doubleFree])
            machine.run { machine.vmalloc.value.vunmap(nil) }
        }
        let vmalloced = try #require(machine.allocate(4096))
        machine.run { machine.vmalloc.value.vunmap(vmalloced) }
        #expect(machine.takeKinds() == [.wildFree])
        machine.free(vmalloced)
        #expect(machine.snapshot() == before)
    }

    /// With fewer and fewer frames left: tables, or the note, are lacking.
    @Test func withoutMemoryNothingIsMapped() throws {
        let machine = VmallocMachine()
        try withFrames(machine, 600) { frames in
            let before = machine.snapshot()
            for left in 0...8 as ClosedRange<UInt> {
                machine.withFramesLeft(left) {
                    if let address = map(machine, frames) { machine.run { machine.vmalloc.value.vunmap(address) } }
                }
                #expect(machine.snapshot() == before, "\(left) frames left")
                try machine.check()
            }
        }
        #expect(machine.takeKinds() == [])
    }

    @Test func theOtherNamesOfVmalloc() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let user = try #require(machine.run { machine.vmalloc.value.vmalloc_user(10_000) })
        #expect(try machine.load(user + 9_992) == 0)
        #expect(machine.statistics.areas.presentPages == 3)
        let low = try #require(machine.run { machine.vmalloc.value.vmalloc_32(4096) })
        #expect(try #require(machine.run { machine.vmalloc.value.vmalloc_to_pfn(low) }) < 1 << 20)
        let node = try #require(machine.run { machine.vmalloc.value.vmalloc_node(4096, 0) })
        #expect(machine.run { machine.vmalloc.value.vmalloc_node(4096, 1) } == nil)
        #expect(machine.run { machine.vmalloc.value.vmalloc_to_page(node) } == nil, "no page before the first touch")
        #expect(machine.run { machine.vmalloc.value.is_vmalloc_addr(node) })
        #expect(!machine.run { machine.vmalloc.value.is_vmalloc_addr(VirtualAddress(4096)) })
        for address in [user, low, node] { machine.run { machine.vmalloc.value.vfree_atomic(address) } }
        #expect(machine.takeKinds() == [])
        #expect(machine.snapshot() == before)
    }
}
