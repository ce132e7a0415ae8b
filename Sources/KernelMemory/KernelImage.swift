import MemoryPrimitives
import Paging

/// A part of the kernel image with permissions of its own. Both ends are page-aligned.
public struct ImageSegment: Sendable {
    public var physical: PhysicalRange
    public var virtualStart: VirtualAddress
    public var permissions: PagePermissions

    public init(physical: PhysicalRange, virtualStart: VirtualAddress, permissions: PagePermissions) {
        self.physical = physical
        self.virtualStart = virtualStart
        self.permissions = permissions
    }
}

/// Where the kernel image lies, and how its pages are to be mapped.
public struct KernelImage: Sendable {
    /// Everything that the boot loader loaded, the boot part included.
    public var loaded: PhysicalRange
    /// The part that is of no use once the kernel has page tables of its own; its frames become free memory.
    public var bootPart: PhysicalRange
    public var code: ImageSegment
    public var constants: ImageSegment
    public var data: ImageSegment
    /// Pages within `data` that are left unmapped: the guard pages of stacks that are part of the image.
    public var guardPages: InlineArray<8, VirtualAddress?>

    public init(
        loaded: PhysicalRange, bootPart: PhysicalRange, code: ImageSegment, constants: ImageSegment,
        data: ImageSegment, guardPages: InlineArray<8, VirtualAddress?>
    ) {
        self.loaded = loaded
        self.bootPart = bootPart
        self.code = code
        self.constants = constants
        self.data = data
        self.guardPages = guardPages
    }
}
