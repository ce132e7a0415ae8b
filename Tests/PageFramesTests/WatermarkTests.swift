import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// Watermarks against what Debian 12's Linux 6.1.192 computed on a 512 MiB QEMU machine.
@Suite struct LinuxWatermarkTests {
    /// Frames of the DMA zone.
    static let dma: UInt = 3840

    /// Linux computed its marks before it had given back its initial ramdisk, when the DMA32 zone had fewer frames than
    /// the 113264 that it showed later. The lowmem reserve of 432 frames bounds their number to 110592 ... 110847; that
    /// DMA32's min is 654 frames, not 653, leaves these.
    static let dma32: ClosedRange<UInt> = 110_743...110_847

    private func marks(_ watermarks: Watermarks) -> [UInt] { [watermarks.min, watermarks.low, watermarks.high] }

    @Test func marksAreThoseOfLinuxsZoneinfo() {
        for dma32 in Self.dma32 {
            let total = Self.dma + dma32
            let free = Watermarks.minimumFree(frames: total)
            #expect(free == 2708 || free == 2709)
            #expect(marks(Watermarks(managed: Self.dma, of: total, minimumFree: free)) == [22, 27, 32])
            #expect(marks(Watermarks(managed: dma32, of: total, minimumFree: free)) == [654, 817, 980])
            #expect(marks(Watermarks(managed: 0, of: total, minimumFree: free)) == [0, 0, 0])
        }
    }

    /// One frame fewer in the zone, and the marks are others: the figures above are no accident.
    @Test func marksDependOnTheZonesSize() {
        let dma32 = Self.dma32.lowerBound - 1
        let free = Watermarks.minimumFree(frames: Self.dma + dma32)
        #expect(marks(Watermarks(managed: dma32, of: Self.dma + dma32, minimumFree: free)) != [654, 817, 980])
    }

    @Test func lowmemReserveIsThatOfLinuxsZoneinfo() {
        for dma32 in Self.dma32 {
            let managed: InlineArray<3, UInt> = [Self.dma, dma32, 0]
            #expect(reserve(.dma, managed) == [0, 432, 432])
            #expect(reserve(.dma32, managed) == [0, 0, 0])
            #expect(reserve(.normal, managed) == [0, 0, 0])
        }
    }

    @Test func lowmemReserveAddsUpTheZonesAbove() {
        let managed: InlineArray<3, UInt> = [4000, 512_000, 1_024_000]
        #expect(reserve(.dma, managed) == [0, 2000, 6000])
        #expect(reserve(.dma32, managed) == [0, 0, 4000])
        #expect(reserve(.normal, managed) == [0, 0, 0])
        #expect(reserve(.dma, [0, 512_000, 1_024_000]) == [0, 0, 0], "a zone without memory keeps nothing")
    }

    private func reserve(_ zone: ZoneKind, _ managed: InlineArray<3, UInt>) -> [UInt] {
        let reserve = Watermarks.lowmemReserve(of: zone, managed: managed)
        return (0..<3).map { reserve[$0] }
    }

    /// Linux refused a GFP_ATOMIC frame with 246 frames free in DMA32 (boost 1024) and 439 in DMA: the marks say that
    /// 246 is the very limit.
    @Test func atomicRequestsFailWhereLinuxs() {
        var dma32 = Watermarks()
        (dma32.min, dma32.low, dma32.high, dma32.boost) = (654, 817, 980, 1024)
        #expect(dma32[.min] == 6712 / 4)
        #expect(dma32[.low] == 7364 / 4)
        #expect(dma32[.high] == 8016 / 4)
        #expect(!dma32.isAbove(.min, free: 246, order: 0, highestZone: .normal, flags: .atomic))
        #expect(dma32.isAbove(.min, free: 247, order: 0, highestZone: .normal, flags: .atomic))
        var dma = Watermarks()
        (dma.min, dma.low, dma.high) = (22, 27, 32)
        dma.lowmemReserve = [0, 432, 432]
        #expect(!dma.isAbove(.min, free: 439, order: 0, highestZone: .normal, flags: .atomic))
        #expect(dma.isAbove(.min, free: 439, order: 0, highestZone: .dma, flags: .atomic | .dma))
    }
}

@Suite struct WatermarkTests {
    @Test func squareRootIsTheLargestWhoseSquareFits() {
        for number in (0 as UInt)...10_000 {
            let root = Watermarks.squareRoot(number)
            #expect(root * root <= number && (root + 1) * (root + 1) > number)
        }
        #expect(Watermarks.squareRoot(.max) == 1 << 32 - 1)
        #expect(Watermarks.squareRoot(1 << 62) == 1 << 31)
        #expect(Watermarks.squareRoot(1 << 62 - 1) == 1 << 31 - 1)
    }

    /// The table in Linux's comment on `init_per_zone_wmark_min`.
    static let table: [(UInt, UInt)] = [
        (16, 512), (32, 724), (64, 1024), (128, 1448), (256, 2048), (512, 2896), (1024, 4096), (2048, 5792),
        (4096, 8192), (8192, 11584), (16384, 16384),
    ]

