import MemoryPrimitives
import Testing

@testable import PageFrames

/// The flags against the values that Linux 6.1 defines and the text that it prints.
@Suite struct LinuxFlagsTests {
    static let modifiers: [(flags: AllocationFlags, linux: AllocationFlags, bits: UInt32)] = [
        (.dma, .__GFP_DMA, 0x01), (.highMemory, .__GFP_HIGHMEM, 0x02), (.dma32, .__GFP_DMA32, 0x04),
        (.movable, .__GFP_MOVABLE, 0x08), (.reclaimable, .__GFP_RECLAIMABLE, 0x10), (.high, .__GFP_HIGH, 0x20),
        (.io, .__GFP_IO, 0x40), (.fs, .__GFP_FS, 0x80), (.zero, .__GFP_ZERO, 0x100),
        (.tryHarder, .__GFP_ATOMIC, 0x200), (.directReclaim, .__GFP_DIRECT_RECLAIM, 0x400),
        (.wakeReclaimer, .__GFP_KSWAPD_RECLAIM, 0x800), (.write, .__GFP_WRITE, 0x1000),
        (.noWarn, .__GFP_NOWARN, 0x2000), (.retryMayFail, .__GFP_RETRY_MAYFAIL, 0x4000),
        (.noFail, .__GFP_NOFAIL, 0x8000), (.noRetry, .__GFP_NORETRY, 0x10000),
        (.memoryReserves, .__GFP_MEMALLOC, 0x20000), (.compound, .__GFP_COMP, 0x40000),
        (.noMemoryReserves, .__GFP_NOMEMALLOC, 0x80000), (.hardWall, .__GFP_HARDWALL, 0x100000),
        (.thisNode, .__GFP_THISNODE, 0x200000), (.account, .__GFP_ACCOUNT, 0x400000),
    ]

    @Test(arguments: modifiers.indices) func modifiersHaveLinuxsBits(index: Int) {
        let (flags, linux, bits) = Self.modifiers[index]
        #expect(flags.rawValue == bits)
        #expect(linux.rawValue == bits)
    }

    @Test func modifiersAreDifferentBits() {
        let all = Self.modifiers.map(\.bits) + [AllocationFlags.cold.rawValue]
        #expect(all.allSatisfy { $0.nonzeroBitCount == 1 })
        #expect(Set(all).count == 24)
        // Linux 6.1 has ZEROTAGS, the KASAN flags and NOLOCKDEP from here to 0x800_0000.
        #expect(AllocationFlags.cold.rawValue > 0x800_0000)
    }

    @Test func olderNamesMeanThePresentFlags() {
        #expect(AllocationFlags.__GFP_WAIT == .__GFP_DIRECT_RECLAIM | .__GFP_KSWAPD_RECLAIM)
        #expect(AllocationFlags.__GFP_WAIT == .__GFP_RECLAIM)
        #expect(AllocationFlags.__GFP_REPEAT == .__GFP_RETRY_MAYFAIL)
        #expect(AllocationFlags.__GFP_COLD == .cold)
    }

    /// The table of types, with the values that Linux 6.1 prints for them. `__GFP_WAIT` is both kinds of reclaim.
    static let types: [(flags: AllocationFlags, composition: AllocationFlags, bits: UInt32)] = [
        (.GFP_ATOMIC, .__GFP_HIGH | .__GFP_ATOMIC | .__GFP_KSWAPD_RECLAIM, 0xa20),
        (.GFP_NOWAIT, .__GFP_KSWAPD_RECLAIM, 0x800),
        (.GFP_NOIO, .__GFP_WAIT, 0xc00),
        (.GFP_NOFS, .__GFP_WAIT | .__GFP_IO, 0xc40),
        (.GFP_KERNEL, .__GFP_WAIT | .__GFP_IO | .__GFP_FS, 0xcc0),
        (.GFP_KERNEL_ACCOUNT, .__GFP_WAIT | .__GFP_IO | .__GFP_FS | .__GFP_ACCOUNT, 0x400cc0),
        (.GFP_USER, .__GFP_WAIT | .__GFP_IO | .__GFP_FS | .__GFP_HARDWALL, 0x100cc0),
        (.GFP_HIGHUSER, .GFP_USER | .__GFP_HIGHMEM, 0x100cc2),
        (.GFP_HIGHUSER_MOVABLE, .GFP_HIGHUSER | .__GFP_MOVABLE, 0x100cca),
        (.GFP_DMA, .__GFP_DMA, 0x1),
        (.GFP_DMA32, .__GFP_DMA32, 0x4),
        (
            .GFP_TRANSHUGE_LIGHT,
            .__GFP_HIGHMEM | .__GFP_MOVABLE | .__GFP_IO | .__GFP_FS | .__GFP_HARDWALL | .__GFP_COMP
                | .__GFP_NOMEMALLOC | .__GFP_NOWARN, 0x1c20ca
        ),
        (.GFP_TRANSHUGE, .GFP_TRANSHUGE_LIGHT | .__GFP_DIRECT_RECLAIM, 0x1c24ca),
    ]

