import MemoryPrimitives

/// A sequence that the tests on the host and the kernel's self tests make alike, and what both must find.
public struct TableSequenceCase: Sendable {
    public let seed: UInt64
    /// Whether some pages are user code's, which the CPU must keep the kernel from: it has SMAP and SMEP.
    public let usesUserPages: Bool
    /// What `TableSequence.digest` is in the end.
    public let digest: UInt64

    /// How many there are.
    public static var count: Int { 4 }

    /// Steps of each.
    public static var steps: Int { 200 }

    /// - Parameter number: below `count`.
    public init(_ number: Int) {
        seed = UInt64(number) &+ 1
        usesUserPages = number >= 2
        digest =
            switch number {
            case 0: 0xb894_8be7_511c_3288
            case 1: 0xe5bb_c44d_9215_0e15
            case 2: 0xc5d3_1f1d_e919_efe6
            default: 0x7e40_6547_167b_41d4
            }
    }

    /// The pages: 6 MiB across a border of 1 GiB and of the tables below, in the lower half of the address space, where
    /// user pages may be, and the kernel has none: below all that its object alias is drawn in.
    public static var pageCount: UInt { 1536 }
    public static var window: VirtualAddress { VirtualAddress(0x0000_2000_4000_0000 - 0x20_0000) }

    /// The frames: 4 MiB.
    public static var blockFrames: UInt { 1024 }
    public static var blockOrder: Int { 10 }
}
