import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import VirtualMemory
import X86

extension CrashTest {
    /// RAM that somebody has, as a device's registers.
    static func mapMemoryAsDevice(_ memory: Permanent<KernelMemory<X86Platform>>) {
        guard let frame = memory.value.frames.value.allocate(order: 0) else { return }
        _ = memory.value.vmalloc.value.ioremap(frame.address, 4096)
    }

    /// Devices mapped in each cache mode, for the machine's monitor to be asked what it sees; ends in a breakpoint.
    static func showDevicePages(_ memory: Permanent<KernelMemory<X86Platform>>) {
        mapDevices(memory)
        print(.pageTables, memory)
        print(.vmallocinfo, memory)
        x86_breakpoint()
    }

    // Out of line, so that each has its frame alone.

    @inline(never)
    private static func print(_ report: Report, _ memory: Permanent<KernelMemory<X86Platform>>) {
        report.print(memory)
    }

    @inline(never)
    private static func mapDevices(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let vmalloc = memory.value.vmalloc
        // The upper APICs' page, and addresses below 4 GiB at which a PC has no RAM.
        let registers = PhysicalAddress(0xfee0_0000)
        let window = PhysicalAddress(0xfe00_0000)
        _ = vmalloc.value.ioremap(registers, 4096)
        _ = vmalloc.value.ioremap_uc(registers, 4096)
        _ = vmalloc.value.ioremap_wc(window, 4 << 20)
        _ = vmalloc.value.memremap(window, 8192, MEMREMAP_WT)
        _ = vmalloc.value.memremap(window + 4096, 8192, MEMREMAP_WB)
    }
}
