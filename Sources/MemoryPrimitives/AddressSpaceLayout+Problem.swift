extension AddressSpaceLayout {
    /// What no kernel can be laid out like, as a sentence; nil where all is well.
    ///
    /// - Parameter fiveLevels: whether page tables have five levels, and so more addresses.
    /// - Complexity: O(1).
    // Out of line: its table of regions takes no room in bring-up's frames.
    @inline(never)
    public func problem(fiveLevels: Bool) -> StaticString? {
        let regions: InlineArray<5, VirtualRange> = [objectAlias, directMap, areas, frameTable, image]
        for index in 0..<5 {
            let region = regions[index]
            if region.isEmpty { return "a region of the layout is empty" }
            if !region.start.isAligned(to: PageSize.byteCount) || !region.end.isAligned(to: PageSize.byteCount) {
                return "a region of the layout does not begin and end at a page"
            }
            // Of all addresses whose upper bits are alike, one half has them clear and one set.
            let unused: UInt = fiveLevels ? 56 : 47
            let last = region.end - 1
            let (first, upper) = (region.start.rawValue >> unused, last.rawValue >> unused)
            if first != upper || first != 0 && first != UInt.max >> unused {
                return "a region of the layout lies where the CPU has no addresses"
            }
            for other in 0..<index where regions[other].overlaps(region) { return "two regions of the layout overlap" }
        }
        return aliasProblem
    }

    /// What of the object alias does not fit the direct map, whose tables it shares: one entry, of 512 GiB.
    private var aliasProblem: StaticString? {
        let slot: UInt = 512 << 30
        if directMap.start.rawValue & ((1 << 30) - 1) != 0 {
            return "the layout's direct map begins at no multiple of 1 GiB"
        }
        if objectAlias.start.rawValue >> 63 != 0 {
            return "the layout's object alias lies in the upper half, where Swift's runtime frees nothing"
        }
        if objectAlias.start.rawValue & (slot - 1) != directMap.start.rawValue & (slot - 1) {
            return "the layout's object alias does not begin as far into its 512 GiB as the direct map"
        }
        if objectAlias.start.rawValue / slot != (objectAlias.end - 1).rawValue / slot {
            return "the layout's object alias reaches beyond its 512 GiB"
        }
        return nil
    }
}
