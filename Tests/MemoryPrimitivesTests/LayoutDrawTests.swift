import SimulatedMachine
import Testing

@testable import MemoryPrimitives

/// What is drawn is a layout, whatever the random words are.
@Suite struct LayoutDrawTests {
    private static let standard = AddressSpaceLayout.x86FourLevel
    private static let gib: UInt = 1 << 30
    private static let slot: UInt = 512 << 30

    /// Ends of memory, from nothing to more than any CPU has.
    static let ends: [UInt] = [
        0, 1, 1 << 20, 64 << 20, gib - 1, gib, gib + 1, 5 * gib, 64 * gib, 511 * gib, 511 * gib + 1, slot, slot + 1,
        513 * gib, 1 << 40, 16 << 40, (64 << 40) - 1, 64 << 40, (64 << 40) + 1, 1 << 52,
    ]

    private static func draw(_ end: UInt, _ words: [UInt64], window: VirtualRange = LayoutDraw.window) -> LayoutDraw? {
        var random = InlineArray<8, UInt64>(repeating: 0)
        for index in 0..<8 { random[index] = words[index] }
        return LayoutDraw(sizesOf: standard, endOfMemory: PhysicalAddress(end), words: random, window: window)
    }

    private static func slots(_ range: VirtualRange) -> ClosedRange<UInt> {
        range.start.rawValue / slot...(range.end.rawValue - 1) / slot
    }

    /// What is wrong with a layout; nil where nothing is.
    private static func flaw(_ layout: AddressSpaceLayout, _ end: UInt, window: VirtualRange = LayoutDraw.window)
        -> String?
    {
        let regions = [layout.directMap, layout.areas, layout.frameTable]
        let all = regions + [layout.objectAlias]
        for region in all {
            if !region.start.isAligned(to: gib) { return "misaligned" }
            if !region.start.isCanonical || !(region.end - 1).isCanonical { return "not canonical" }
            if region.start.rawValue >> 47 != (region.end.rawValue - 1) >> 47 { return "in both halves" }
            if region.overlaps(layout.image) { return "over the image" }
        }
        for region in regions where !window.contains(region) || region.start.rawValue >> 63 == 0 {
            return "out of the window"
        }
        if !LayoutDraw.aliasWindow.contains(layout.objectAlias) { return "alias out of its window" }
        for index in all.indices {
            for other in all.indices where other < index && slots(all[index]).overlaps(slots(all[other])) {
                return "two regions in one slot"
            }
        }
        if layout.image != standard.image { return "the image moved" }
        if layout.areas.byteCount != standard.areas.byteCount { return "areas of another size" }
        if layout.frameTable.byteCount != standard.frameTable.byteCount { return "a frame table of another size" }
        let memory = min(end, 64 << 40)
        if layout.directMap.byteCount < memory || layout.directMap.byteCount >= memory + gib && memory > 0 {
            return "a direct map of another size than memory"
        }
        if memory <= slot && slots(layout.directMap).count != 1 { return "memory in two slots without need" }
        if layout.objectAlias.byteCount != min(layout.directMap.byteCount, slot) { return "an alias of another size" }
        if layout.objectAlias.start.rawValue % slot != layout.directMap.start.rawValue % slot { return "alias shifted" }
        return nil
    }

    @Test(arguments: ends) func everyCornerIsALayout(end: UInt) {
        let corners: [UInt64] = [0, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaab, .max]
        for number in 0..<65536 {
            let words = (0..<8).map { corners[number >> (2 * $0) & 3] }
            guard let draw = Self.draw(end, words) else {
                Issue.record("no room for \(end) bytes")
                return
            }
            if let flaw = Self.flaw(draw.layout, end) {
                Issue.record("\(flaw): \(words), \(draw.layout)")
                return
            }
        }
    }

    @Test func randomWordsMakeLayouts() {
        var random = SeededGenerator.fromEnvironment(default: 17)
        var orders = Set<[Int]>()
        for _ in 0..<50_000 {
            let end = Self.ends[Int(random.next() % UInt64(Self.ends.count))]
            let words = (0..<8).map { _ in random.next() }
            guard let layout = Self.draw(end, words)?.layout else {
                Issue.record("no room for \(end) bytes")
                return
            }
            if let flaw = Self.flaw(layout, end) {
                Issue.record("\(flaw): \(words), \(layout)")
                return
            }
            let starts = [layout.directMap.start, layout.areas.start, layout.frameTable.start]
            orders.insert([0, 1, 2].sorted { starts[$0] < starts[$1] })
        }
        #expect(orders.count == 6)
    }

