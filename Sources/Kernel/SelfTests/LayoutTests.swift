import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import X86

/// Where the regions of the address space lie in this boot.
enum LayoutTests {
    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        SelfTest.run("layout: the words for debuggers say where the regions begin") { words(memory) }
        SelfTest.run("layout: an address is told by the region that it lies in") { regions(memory) }
        SelfTest.run("layout: the frame table is reached in its own region") { frameTable(memory) }
    }

    private static func words(_ memory: Permanent<KernelMemory<X86Platform>>) {
        func word(_ address: UInt) -> UInt { UInt(x86_load64(address)) }
        let layout = memory.value.layout
        SelfTest.expect(word(direct_map_base_address()), equals: layout.directMap.start.rawValue, "the direct map")
        SelfTest.expect(word(direct_map_base_address()), equals: memory.value.directMap.base, "and the one in use")
        SelfTest.expect(word(vmalloc_base_address()), equals: layout.areas.start.rawValue, "vmalloc")
        SelfTest.expect(word(frame_table_base_address()), equals: layout.frameTable.start.rawValue, "the frame table")
        SelfTest.expect(
            word(object_alias_base_address()), equals: layout.objectAlias.start.rawValue, "the object alias")
        let sealed = memory.value.image.value.sealed
        SelfTest.expect(
            sealed?.contains(VirtualAddress(direct_map_base_address())) ?? false, "the words are sealed")
    }

    private static func regions(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let layout = memory.value.layout
        if case .directMap(let physical) = KernelLayout.region(of: layout.directMap.start + 0x1234) {
            SelfTest.expect(physical.rawValue, equals: 0x1234, "the direct map's physical address")
        } else {
            SelfTest.expect(false, "an address of the direct map")
        }
        if case .objectAlias(let physical) = KernelLayout.region(of: layout.objectAlias.start + 0x1234) {
            SelfTest.expect(physical.rawValue, equals: 0x1234, "the object alias' physical address")
        } else {
            SelfTest.expect(false, "an address of the object alias")
        }
        if case .areas = KernelLayout.region(of: layout.areas.end - 1) {
        } else {
            SelfTest.expect(false, "vmalloc's end")
        }
        if case .areas = KernelLayout.region(of: layout.areas.end) { SelfTest.expect(false, "beyond vmalloc's end") }
        if case .userSpace = KernelLayout.region(of: VirtualAddress(4096)) {
        } else {
            SelfTest.expect(false, "an address of user space")
        }
        SelfTest.expect(KernelLayout.isBelowEveryRegion((64 << 40) - 1), "physical addresses are below every region")
        SelfTest.expect(!KernelLayout.isBelowEveryRegion(layout.objectAlias.start.rawValue), "the alias is not")
    }

    private static func frameTable(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let frames = memory.value.frames
        guard let frame = SelfTest.require(frames.value.allocate(order: 0), "a frame") else { return }
        defer { frames.value.free(frame, order: 0) }
        guard let descriptor = unsafe frames.value.table.descriptor(of: frame) else {
            return SelfTest.expect(false, "the frame has a descriptor")
        }
        let address = VirtualAddress(UInt(bitPattern: descriptor))
        SelfTest.expect(memory.value.layout.frameTable.contains(address), "the descriptor lies in the region")
        guard let page = SelfTest.require(memory.value.pageTables.value.translate(address), "a page") else { return }
        // Without NX every page is executable.
        let isEnforceable = memory.value.pageTables.value.features.noExecute
        SelfTest.expect(page.permissions.contains(.write), "it can be written")
        SelfTest.expect(!page.permissions.contains(.execute) || !isEnforceable, "it cannot be executed")
        // The same memory in the direct map.
        SelfTest.expect(
            x86_load64(memory.value.directMap.virtualAddress(of: page.physical).rawValue)
                == x86_load64(address.rawValue),
            "the direct map shows the same descriptor")
    }
}
