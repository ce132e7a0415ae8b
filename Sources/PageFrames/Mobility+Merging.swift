extension Mobility {
    /// Whether two free buddies of 2 MiB become one free block. Page blocks that are set aside stay as they are.
    @inline(__always)
    func mergesWith(_ other: Mobility) -> Bool {
        rawValue <= Mobility.reclaimable.rawValue && other.rawValue <= Mobility.reclaimable.rawValue
    }
}