    @Test(arguments: table) func minimumFreeIsThatOfLinuxsTable(mebibytes: UInt, kibibytes: UInt) {
        // The comment rounds: 724 is 724.07, 11584 is 11585.2.
        let computed = Watermarks.minimumFree(frames: mebibytes * 256)
        #expect(computed == kibibytes || computed == kibibytes + 1)
    }

    @Test func minimumFreeStaysWithinItsBounds() {
        #expect(Watermarks.minimumFree(frames: 0) == 128)
        #expect(Watermarks.minimumFree(frames: 200) == 128)
        #expect(Watermarks.minimumFree(frames: 1 << 30) == 262_144)
        #expect(Watermarks.minimumFree(frames: .max) == 262_144)
    }

    @Test func requestedMinimumFreeCounts() {
        #expect(Watermarks.minimumFree(frames: 131_072, requested: 10_000) == 10_000)
        #expect(Watermarks.minimumFree(frames: 131_072, requested: 0) == 0)
        #expect(Watermarks.minimumFree(frames: 131_072, requested: .max) == 131_072, "a quarter of 512 MiB")
        #expect(Watermarks.minimumFree(frames: 0, requested: 1) == 0)
    }

    @Test func distanceIsTheLargerOfAQuarterAndTheScaleFactor() {
        let large = Watermarks(managed: 10_000_000, of: 10_000_000, minimumFree: 4000)
        #expect([large.min, large.low, large.high] == [1000, 11_000, 21_000])
        let wide = Watermarks(managed: 10_000, of: 10_000, minimumFree: 4000, scaleFactor: 1000)
        #expect([wide.min, wide.low, wide.high] == [1000, 2000, 3000])
    }

    @Test func absurdSizesDoNotTrap() {
        for managed: UInt in [0, 1, 1 << 32, .max] {
            for total: UInt in [0, 1, .max] {
                for free: UInt in [0, 128, .max] {
                    let marks = Watermarks(managed: managed, of: total, minimumFree: free, scaleFactor: .max)
                    #expect(marks.min <= marks.low && marks.low <= marks.high)
                }
            }
        }
        let reserve = Watermarks.lowmemReserve(of: .dma, managed: [.max, .max, .max])
        #expect(reserve[1] == 1 << 24 && reserve[2] == 1 << 25)
    }

    /// The check against Linux's `__zone_watermark_ok` and `zone_watermark_fast`, written the way Linux writes them.
    @Test func checkAgreesWithAModelOfLinuxs() {
        var random = SeededGenerator.fromEnvironment(default: 0x6d61_726b)
        var passed = 0
        for _ in 0..<20_000 {
            var marks = Watermarks()
            marks.min = .random(in: 0...40, using: &random)
            marks.low = marks.min + .random(in: 0...10, using: &random)
            marks.high = marks.low + .random(in: 0...10, using: &random)
            marks.boost = Bool.random(using: &random) ? .random(in: 0...20, using: &random) : 0
            for zone in 0..<3 { marks.lowmemReserve[zone] = .random(in: 0...10, using: &random) }
            let choices: [AllocationFlags] = [.high, .tryHarder, .memoryReserves, .noMemoryReserves, .movable]
            var flags = AllocationFlags.none
            for choice in choices where Int.random(in: 0..<3, using: &random) == 0 { flags = flags | choice }
            let request = Request(
                mark: [.min, .low, .high].randomElement(using: &random)!, free: .random(in: 0...100, using: &random),
                order: .random(in: 0...4, using: &random), zone: ZoneKind.allCases.randomElement(using: &random)!,
                flags: flags, unusable: .random(in: 0...5, using: &random))
            let isAbove = marks.isAbove(
                request.mark, free: UInt(request.free), unusable: UInt(request.unusable), order: request.order,
                highestZone: request.zone, flags: flags)
            #expect(isAbove == request.isAllowedByLinux(marks), "\(marks) \(request)")
            passed += isAbove ? 1 : 0
        }
        #expect((4_000...16_000).contains(passed), "both answers must be tried")
    }

    struct Request {
        var mark: Watermarks.Mark
        var free: Int
        var order: Int
        var zone: ZoneKind
        var flags: AllocationFlags
        var unusable: Int

        func isAllowedByLinux(_ marks: Watermarks) -> Bool {
            let isMinimum = mark == .min
            // Linux lets such a request pass, and then finds that there is no block.
            if isMinimum, flags.contains(.memoryReserves), !flags.contains(.noMemoryReserves) {
                return free >= unusable + 1 << order
            }
            let harder = isMinimum && flags.contains(.tryHarder) && !flags.contains(.noMemoryReserves)
            func isOK(_ mark: UInt) -> Bool {
                let free = free - ((1 << order) - 1) - unusable
                var min = Int(mark)
                if isMinimum, flags.contains(.high) { min -= min / 2 }
                if harder { min -= min / 4 }
                return free > min + Int(marks.lowmemReserve[zone.rawValue])
            }
            let mark: UInt =
                switch mark {
                case .min: marks.min
                case .low: marks.low
                case .high: marks.high
                }
            if isOK(mark + marks.boost) { return true }
            let ignoresBoost = isMinimum && order == 0 && flags.contains(.tryHarder) && marks.boost != 0
            return ignoresBoost && isOK(mark)
        }
    }
}
