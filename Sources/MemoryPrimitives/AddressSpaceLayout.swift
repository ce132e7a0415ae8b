/// Where the kernel's address space keeps what. A value, so that another kernel passes its own.
public struct AddressSpaceLayout: Sendable {
    /// The low, supervisor-only alias of RAM for Swift-managed objects, whose addresses must have bit 63 clear.
    public var objectAlias: VirtualRange
    /// The direct map of all physical memory.
    public var directMap: VirtualRange
    /// vmalloc, device mappings and kernel stacks.
    public var areas: VirtualRange
    /// The descriptors of all page frames.
    public var frameTable: VirtualRange
    /// The kernel image.
    public var image: VirtualRange

    /// A layout of these regions, which do not overlap: that is not looked at.
    public init(
        objectAlias: VirtualRange, directMap: VirtualRange, areas: VirtualRange, frameTable: VirtualRange,
        image: VirtualRange
    ) {
        self.objectAlias = objectAlias
        self.directMap = directMap
        self.areas = areas
        self.frameTable = frameTable
        self.image = image
    }

    /// Four-level x86-64 with the addresses that Linux documents.
    public static var x86FourLevel: AddressSpaceLayout {
        func range(_ start: UInt, _ byteCount: UInt) -> VirtualRange {
            VirtualRange(VirtualAddress(start), VirtualAddress(start + byteCount))
        }
        return AddressSpaceLayout(
            objectAlias: range(0x0000_7f00_0000_0000, 512 << 30),
            directMap: range(0xffff_8880_0000_0000, 64 << 40),
            areas: range(0xffff_c900_0000_0000, 32 << 40),
            frameTable: range(0xffff_ea00_0000_0000, 1 << 40),
            image: range(0xffff_ffff_8000_0000, 512 << 20))
    }
}
