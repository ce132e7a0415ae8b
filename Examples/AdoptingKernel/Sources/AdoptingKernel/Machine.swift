import Quarry
import QuarryX86

/// The platform: a PC with one CPU, and what becomes of a double free and its like.
enum Machine: X86Uniprocessor {
    static func report(_ violation: MemoryViolation) { Console.stop(violation.detail, 0x1c, at: violation.address) }
}

extension AddressSpaceLayout {
    /// The image is where linker.ld puts it; where the rest lies is this kernel's own choice.
    static var adopted: AddressSpaceLayout {
        func range(_ start: UInt, _ byteCount: UInt) -> VirtualRange {
            VirtualRange(VirtualAddress(start), VirtualAddress(start + byteCount))
        }
        return AddressSpaceLayout(
            objectAlias: range(0x0000_2000_0000_0000, 512 << 30), directMap: range(0xffff_9000_0000_0000, 512 << 30),
            areas: range(0xffff_b000_0000_0000, 1 << 40), frameTable: range(0xffff_d000_0000_0000, 64 << 30),
            image: AddressSpaceLayout.x86FourLevel.image)
    }
}
