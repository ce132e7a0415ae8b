import PageFrames

/// For loops and maps over all zones; the module itself makes no arrays.
extension ZoneKind: CaseIterable {
    public static var allCases: [ZoneKind] { [.dma, .dma32, .normal] }
}