    @Test(arguments: types.indices) func typesAreComposedAsLinuxComposesThem(index: Int) {
        let (flags, composition, bits) = Self.types[index]
        #expect(flags == composition)
        #expect(flags.rawValue == bits)
    }

    @Test func swiftNamesAreLinuxsTypes() {
        #expect(AllocationFlags.atomic == .GFP_ATOMIC)
        #expect(AllocationFlags.noWait == .GFP_NOWAIT)
        #expect(AllocationFlags.noIO == .GFP_NOIO)
        #expect(AllocationFlags.noFS == .GFP_NOFS)
        #expect(AllocationFlags.kernel == .GFP_KERNEL)
        #expect(AllocationFlags.user == .GFP_USER)
        #expect(AllocationFlags.userMovable.rawValue == 0x100cc8)
        #expect(AllocationFlags.highUser == .GFP_HIGHUSER)
        #expect(AllocationFlags.highUserMovable == .GFP_HIGHUSER_MOVABLE)
    }

    @Test func highMemoryAndMovableAreTheNormalZone() {
        for flags: AllocationFlags in [.highMemory, .movable, .highUserMovable, .none, .kernel] {
            #expect(flags.highestZone == .normal)
        }
        #expect((.highUserMovable | .dma32 as AllocationFlags).highestZone == .dma32)
        #expect((.highMemory | .dma | .dma32 as AllocationFlags).highestZone == .dma)
    }

    @Test func mobilityFollowsTheFlags() {
        #expect(AllocationFlags.kernel.mobility == .unmovable)
        #expect(AllocationFlags.highUserMovable.mobility == .movable)
        #expect((.kernel | .reclaimable as AllocationFlags).mobility == .reclaimable)
        #expect((.kernel | .reclaimable | .movable as AllocationFlags).mobility == .unmovable)
    }

    @Test func onlyDirectReclaimMayWait() {
        for flags: AllocationFlags in [.kernel, .noIO, .noFS, .user, .highUserMovable, .GFP_TRANSHUGE] {
            #expect(flags.mayWait)
        }
        for flags: AllocationFlags in [.atomic, .noWait, .dma, .none, .GFP_TRANSHUGE_LIGHT] {
            #expect(!flags.mayWait)
        }
    }
}

@Suite struct FlagTextTests {
    private func text(_ flags: AllocationFlags) -> String { ReportText { $0.write(flags) }.text }
    private func mode(_ flags: AllocationFlags) -> String { ReportText { $0.write(mode: flags) }.text }

    @Test func typesAreWrittenByName() {
        #expect(mode(.atomic) == "0xa20(GFP_ATOMIC)")
        #expect(mode(.kernel) == "0xcc0(GFP_KERNEL)")
        #expect(mode(.noWait) == "0x800(GFP_NOWAIT)")
        #expect(mode(.noIO) == "0xc00(GFP_NOIO)")
        #expect(mode(.noFS) == "0xc40(GFP_NOFS)")
        #expect(mode(.user) == "0x100cc0(GFP_USER)")
        #expect(mode(.highUser) == "0x100cc2(GFP_HIGHUSER)")
        #expect(mode(.highUserMovable) == "0x100cca(GFP_HIGHUSER_MOVABLE)")
        #expect(mode(.GFP_KERNEL_ACCOUNT) == "0x400cc0(GFP_KERNEL_ACCOUNT)")
        #expect(mode(.dma) == "0x1(GFP_DMA)")
        #expect(mode(.dma32) == "0x4(GFP_DMA32)")
        #expect(mode(.GFP_TRANSHUGE) == "0x1c24ca(GFP_TRANSHUGE)")
        #expect(mode(.GFP_TRANSHUGE_LIGHT) == "0x1c20ca(GFP_TRANSHUGE_LIGHT)")
    }

