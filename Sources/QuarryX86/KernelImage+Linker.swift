import KernelMemory
import MemoryPrimitives
import Paging
import X86

extension KernelImage {
    /// The image that runs, as linker.ld and boot/stacks.S lay it out.
    public static var running: KernelImage {
        let guards: InlineArray<8, VirtualAddress?> = [
            VirtualAddress(boot_stack_guard_address()),
            VirtualAddress(double_fault_stack_guard_address()),
            VirtualAddress(page_fault_stack_guard_address()),
            VirtualAddress(nmi_stack_guard_address()),
            VirtualAddress(machine_check_stack_guard_address()),
            VirtualAddress(interrupt_stack_guard_address()),
            VirtualAddress(stacks_end_guard_address()),
            nil,
        ]
        return KernelImage(
            loaded: physical(image_load_start_address(), image_load_end_address()),
            bootPart: physical(image_boot_start_address(), image_boot_end_address()),
            code: segment(image_text_start_address(), image_text_end_address(), .readExecute),
            constants: segment(image_rodata_start_address(), image_rodata_end_address(), .readOnly),
            data: segment(image_data_start_address(), image_data_end_address(), .readWrite),
            bss: physical(image_bss_start_address(), image_data_end_address()),
            stacks: physical(boot_stack_guard_address(), stacks_end_guard_address() + PageSize.byteCount),
            sealed: VirtualRange(
                VirtualAddress(image_sealed_start_address()), VirtualAddress(image_sealed_end_address())),
            guardPages: guards)
    }

    private static func segment(_ start: UInt, _ end: UInt, _ permissions: PagePermissions) -> ImageSegment {
        ImageSegment(
            physical: physical(start, end), virtualStart: VirtualAddress(start), permissions: permissions)
    }

    /// Where the part of the image lies that is linked at `start ..< end`.
    private static func physical(_ start: UInt, _ end: UInt) -> PhysicalRange {
        let base = AddressSpaceLayout.x86FourLevel.image.start.rawValue
        return PhysicalRange(PhysicalAddress(start - base), PhysicalAddress(end - base))
    }
}
