/// Draws where the regions of the kernel's address space lie (KASLR of the regions; the image stays where it is linked).
///
/// A pure function of random words. What the top-level table maps with one entry, 512 GiB, is a slot. A region has
/// slots to itself, and begins at a multiple of 1 GiB, so that the direct map keeps its largest pages:
///
///     0xffff_8900_0000_0000 |  free  | region |    free    | region | free | region |  free  | 0xffff_fe00_0000_0000
///
/// The regions stand in any order. Each one's slot is drawn, and how far into its slots it begins.
public struct LayoutDraw: Sendable {
    /// Where everything lies.
    public let layout: AddressSpaceLayout

    /// How many bits of the direct map's base nobody can know: no base is more probable than one in 2^bits, rounded down.
    public let directMapBits: Int
    /// The same of the vmalloc areas' base, ...
    public let areasBits: Int
    /// ... of the frame table's, ...
    public let frameTableBits: Int
    /// ... and of the object alias', which begins as far into its slot as the direct map does.
    public let objectAliasBits: Int

    /// The random words that a draw uses.
    public static var wordCount: Int { 8 }

    /// The bytes of a slot.
    private static var slot: UInt { 1 << 39 }

    /// Every base is a multiple of this.
    public static var granularity: UInt { 1 << 30 }

    /// What the direct map, the areas and the frame table are drawn in. It begins above the slot in which Linux's layout
    /// has the direct map, where the boot tables show memory during bring-up, and ends where Linux's region for such
    /// drawing does, 2 TiB below the end of the address space: the image is far above.
    public static var window: VirtualRange {
        VirtualRange(VirtualAddress(0xffff_8900_0000_0000), VirtualAddress(0xffff_fe00_0000_0000))
    }

    /// What the object alias is drawn in: slots of the lower half, beyond all physical addresses that the direct map can
    /// show, and below the last one.
    public static var aliasWindow: VirtualRange {
        VirtualRange(VirtualAddress(0x4000_0000_0000), VirtualAddress(0x7f80_0000_0000))
    }

    /// Draws a layout.
    ///
    /// - Parameters:
    ///   - standard: what the sizes of areas and frame table, the place of the image, and the largest direct map are
    ///     taken from.
    ///   - endOfMemory: the end of all RAM; what lies beyond the largest direct map does not count.
    ///   - words: random words.
    ///   - window: what the regions are drawn in; both ends are multiples of 512 GiB.
    /// - Returns: nil where the regions do not all fit into `window`. - Complexity: O(1).
    public init?(
        sizesOf standard: AddressSpaceLayout, endOfMemory: PhysicalAddress, words: InlineArray<8, UInt64>,
        window: VirtualRange = LayoutDraw.window
    ) {
        let slot = Self.slot
        // No RAM is left out that the largest direct map shows.
        let wanted = min(max(endOfMemory.rawValue, 1), standard.directMap.byteCount)
        let memory = (wanted + (Self.granularity - 1)) & ~(Self.granularity - 1)
        // The alias shows one slot. Memory that fits into a slot is not spread over two, or the alias would miss a part;
        // memory that does not begins where its first slot does, so that the alias shows all it can.
        let slots: InlineArray<3, UInt> = [
            Self.slotCount(memory), Self.slotCount(standard.areas.byteCount) + 1,
            Self.slotCount(standard.frameTable.byteCount) + 1,
        ]
        let starts: InlineArray<3, UInt> = [
            memory <= slot ? (slot - memory) / Self.granularity + 1 : 1, slot / Self.granularity,
            slot / Self.granularity,
        ]
        let needed = slots[0] + slots[1] + slots[2]
        let available = window.byteCount / slot
        if needed > available { return nil }
        let free = available - needed

        let places = Self.place(slots, free: free, words)
        func base(_ region: Int) -> VirtualAddress {
            let offset = Self.pick(words[4 + region], below: starts[region]) * Self.granularity
            return window.start + (places[region] * slot + offset)
        }
        let directMap = VirtualRange(base(0), base(0) + memory)
        let aliases = Self.aliasWindow.byteCount / slot
        let offset = directMap.start.rawValue & (slot - 1)
        let alias = Self.aliasWindow.start + (Self.pick(words[7], below: aliases) * slot + offset)
        layout = AddressSpaceLayout(
            objectAlias: VirtualRange(alias, alias + min(memory, slot)), directMap: directMap,
            areas: VirtualRange(base(1), base(1) + standard.areas.byteCount),
            frameTable: VirtualRange(base(2), base(2) + standard.frameTable.byteCount), image: standard.image)
        directMapBits = Self.bits((free + 1) * starts[0])
        areasBits = Self.bits((free + 1) * starts[1])
        frameTableBits = Self.bits((free + 1) * starts[2])
        objectAliasBits = Self.bits(aliases * starts[0])
    }

    /// The first slot of each region: the regions in one of the six orders, and the free slots cut at three points that
    /// are each drawn from all of them, so that no slot is more probable for a region than one in `free + 1`.
    private static func place(
        _ slots: InlineArray<3, UInt>, free: UInt, _ words: InlineArray<8, UInt64>
    ) -> InlineArray<3, UInt> {
        var low = pick(words[0], below: free + 1)
        var middle = pick(words[1], below: free + 1)
        var high = pick(words[2], below: free + 1)
        if low > middle { swap(&low, &middle) }
        if middle > high { swap(&middle, &high) }
        if low > middle { swap(&low, &middle) }

        let first = Int(pick(words[3], below: 3))
        let isSwapped = words[3] & 1 != 0
        let second = (first + (isSwapped ? 2 : 1)) % 3
        let third = 3 - first - second
        var places = InlineArray<3, UInt>(repeating: 0)
        places[first] = low
        places[second] = middle + slots[first]
        places[third] = high + slots[first] + slots[second]
        return places
    }

    private static func slotCount(_ byteCount: UInt) -> UInt { (byteCount + (slot - 1)) / slot }

    /// One of `count` numbers from 0 on. Each is as probable as any other but for one in 2^64 / `count`.
    private static func pick(_ word: UInt64, below count: UInt) -> UInt {
        UInt(word.multipliedFullWidth(by: UInt64(count)).high)
    }

    /// The logarithm of `count` to base 2, rounded down.
    private static func bits(_ count: UInt) -> Int { UInt.bitWidth - 1 - count.leadingZeroBitCount }
}
