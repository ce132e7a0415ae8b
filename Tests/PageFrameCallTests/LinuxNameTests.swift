import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@Suite struct LinuxNameTests {
    @Test func eachNameDoesWhatItSays() throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let before = machine.snapshot()
            let block = try need(machine.frames.value.alloc_pages(.GFP_KERNEL, 3))
            machine.frames.value.__free_pages(block, 3)
            let page = try need(machine.frames.value.alloc_page(.GFP_KERNEL))
            #expect(machine.frames.value.page_count(page) == 1)
            machine.frames.value.__free_page(page)
            let several = try need(machine.frames.value.__get_free_pages(.GFP_KERNEL, 2))
            machine.frames.value.free_pages(several, 2)
            let single = try need(machine.frames.value.get_free_page(.GFP_KERNEL))
            single.initializeMemory(as: UInt8.self, repeating: 0xa5, count: 4096)
            machine.frames.value.free_page(single)
            let zeroed = try need(machine.frames.value.get_zeroed_page(.GFP_KERNEL))
            #expect(zeroed == single)
            #expect(UnsafeRawBufferPointer(start: zeroed, count: 4096).allSatisfy { $0 == 0 })
            machine.frames.value.free_page(zeroed)
            let exact = try need(machine.frames.value.alloc_pages_exact(3 * 4096, .GFP_KERNEL))
            machine.frames.value.free_pages_exact(exact, 3 * 4096)
            #expect(machine.snapshot() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func nullIsNobodys() throws {
        let machine = try Machine(mebibytes: 16)
        machine.run {
            let before = machine.snapshot()
            machine.frames.value.free_pages(nil, 3)
            machine.frames.value.free_page(nil)
            machine.frames.value.free_pages(nil, -1)
            #expect(machine.snapshot() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func thereIsOneNode() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let before = machine.snapshot()
            for (node, mask) in [(1, nil), (-1, nil), (.max, 1), (0, 0), (0, 2), (1, 3)] as [(Int, UInt?)] {
                #expect(machine.frames.value.__alloc_pages(.kernel, 0, node, mask) == nil)
            }
            #expect(machine.snapshot() == before)
            for mask in [nil, 1, 3, .max] as [UInt?] {
                let block = try need(machine.frames.value.__alloc_pages(.kernel, 1, 0, mask))
                machine.frames.value.__free_pages(block, 1)
            }
            #expect(machine.frames.value.__alloc_pages(.kernel, 11, 0, nil) == nil)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func addressesLeadThereAndBack() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let page = try need(machine.frames.value.alloc_page(.kernel))
            let pointer = machine.frames.value.page_address(page)
            #expect(machine.frames.value.virt_to_page(pointer + 4095) == page)
            #expect(machine.frames.value.virt_to_phys(pointer + 5) == PhysicalAddress(page.rawValue * 4096 + 5))
            #expect(machine.frames.value.phys_to_virt(page.address + 5) == pointer + 5)
            #expect(machine.frames.value.page_to_virt(page) == pointer)
            #expect(machine.frames.value.page_to_pfn(page) == page.rawValue)
            #expect(machine.frames.value.pfn_to_page(page.rawValue) == page)
            #expect(machine.frames.value.pfn_valid(page.rawValue) == true)
            #expect(machine.frames.value.pfn_valid(1 << 40) == false)
            #expect(machine.frames.value.phys_to_page(machine.frames.value.page_to_phys(page) + 4095) == page)
        }
    }

    /// Each address is reported as it was given, and nothing changes.
    @Test func addressesOutsideTheDirectMapAreWild() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let before = machine.snapshot()
            let base = machine.frames.value.directMap.base
            for address in [4096, base - 4096, base + (1 << 40), UInt.max - 4095, 0xffff_c900_0000_1000, 17] {
                for order in [0, 3, 10, 11, -1] {
                    machine.frames.value.free_pages(UnsafeMutableRawPointer(bitPattern: address), order)
                    let found = machine.simulated.takeViolations()
                    #expect(found.map(\.kind) == [.wildFree])
                    #expect(found.first?.address == address)
                }
            }
            // RAM that was never handed out, and the middle of a page.
            machine.frames.value.free_page(machine.pointer(PageFrameNumber(3)))
            #expect(machine.takeKinds() == [.wildFree])
            let page = try need(machine.frames.value.get_free_page(.kernel))
            machine.frames.value.free_page(page + 8)
            #expect(machine.takeKinds() == [.misalignedFree])
            machine.frames.value.free_page(page)
            #expect(machine.snapshot() == before)
        }
    }
}
