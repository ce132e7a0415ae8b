import MemoryPrimitives
import X86

/// The page tables that boot/entry.S made, in force until the kernel's own are.
public enum BootTables {
    /// The low part of the image is linked where it lies; its symbols are named by the image's addresses of it.
    private static func physical(_ address: UInt) -> PhysicalAddress {
        PhysicalAddress(address &- AddressSpaceLayout.x86FourLevel.image.start.rawValue)
    }

    /// Memory below this is reachable through `directMap`, and where `showMemory` shows it.
    public static var limit: PhysicalAddress { PhysicalAddress(4 << 30) }

    /// How the boot tables show memory besides at its own addresses, until the kernel's tables replace them.
    public static var directMap: DirectMap {
        DirectMap(base: AddressSpaceLayout.x86FourLevel.directMap.start.rawValue)
    }

    /// Shows the first 4 GiB once more, where the kernel's own direct map will be: its address space is laid out as the
    /// kernel likes, and bring-up reaches memory at one address before and after the tables change.
    ///
    /// As far as they lie in the slot of 512 GiB that holds `base`: a direct map that could have no more than that slot has no
    /// RAM beyond it. Once, before bring-up.
    /// - Parameter base: the direct map's first address.
    /// - Returns: false, with nothing changed, where `base` is no multiple of 1 GiB or an address of five levels only, or its
    ///   slot is that of the identity map or of the image.
    public static func showMemory(at base: VirtualAddress) -> Bool {
        let slot = base.rawValue >> 39 & 511
        let isCanonical = Int(bitPattern: base.rawValue) >> 47 == (slot < 256 ? 0 : -1)
        guard base.isAligned(to: PageSize.size1GiB.byteCount), isCanonical, slot != 0, slot != 511 else { return false }
        let low = directMap.virtualAddress(of: physical(boot_pdpt_low_in_image_address())).rawValue
        let drawn = physical(boot_pdpt_drawn_in_image_address())
        let table = directMap.virtualAddress(of: drawn).rawValue
        let top = directMap.virtualAddress(of: physical(boot_pml4_in_image_address())).rawValue
        let first = base.rawValue >> 30 & 511
        for gigabyte in 0..<min(4, 512 - first) {
            x86_store64(table + 8 * (first + gigabyte), x86_load64(low + 8 * gigabyte))
        }
        // Present and writable. A slot that was empty, or that showed the same: no translation has to be flushed.
        x86_store64(top + 8 * slot, UInt64(drawn.rawValue) | 3)
        return true
    }
}
