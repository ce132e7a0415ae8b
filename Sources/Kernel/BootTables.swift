import MemoryPrimitives
import X86

/// The page tables that boot/entry.S made, in force until the kernel's own are.
enum BootTables {
    /// The low part of the image is linked where it lies; its symbols are named by the image's addresses of it.
    private static func physical(_ address: UInt) -> PhysicalAddress {
        PhysicalAddress(address &- AddressSpaceLayout.x86FourLevel.image.start.rawValue)
    }

    /// Shows the first 4 GiB once more, as far as they lie in the slot of 512 GiB that holds `base`: a direct map that
    /// could have no more than that slot has no RAM beyond it.
    ///
    /// - Parameters:
    ///   - base: a multiple of 1 GiB, in a slot that the boot tables leave empty: no translation has to be flushed.
    ///   - directMap: how the boot tables show memory.
    static func showMemory(at base: VirtualAddress, through directMap: DirectMap) {
        let low = directMap.virtualAddress(of: physical(boot_pdpt_low_in_image_address())).rawValue
        let drawn = physical(boot_pdpt_drawn_in_image_address())
        let table = directMap.virtualAddress(of: drawn).rawValue
        let top = directMap.virtualAddress(of: physical(boot_pml4_in_image_address())).rawValue
        let first = base.rawValue >> 30 & 511
        for gigabyte in 0..<min(4, 512 - first) {
            x86_store64(table + 8 * (first + gigabyte), x86_load64(low + 8 * gigabyte))
        }
        // Present and writable.
        x86_store64(top + 8 * (base.rawValue >> 39 & 511), UInt64(drawn.rawValue) | 3)
    }
}
