import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing
import VirtualMemory

@testable import KernelMemory

/// The cases that Linux's mm/kasan/kasan_test_c.c has of vmalloc, one test by each of its names, as far as they apply: there
/// are no tags here and no shadow memory, so that an access beyond the end is found from the next page on, by the guard page.
/// vmalloc_percpu is not here: there is no per-CPU allocator.
@Suite struct KasanVmallocTests {
    private let machine: KernelMachine

    init() throws { machine = try KernelMachine(.pc(bytes: 64 << 20)) }

    private func physical(_ address: VirtualAddress) throws -> VirtualAddress {
        let frame = try #require(machine.run { machine.memory.value.vmalloc.value.vmalloc_to_page(address) })
        return machine.direct(frame.address.rawValue)
    }

    /// The helpers take what vmalloc returned, and its permissions can be changed.
    @Test func vmalloc_helpers_tags() throws {
        let vmalloc = machine.memory.value.vmalloc
        let address = try #require(machine.run { machine.vmalloc(4096, populate: true) })
        #expect(machine.run { vmalloc.value.is_vmalloc_addr(address) })
        #expect(machine.run { vmalloc.value.vmalloc_to_page(address) } != nil)
        try machine.run { try machine.memory.value.set_memory_ro(address.rawValue, 1) }
        #expect(throws: SimulatedFault.self) { try machine.store(1, address) }
        try machine.run { try machine.memory.value.set_memory_rw(address.rawValue, 1) }
        try machine.store(1, address)
        machine.run { machine.vfree(address) }
        try machine.check()
    }

    @Test(arguments: [2027, 4096, 4097, 3 * 4096] as [UInt], [false, true])
    func vmalloc_oob(size: UInt, populate: Bool) throws {
        let address = try #require(machine.run { machine.vmalloc(size, populate: populate) })
        let end = address.roundedDown(to: 4096) + (size + 4095) / 4096 * 4096
        try machine.store(0, address)
        try machine.store(0, (address + (size - 1)).roundedDown(to: 8))
        // Not seen, since it is the caller's own page.
        if size % 4096 != 0 { _ = try machine.load(end - 8) }
        for offset in [0, 8, 4088] as [UInt] {
            #expect(throws: SimulatedFault.self) { try machine.load(end + offset) }
            #expect(throws: SimulatedFault.self) { try machine.store(1, end + offset) }
        }
        // Below the first area nothing is.
        #expect(throws: SimulatedFault.self) { try machine.load(address - 8) }
        // The physical page shows what is written.
        try machine.store(11, address)
        #expect(try machine.load(physical(address)) == 11)
        machine.run { machine.vfree(address) }
        // After the free neither the memory nor the frame is reachable by it.
        #expect(throws: SimulatedFault.self) { try machine.load(address) }
        try machine.check()
    }

    private func mapped(
        _ map: (UnsafeBufferPointer<PageFrameNumber>) -> VirtualAddress?, _ unmap: (VirtualAddress) -> Void
    )
        throws
    {
        let frame = try #require(machine.run { machine.allocateFrames(0) })
        let direct = machine.direct(frame.address.rawValue)
        let address = try #require(machine.run { [frame].withUnsafeBufferPointer(map) })
        // Both ways lead to one page.
        try machine.store(5, address)
        #expect(try machine.load(direct) == 5)
        try machine.store(6, direct + 8)
        #expect(try machine.load(address + 8) == 6)
        #expect(machine.run { machine.memory.value.vmalloc.value.vmalloc_to_page(address) } == frame)
        #expect(throws: SimulatedFault.self) { try machine.load(address + 4096) }
        machine.run { unmap(address) }
        #expect(throws: SimulatedFault.self) { try machine.load(address) }
        #expect(try machine.load(direct) == 5, "the frame is its owner's still")
        machine.run { machine.freeFrames(frame, 0) }
        try machine.check()
    }

    @Test func vmap_tags() throws {
        let vmalloc = machine.memory.value.vmalloc
        try mapped({ vmalloc.value.vmap($0) }, { vmalloc.value.vunmap($0) })
    }

    @Test func vm_map_ram_tags() throws {
        let vmalloc = machine.memory.value.vmalloc
        try mapped({ vmalloc.value.vm_map_ram($0, -1) }, { vmalloc.value.vm_unmap_ram($0, 1) })
    }
}
