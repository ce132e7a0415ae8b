extension Mobility {
    /// Whether two free buddies of 2 MiB become one free block. Page blocks that are set aside keep to their own kind,
    /// and isolated ones to themselves.
    @inline(__always)
    func mergesWith(_ other: Mobility) -> Bool {
        if self == .contiguous { return other == .contiguous }
        return rawValue <= Mobility.reclaimable.rawValue && other.rawValue <= Mobility.reclaimable.rawValue
    }
}
