import BootMemory
import MemoryPrimitives
import Paging

/// A part of the kernel image with permissions of its own. Both ends are page-aligned.
public struct ImageSegment: Sendable {
    /// Where it lies in memory.
    public var physical: PhysicalRange
    /// Where the kernel sees it.
    public var virtualStart: VirtualAddress
    /// What may be done with its pages.
    public var permissions: PagePermissions

    /// What the segment takes of the address space; nil where that wraps round.
    var virtual: VirtualRange? { VirtualRange(virtualStart, byteCount: physical.byteCount) }

    /// A segment of these addresses and permissions.
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
    /// Instructions: r-x.
    public var code: ImageSegment
    /// Constants: r--.
    public var constants: ImageSegment
    /// Variables, bss and stacks: rw-.
    public var data: ImageSegment
    /// The end of `data`: what the file has no bytes for, zero when the kernel starts.
    public var bss: PhysicalRange
    /// The part of `data` that is stacks, which is looked through for references only as far as one is in use.
    public var stacks: PhysicalRange
    /// The part of `data` that is written during bring-up only, in whole pages; nil where there is none.
    public var sealed: VirtualRange?
    /// Pages within `data` that are left unmapped: the guard pages of stacks that are part of the image.
    public var guardPages: InlineArray<8, VirtualAddress?>

    /// Describes an image; bring-up checks whether it can be.
    /// - Parameters:
    ///   - loaded: everything that the boot loader loaded.
    ///   - bootPart: what of it is of no use later.
    ///   - code: instructions.
    ///   - constants: what is only read.
    ///   - data: variables, bss and stacks.
    ///   - bss: nil where the file has bytes for all of `data`.
    ///   - stacks: nil where there are none in `data`.
    ///   - sealed: as `sealed` says.
    ///   - guardPages: pages within `data` to leave unmapped.
    public init(
        loaded: PhysicalRange, bootPart: PhysicalRange, code: ImageSegment, constants: ImageSegment,
        data: ImageSegment, bss: PhysicalRange? = nil, stacks: PhysicalRange? = nil,
        sealed: VirtualRange? = nil, guardPages: InlineArray<8, VirtualAddress?>
    ) {
        self.loaded = loaded
        self.bootPart = bootPart
        self.code = code
        self.constants = constants
        self.data = data
        self.bss = bss ?? PhysicalRange(data.physical.end, data.physical.end)
        self.stacks = stacks ?? PhysicalRange(data.physical.end, data.physical.end)
        self.sealed = sealed
        self.guardPages = guardPages
    }
}

extension KernelImage {
    /// True when the parts are RAM, follow each other within what was loaded, and are linked into `space`.
    ///
    /// The order matters: what lies from the code's start to the constants' end is read-only in the direct map, and the
    /// boot part becomes free memory.
    func isMappable(in space: VirtualRange, _ boot: borrowing BootAllocator) -> Bool {
        let parts: InlineArray<4, PhysicalRange> = [bootPart, code.physical, constants.physical, data.physical]
        var end = loaded.start
        for index in 0..<4 {
            let part = parts[index]
            guard end <= part.start, part.end <= loaded.end, part.start.isAligned(to: PageSize.byteCount),
                part.end.isAligned(to: PageSize.byteCount), boot.isMemory(part)
            else { return false }
            end = part.end
        }
        guard data.physical.contains(bss), bss.end == data.physical.end else { return false }
        return Self.contains(space, code.virtual) && Self.contains(space, constants.virtual)
            && Self.contains(space, data.virtual) && guardPagesAreData
    }

    private static func contains(_ space: VirtualRange, _ range: VirtualRange?) -> Bool {
        guard let range else { return false }
        return space.contains(range)
    }

    private var guardPagesAreData: Bool {
        guard let data = data.virtual else { return false }
        for index in 0..<8 {
            if let page = guardPages[index], !page.isAligned(to: PageSize.byteCount) || !data.contains(page) {
                return false
            }
        }
        return true
    }
}
