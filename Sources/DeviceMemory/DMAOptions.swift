/// How memory is given to devices.
public struct DMAOptions: Sendable {
    /// When buffers are copied.
    public enum Bouncing: UInt8, Sendable {
        /// Where the device does not reach them.
        case whereNeeded
        /// Always, for tests: Linux's `swiotlb=force`.
        case always
        /// Never: what a device does not reach cannot be mapped. Linux's `swiotlb=noforce`.
        case never
    }

    /// The slots of the pool for 32-bit devices, 2 KiB each; that for smaller masks has as many, at most 512.
    public var slotCount: UInt
    /// Whether buffers are copied.
    public var bouncing: Bouncing
    /// Whether each mapping is noted down, so that misuse can be told.
    public var isDebugging: Bool

    /// 4 MiB: sixteen of the largest buffers at a time. (Linux takes 64 MiB at boot, wanted or not.)
    public static var usualSlotCount: UInt { 2048 }

    /// Options, each as its property says.
    public init(
        slotCount: UInt = DMAOptions.usualSlotCount, bouncing: Bouncing = .whereNeeded, isDebugging: Bool = false
    ) {
        self.slotCount = slotCount
        self.bouncing = bouncing
        self.isDebugging = isDebugging
    }
}
