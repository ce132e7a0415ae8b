import MemoryPrimitives
import Paging
import SimulatedMachine

/// The layouts that tests use besides the standard one.
enum Layouts {
    private static let seed = SeededGenerator.fromEnvironment(default: 1).seed

    /// A layout drawn from words that are all alike but for the one that chooses the order.
    static func drawn(_ end: UInt, word: UInt64, order: UInt64) -> AddressSpaceLayout {
        var words = InlineArray<8, UInt64>(repeating: word)
        words[3] = order
        return LayoutDraw(sizesOf: .x86FourLevel, endOfMemory: PhysicalAddress(end), words: words)!.layout
    }

    /// The standard one, the lowest that is drawn and the highest, with the regions in other orders, and one between.
    static func some(for map: MachineMap) -> [AddressSpaceLayout] {
        let end = endOfMemory(map)
        return [
            .x86FourLevel, drawn(end, word: 0, order: 0), drawn(end, word: .max, order: .max),
            drawn(end, word: 0x6666_6666_6666_6666, order: 0x6666_6666_6666_6667),
        ]
    }

    /// The standard layout for one machine in four, and for any other one that is drawn for it: the same as long as
    /// QUARRY_SEED is.
    static func chosen(for map: MachineMap, _ features: PagingFeatures) -> AddressSpaceLayout {
        var seed: UInt64 = 0xcbf2_9ce4_8422_2325
        func stir(_ value: UInt64) { seed = (seed ^ value) &* 0x100_0000_01b3 }
        for entry in map.entries {
            stir(entry.base)
            stir(entry.byteCount)
        }
        for flag in [features.noExecute, features.gigabytePages, features.globalPages, features.fiveLevels] {
            stir(flag ? 1 : 2)
        }
        stir(Self.seed)
        var generator = SeededGenerator(seed: seed)
        if generator.next() >> 62 == 0 { return .x86FourLevel }
        var words = InlineArray<8, UInt64>(repeating: 0)
        for index in 0..<8 { words[index] = generator.next() }
        return LayoutDraw(
            sizesOf: .x86FourLevel, endOfMemory: PhysicalAddress(endOfMemory(map)), words: words)!.layout
    }

    private static func endOfMemory(_ map: MachineMap) -> UInt { usableMemory(map).last?.upperBound ?? 0 }
}