    /// As seen in Linux's own logs.
    @Test func whatIsLeftFollowsTheType() {
        #expect(mode(.kernel | .zero) == "0xdc0(GFP_KERNEL|__GFP_ZERO)")
        #expect(mode(.kernel | .compound) == "0x40cc0(GFP_KERNEL|__GFP_COMP)")
        #expect(mode(.kernel | .dma) == "0xcc1(GFP_KERNEL|GFP_DMA)")
        #expect(text(.highUserMovable | .zero) == "GFP_HIGHUSER_MOVABLE|__GFP_ZERO")
        #expect(text(.kernel | .compound | .zero) == "GFP_KERNEL|__GFP_COMP|__GFP_ZERO")
        #expect(text(.atomic | .noWarn | .compound) == "GFP_ATOMIC|__GFP_NOWARN|__GFP_COMP")
        // GFP_NOFS is contained in GFP_KERNEL, and what GFP_KERNEL leaves is no GFP_NOWAIT any more.
        #expect(text(.kernel | .high) == "GFP_KERNEL|__GFP_HIGH")
    }

    @Test func singleModifiersAreWrittenByName() {
        let named = [
            "GFP_DMA", "__GFP_HIGHMEM", "GFP_DMA32", "__GFP_MOVABLE", "__GFP_RECLAIMABLE", "__GFP_HIGH", "__GFP_IO",
            "__GFP_FS", "__GFP_ZERO", "__GFP_ATOMIC", "__GFP_DIRECT_RECLAIM", "GFP_NOWAIT", "__GFP_WRITE",
            "__GFP_NOWARN", "__GFP_RETRY_MAYFAIL", "__GFP_NOFAIL", "__GFP_NORETRY", "__GFP_MEMALLOC", "__GFP_COMP",
            "__GFP_NOMEMALLOC", "__GFP_HARDWALL", "__GFP_THISNODE", "__GFP_ACCOUNT",
        ]
        for (bit, name) in named.enumerated() { #expect(text(AllocationFlags(rawValue: 1 << bit)) == name) }
        #expect(text(.cold) == "__GFP_COLD")
    }

    @Test func noFlagsAreNoText() {
        #expect(text(.none) == "")
        #expect(mode(.none) == "0x0()")
    }

    @Test func bitsWithoutANameAreHexadecimal() {
        #expect(text(AllocationFlags(rawValue: 0x8000_0000)) == "0x80000000")
        #expect(text(AllocationFlags(rawValue: 0x8080_0cc0)) == "GFP_KERNEL|0x80800000")
    }

    /// Every bit is written once: adding up the names gives the flags again.
    @Test func textIsComplete() {
        var values: [String: UInt32] = [:]
        for (flags, _, bits) in LinuxFlagsTests.modifiers + LinuxFlagsTests.types { values[text(flags)] = bits }
        values["__GFP_RECLAIM"] = 0xc00
        values["__GFP_KSWAPD_RECLAIM"] = 0x800
        var state: UInt32 = 1
        for _ in 0..<2000 {
            state = state &* 1_664_525 &+ 1_013_904_223
            let flags = AllocationFlags(rawValue: state >> 8 & 0x7f_ffff)
            var sum: UInt32 = 0
            for name in text(flags).split(separator: "|") {
                guard let bits = values[String(name)] else {
                    Issue.record("\(name) is no flag")
                    continue
                }
                #expect(sum & bits == 0)
                sum |= bits
            }
            #expect(sum == flags.rawValue)
        }
    }
}

@Suite struct MobilityTests {
    @Test func numbersNamesAndMarksAreLinuxs() {
        var seen: [Mobility] = []
        Mobility.forEach { group in seen.append(group) }
        #expect(seen.map(\.rawValue) == [0, 1, 2, 3, 4, 5])
        #expect(Mobility.count == seen.count)
        #expect(
            seen.map { "\($0.name)" } == ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "CMA", "Isolate"])
        #expect(String(decoding: seen.map(\.mark), as: UTF8.self) == "UMEHCI")
        #expect(Mobility(rawValue: 6) == nil)
    }
}