    @Test func theWholeWindowIsUsed() throws {
        // Any region may be the lowest, and begin where the window does; and the highest, and end in its last slot.
        var lowest = Set<Int>()
        var highest = Set<Int>()
        for number in 0..<256 {
            let words = (0..<8).map { number >> $0 & 1 == 0 ? UInt64.max : $0 == 3 ? 0x7fff_ffff_ffff_fffe : 0 }
            for other in [
                words, (0..<8).map { $0 == 3 ? words[3] &- 1 : words[$0] }, (0..<8).map { $0 == 3 ? 1 : words[$0] },
            ] {
                let layout = try #require(Self.draw(Self.gib, other)).layout
                for (index, region) in [layout.directMap, layout.areas, layout.frameTable].enumerated() {
                    if region.start == LayoutDraw.window.start { lowest.insert(index) }
                    if LayoutDraw.window.end.rawValue - region.end.rawValue < Self.slot { highest.insert(index) }
                }
            }
        }
        #expect(lowest == [0, 1, 2] && highest == [0, 1, 2])
    }

    /// Every draw from a small window, each as probable as any other: no slot of a region is more probable than the
    /// bits say.
    @Test(arguments: [1, 2, 3, 7] as [UInt]) func noSlotIsMoreProbableThanSaid(free: UInt) throws {
        let slots = 1 + 65 + 3 + free
        let window = VirtualRange(LayoutDraw.window.start, LayoutDraw.window.start + slots * Self.slot)
        var counts = [[UInt: Int]](repeating: [:], count: 3)
        var draws = 0
        // The lowest word for which each number is picked.
        func word(_ number: UInt, of count: UInt) -> UInt64 {
            number == 0 ? 0 : UInt64(count).dividingFullWidth((UInt64(number), 0)).quotient + 1
        }
        for (a, b) in (0...free).flatMap({ a in (0...free).map { (a, $0) } }) {
            for c in 0...free {
                for first in 0..<3 as Range<UInt> {
                    for swapped in 0..<2 as Range<UInt64> {
                        let order = word(first, of: 3) & ~1 + 2 + swapped
                        let words = [
                            word(a, of: free + 1), word(b, of: free + 1), word(c, of: free + 1), order, 0, 0, 0, 0,
                        ]
                        let layout = try #require(Self.draw(Self.gib, words, window: window)).layout
                        #expect(Self.flaw(layout, Self.gib, window: window) == nil)
                        for (index, region) in [layout.directMap, layout.areas, layout.frameTable].enumerated() {
                            counts[index][region.start.rawValue / Self.slot, default: 0] += 1
                        }
                        draws += 1
                    }
                }
            }
        }
        for count in counts { #expect(count.values.max()! * Int(free + 1) <= draws) }
        let draw = try #require(Self.draw(Self.gib, [UInt64](repeating: 0, count: 8), window: window))
        // 512 places within a slot, and the slots; 127 of the alias.
        let bits = 9 + (UInt.bitWidth - 1 - (free + 1).leadingZeroBitCount)
        #expect(draw.directMapBits == bits && draw.areasBits == bits && draw.frameTableBits == bits)
        #expect(draw.objectAliasBits == 15)
    }

    @Test func bitsAreThoseOfTheDocumentation() throws {
        func bits(_ end: UInt) throws -> [Int] {
            let draw = try #require(Self.draw(end, [UInt64](repeating: 7, count: 8)))
            return [draw.directMapBits, draw.areasBits, draw.frameTableBits, draw.objectAliasBits]
        }
        #expect(try bits(512 << 20) == [16, 16, 16, 15])
        #expect(try bits(64 << 30) == [16, 16, 16, 15])
        #expect(try bits(512 << 30) == [7, 16, 16, 6])
        #expect(try bits(1 << 40) == [7, 16, 16, 6])
        #expect(try bits(64 << 40) == [5, 14, 14, 6])
    }

    @Test func aWindowThatIsTooSmallIsRefused() throws {
        func window(slots: UInt) -> VirtualRange {
            VirtualRange(LayoutDraw.window.start, LayoutDraw.window.start + slots * Self.slot)
        }
        let words = [UInt64](repeating: .max, count: 8)
        #expect(Self.draw(Self.gib, words, window: window(slots: 0)) == nil)
        #expect(Self.draw(Self.gib, words, window: window(slots: 68)) == nil)
        let tight = try #require(Self.draw(Self.gib, words, window: window(slots: 69)))
        #expect(Self.flaw(tight.layout, Self.gib, window: window(slots: 69)) == nil)
        #expect(tight.directMapBits == 9)
        #expect(Self.draw(Self.slot + 1, words, window: window(slots: 69)) == nil)
        #expect(Self.draw(64 << 40, words, window: window(slots: 195)) == nil)
        #expect(Self.draw(64 << 40, words, window: window(slots: 196)) != nil)
    }

    @Test func theBootTablesSlotIsNotDrawn() {
        #expect(!Self.slots(LayoutDraw.window).contains(Self.standard.directMap.start.rawValue / Self.slot))
        #expect(!LayoutDraw.window.overlaps(Self.standard.image))
        // A number below the alias is a physical address that the direct map can show, and none above is.
        #expect(LayoutDraw.aliasWindow.start.rawValue >= Self.standard.directMap.byteCount)
    }
}
