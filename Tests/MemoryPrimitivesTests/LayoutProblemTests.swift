import Testing

@testable import MemoryPrimitives

/// Layouts that no kernel can have, each for a reason that is named.
@Suite struct LayoutProblemTests {
    private func range(_ start: UInt, _ byteCount: UInt) -> VirtualRange {
        VirtualRange(VirtualAddress(start), VirtualAddress(start + byteCount))
    }

    /// The reason why the standard layout is not usable after `change`.
    private func problem(fiveLevels: Bool = false, _ change: (inout AddressSpaceLayout) -> Void) -> String? {
        var layout = AddressSpaceLayout.x86FourLevel
        change(&layout)
        return layout.problem(fiveLevels: fiveLevels).map { "\($0)" }
    }

    @Test func goodLayouts() {
        #expect(problem { _ in } == nil)
        #expect(problem(fiveLevels: true) { _ in } == nil)
        for word in [0, 1 << 63, UInt64.max, 0x6666_6666_6666_6667] {
            for end in [64 << 20, 5 << 30, 64 << 30, 3 << 40] as [UInt] {
                let words = InlineArray<8, UInt64>(repeating: word)
                let draw = LayoutDraw(sizesOf: .x86FourLevel, endOfMemory: PhysicalAddress(end), words: words)
                #expect(draw?.layout.problem(fiveLevels: false) == nil, "\(word) \(end)")
            }
        }
    }

    @Test func regions() {
        #expect(problem { $0.areas = range(0xffff_c900_0000_0000, 0) } == "a region of the layout is empty")
        #expect(
            problem { $0.areas = range(0xffff_c900_0000_0800, 1 << 30) }
                == "a region of the layout does not begin and end at a page")
        let nowhere = "a region of the layout lies where the CPU has no addresses"
        #expect(problem { $0.frameTable = range(0x1000_0000_0000_0000, 1 << 30) } == nowhere)
        #expect(problem { $0.frameTable = range(0x7fff_ffff_0000, 1 << 30) } == nowhere)
        // More addresses are there with five levels.
        #expect(problem { $0.frameTable = range(0xff80_0000_0000_0000, 1 << 30) } == nowhere)
        #expect(problem(fiveLevels: true) { $0.frameTable = range(0xff80_0000_0000_0000, 1 << 30) } == nil)
        let overlap = "two regions of the layout overlap"
        #expect(problem { $0.frameTable = $0.areas } == overlap)
        #expect(problem { $0.image = range($0.directMap.end.rawValue - 4096, 8192) } == overlap)
        #expect(problem { $0.frameTable = range($0.areas.end.rawValue, 4096) } == nil)
    }

    @Test func alias() {
        #expect(
            problem { $0.directMap = range(0xffff_8880_1000_0000, 1 << 40) }
                == "the layout's direct map begins at no multiple of 1 GiB")
        #expect(
            problem { $0.objectAlias = range(0xffff_f000_0000_0000, 512 << 30) }
                == "the layout's object alias lies in the upper half, where Swift's runtime frees nothing")
        #expect(
            problem { $0.objectAlias = range(0x7f00_4000_0000, 1 << 30) }
                == "the layout's object alias does not begin as far into its 512 GiB as the direct map")
        #expect(
            problem { $0.objectAlias = range(0x7e00_0000_0000, 1 << 40) }
                == "the layout's object alias reaches beyond its 512 GiB")
    }
}
