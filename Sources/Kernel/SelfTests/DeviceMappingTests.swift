import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import VirtualMemory
import X86

/// Registers of real devices, and memory that they and nobody else have.
enum DeviceMappingTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("ioremap: the local APIC knows the CPU's number") { localAPIC(memory) }
        SelfTest.run("ioremap: the I/O APIC and the HPET tell what they are") { otherDevices(memory) }
        SelfTest.run("ioremap: RAM, nothing, and what the CPU cannot address are refused") { refused(memory) }
        SelfTest.run("vmalloc: large pages behind an area, and small ones again") { largePages(memory) }
        SelfTest.run("vmalloc: code is written, then run, and never both") { code(memory) }
    }

    /// Where every x86 machine has its I/O APIC and, if it has one, its HPET.
    private static var ioAPIC: PhysicalAddress { PhysicalAddress(0xfec0_0000) }
    private static var hpet: PhysicalAddress { PhysicalAddress(0xfed0_0000) }

    private static func localAPIC(_ memory: Memory) {
        let one = x86_cpuid(1, 0)
        // Without a local APIC there is nothing to read.
        if one.edx >> 9 & 1 == 0 { return }
        let base = PhysicalAddress(UInt(x86_read_msr(0x1b)) & 0x000f_ffff_ffff_f000)
        let vmalloc = memory.value.vmalloc
        guard let registers = SelfTest.require(vmalloc.value.ioremap(base + 0x20, 0x20), "a mapping") else { return }
        let translation = memory.value.pageTables.value.translate(registers)
        SelfTest.expect(translation?.physical == base + 0x20, "the offset within the page is kept")
        SelfTest.expect(translation?.permissions.cacheMode == .uncachedOverridable, "registers are not cached")
        // Intel SDM vol. 3, 11.4.6 and 11.4.8: the ID, and the version, which is 1xH of an integrated APIC.
        let number = x86_load32(registers.rawValue) >> 24
        SelfTest.expect(UInt(number), equals: UInt(one.ebx >> 24), "the APIC's ID is what CPUID says")
        let version = x86_load32(registers.rawValue + 0x10)
        SelfTest.expect(UInt(version & 0xf0), equals: 0x10, "the version of an integrated APIC")
        SelfTest.expect(UInt(version >> 16 & 0xff) >= 3, "there are at least four entries in its vector table")
        vmalloc.value.iounmap(registers)
        SelfTest.expect(memory.value.pageTables.value.translate(registers) == nil, "nothing is left mapped")
    }

    private static func otherDevices(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        guard let apic = SelfTest.require(vmalloc.value.ioremap_uc(ioAPIC, 0x20), "a mapping") else { return }
        // Its version register by its window: 11H and 20H are versions, and it has 24 entries on every PC.
        x86_store32(apic.rawValue, 1)
        let version = x86_load32(apic.rawValue + 0x10)
        if version != UInt32.max {
            SelfTest.expect(version & 0xff == 0x11 || version & 0xff == 0x20, "the I/O APIC's version")
            SelfTest.expect(UInt(version >> 16 & 0xff), equals: 23, "the I/O APIC's last entry")
        }
        vmalloc.value.iounmap(apic)
        guard let clock = SelfTest.require(vmalloc.value.ioremap(hpet, 1024), "a mapping") else { return }
        let capabilities = x86_load64(clock.rawValue)
        // Where there is none the bus answers with ones or zeros.
        if capabilities != 0 && capabilities != UInt64.max {
            let period = capabilities >> 32
            SelfTest.expect(period > 0 && period <= 100_000_000, "the HPET ticks at 10 MHz at least")
            SelfTest.expect(UInt(capabilities & 0xff) > 0, "the HPET's revision")
        }
        vmalloc.value.iounmap(clock)
    }

    private static func refused(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        guard let frame = SelfTest.require(memory.value.frames.value.allocate(order: 0), "a frame") else { return }
        PageFrameTests.expect(.mapsMemory) {
            SelfTest.expect(vmalloc.value.ioremap(frame.address, 4096) == nil, "RAM is refused")
        }
        let code = memory.value.image.value.code.physical.start
        PageFrameTests.expect(.mapsMemory) {
            SelfTest.expect(vmalloc.value.memremap(code, 8, MEMREMAP_WC) == nil, "the image is refused")
        }
        let direct = vmalloc.value.memremap(frame.address + 5, 8, MEMREMAP_WB)
        SelfTest.expect(
            direct == memory.value.directMap.virtualAddress(of: frame.address + 5), "cached RAM is the direct map's")
        vmalloc.value.memunmap(direct)
        memory.value.frames.value.free(frame, order: 0)
        SelfTest.expect(vmalloc.value.ioremap(ioAPIC, 0) == nil, "nothing is refused")
        SelfTest.expect(vmalloc.value.ioremap(PhysicalAddress(1 << 52), 8) == nil, "too high an address is refused")
        SelfTest.expect(vmalloc.value.ioremap(PhysicalAddress(.max - 3), 8) == nil, "a range that wraps is refused")
    }

    private static func largePages(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        let free = VmallocTests.settledFreeFrames(memory)
        let byteCount: UInt = (4 << 20) + 8192
        guard let area = SelfTest.require(vmalloc.value.vmalloc_huge(byteCount, .kernel | .zero), "an area") else {
            return
        }
        SelfTest.expect(
            memory.value.pageTables.value.translate(area)?.size == .size2MiB, "the first page is a large one")
        var wrong = 0
        for offset in stride(from: UInt(0), to: byteCount, by: 4096) {
            if x86_load64(area.rawValue + offset) != 0 { wrong += 1 }
            x86_store64(area.rawValue + offset, UInt64(offset))
        }
        for offset in stride(from: UInt(0), to: byteCount, by: 4096) {
            guard let frame = vmalloc.value.vmalloc_to_page(area + offset) else {
                wrong += 1
                continue
            }
            // The same bytes by the direct map.
            let direct = memory.value.directMap.virtualAddress(of: frame.address).rawValue
            if x86_load64(direct) != UInt64(offset) { wrong += 1 }
        }
        SelfTest.expect(wrong, equals: 0, "the pages are the frames'")
        vmalloc.value.vfree(area)
        VmallocTests.expectFree(memory, free)
    }

    /// `mov eax, imm32; ret`.
    private static func write(_ value: UInt32, to address: UInt) {
        x86_store8(address, 0xb8)
        for index in UInt(0)..<4 {
            x86_store8(address + 1 + index, UInt8(truncatingIfNeeded: value >> UInt32(8 * index)))
        }
        x86_store8(address + 5, 0xc3)
    }

    private static func code(_ memory: Memory) {
        let tables = memory.value.pageTables
        guard let draft = memory.value.vmalloc.vmalloc_exec(3 * 4096) else {
            return SelfTest.expect(false, "a draft")
        }
        let writable = draft.writable.start.rawValue
        for page in UInt(0)..<3 { write(UInt32(page) + 77, to: writable + page * 4096 + 16) }
        let destination = draft.destination.start
        let permissions = tables.value.translate(destination)?.permissions ?? .none
        // Without NX every page that can be read can be executed.
        SelfTest.expect(
            !permissions.contains(.write) && (!tables.value.features.noExecute || permissions == .readOnly),
            "a draft is not code yet")
        let code = draft.seal()
        SelfTest.expect(code == destination, "the code runs where it was said to")
        SelfTest.expect(tables.value.translate(VirtualAddress(writable)) == nil, "the writable pages are gone")
        for page in UInt(0)..<3 {
            SelfTest.expect(UInt(x86_call_value(code.rawValue + page * 4096 + 16)), equals: page + 77, "the code runs")
        }
        if tables.value.features.noExecute {
            SelfTest.expect(tables.value.audit().passes, "nothing is writable and executable")
            SelfTest.expect(tables.value.auditAliases().passes, "no alias of code is writable")
        }
        let frame = memory.value.vmalloc.value.vmalloc_to_page(code)
        memory.value.vmalloc.value.vfree(code)
        guard let frame = SelfTest.require(frame, "a frame") else { return }
        let direct = memory.value.layout.directMap.start + frame.address.rawValue
        SelfTest.expect(
            tables.value.translate(direct)?.permissions.contains(.write) == true, "the frame can be written to again")
    }
}
