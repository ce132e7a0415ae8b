import KernelMemory
import MemoryPrimitives
import Paging
import VirtualMemory
import X86

/// What an address belongs to, for reports: nothing here takes a lock or can fault.
enum KernelAddress {
    /// Whether the CPU takes it for an address, as many levels as its tables have.
    static func isCanonical(_ address: VirtualAddress) -> Bool {
        guard let memory = unsafe Quarry.memory else { return address.isCanonical }
        return memory.value.pageTables.value.features.isCanonical(address.rawValue)
    }

    enum ImagePart {
        case code
        case constants
        case data
        case sealed

        var name: StaticString {
            switch self {
            case .code: "the image's code (r-x)"
            case .constants: "the image's constants (r--)"
            case .data: "the image's data (rw-)"
            case .sealed: "the image's sealed data (r--)"
            }
        }
    }

    /// The part of the image that holds `address`.
    static func imagePart(_ address: UInt) -> ImagePart? {
        if address >= image_text_start_address(), address < image_text_end_address() { return .code }
        if address >= image_rodata_start_address(), address < image_rodata_end_address() { return .constants }
        if address >= image_sealed_start_address(), address < image_sealed_end_address() { return .sealed }
        if address >= image_data_start_address(), address < image_data_end_address() { return .data }
        return nil
    }

    /// True when reading the byte at `address` cannot fault.
    static func isReadable(_ address: UInt) -> Bool {
        if let memory = unsafe Quarry.memory {
            // Without the lock: the fault may have come while it was held, and nobody else changes tables now.
            if case .mapped = memory.value.pageTables.value.lookupUnlocked(VirtualAddress(address)) { return true }
            return false
        }
        // The boot tables map the image from end to end; the kernel's leave the stacks' guard pages out.
        return imagePart(address) != nil && !ImageStack.isGuarding(address)
    }
}

extension LogMessage.Interpolation {
    /// What `address` belongs to, in words.
    mutating func appendInterpolation(describing address: UInt) {
        let virtual = VirtualAddress(address)
        if address < PageSize.byteCount {
            appendInterpolation("the null page" as StaticString)
        } else if let (stack, mishap) = StackReport.mishap(at: address, stackPointer: 0) {
            appendInterpolation("the guard page " as StaticString)
            appendInterpolation(mishap == .foreignBelow ? "below stack \"" : "above stack \"" as StaticString)
            appendInterpolation(stack.name)
            appendInterpolation("\"" as StaticString)
        } else if let part = KernelAddress.imagePart(address) {
            appendInterpolation(part.name)
        } else if !KernelAddress.isCanonical(virtual) {
            appendInterpolation("not a canonical address" as StaticString)
        } else {
            switch KernelLayout.region(of: virtual) {
            case .directMap(let physical):
                appendInterpolation("the direct map, physical " as StaticString)
                appendInterpolation(physical)
            case .objectAlias(let physical):
                appendInterpolation("the object alias, physical " as StaticString)
                appendInterpolation(physical)
            case .areas: appendInterpolation(area: virtual)
            case .frameTable: appendInterpolation("the frame table" as StaticString)
            case .userSpace: appendInterpolation("user space" as StaticString)
            case .none: appendInterpolation("outside every area" as StaticString)
            }
        }
    }
}
