import MemoryPrimitives
import X86

/// What an address belongs to, for reports.
enum KernelAddress {
    /// True when reading the byte at `address` cannot fault.
    static func isReadable(_ address: UInt) -> Bool {
        address >= image_text_start_address() && address < image_data_end_address()
    }

    /// The kernel stack of the vmalloc area whose guard page holds `address`.
    static func areaStack(guardedBy address: UInt) -> StackOverflow.Stack? { nil }

    /// The part of the image that holds `address`.
    static func imagePart(_ address: UInt) -> StaticString? {
        if address >= image_text_start_address(), address < image_text_end_address() { return "the image's code (r-x)" }
        if address >= image_rodata_start_address(), address < image_rodata_end_address() {
            return "the image's constants (r--)"
        }
        if address >= image_data_start_address(), address < image_data_end_address() { return "the image's data (rw-)" }
        return nil
    }
}

extension LogMessage.Interpolation {
    /// What `address` belongs to, in words.
    mutating func appendInterpolation(describing address: UInt) {
        let layout = AddressSpaceLayout.x86FourLevel
        let virtual = VirtualAddress(address)
        if address < PageSize.byteCount {
            appendInterpolation("the null page" as StaticString)
        } else if let part = KernelAddress.imagePart(address) {
            appendInterpolation(part)
        } else if !virtual.isCanonical {
            appendInterpolation("not a canonical address" as StaticString)
        } else if layout.directMap.contains(virtual) {
            appendInterpolation("the direct map, physical " as StaticString)
            appendInterpolation(PhysicalAddress(address - layout.directMap.start.rawValue))
        } else if layout.objectAlias.contains(virtual) {
            appendInterpolation("the object alias, physical " as StaticString)
            appendInterpolation(PhysicalAddress(address - layout.objectAlias.start.rawValue))
        } else if layout.areas.contains(virtual) {
            appendInterpolation("the vmalloc area" as StaticString)
        } else if address < 0x0000_8000_0000_0000 {
            appendInterpolation("user space" as StaticString)
        } else {
            appendInterpolation("outside every area" as StaticString)
        }
    }
}
