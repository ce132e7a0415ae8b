import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

@Suite struct BringUpTests {
    /// 4 GiB, in frames.
    static let fourGiB: UInt = 1 << 20

    @Test func handsOverEveryFreeFrame() throws {
        let machine = try FrameMachine(memory: [1..<159, 256..<8192], reserved: [300..<420])
        try machine.run { frames in
            let expected = machine.handedOverCount
            #expect(frames.managedFrames == expected)
            #expect(frames.freeFrames == expected)
            #expect(frames.promisedFrames == 0)
            try frames.checkInvariants()
        }
        let metadataBytes = machine.metadata.reduce(0) { $0 + $1.range.byteCount }
        #expect(metadataBytes == machine.permanent.value.metadataByteCount)
        #expect(
            machine.metadata.contains { $0.owner == .frameTable } && machine.metadata.contains { $0.owner == .zones })
    }

    @Test func zonesBeginAndEndWhereTheyMust() throws {
        let machine = try FrameMachine(memory: [1..<Self.fourGiB + 16384])
        machine.run { frames in
            let dma = frames.statistics(of: .dma)
            let dma32 = frames.statistics(of: .dma32)
            let normal = frames.statistics(of: .normal)
            #expect("\(dma.name) \(dma32.name) \(normal.name)" == "DMA DMA32 Normal")
            #expect(dma.firstFrame.rawValue == 1 && dma.endFrame.rawValue == 4096)
            #expect(dma32.firstFrame.rawValue == 4096 && dma32.endFrame.rawValue == Self.fourGiB)
            #expect(normal.firstFrame.rawValue == Self.fourGiB)
            #expect(dma.managedFrames == 4095)
            #expect(dma.freeFrames + dma32.freeFrames + normal.freeFrames == frames.freeFrames)
        }
    }

    /// Bring-up of a large machine writes descriptors only for the few sections that are partly in use.
    @Test func aLargeMachineIsBarelyTouched() throws {
        let hole = UInt(3 << 30) / 4096..<Self.fourGiB
        let end: UInt = (65 << 30) / 4096
        let machine = try FrameMachine(memory: [1..<159, 256..<hole.lowerBound, hole.upperBound..<end])
        try machine.run { frames in
            var initialized: UInt = 0
            var deferred: UInt = 0
            for kind in ZoneKind.allCases {
                initialized += frames.statistics(of: kind).initializedSections
                deferred += frames.statistics(of: kind).deferredFrames
            }
            // Section 0, and the one that the metadata ends in.
            #expect(initialized <= 3)
            #expect(frames.freeFrames - deferred < 3 * 1024)
            #expect(frames.managedFrames > 16_000_000)
            // Less than 0.4 % of the memory.
            #expect(frames.metadataByteCount < (64 << 30) / 250)

            let before = machine.snapshot()
            let block = try #require(machine.allocate(order: 10))
            #expect(block.rawValue >= Self.fourGiB)
            #expect(frames.statistics(of: .normal).deferredFrames % 1024 == 0)
            frames.free(block, order: 10)
            #expect(machine.snapshot() == before)
            try frames.checkInvariants()
        }
    }

    @Test func deferredSectionsServeEveryFrame() throws {
        let machine = try FrameMachine(memory: [1..<16 * 1024 + 17])
        try machine.run { frames in
            let before = machine.snapshot()
            #expect(frames.statistics(of: .dma32).deferredFrames > 8 * 1024)
            var all: [PageFrameNumber] = []
            while let frame = frames.allocate(order: 0) { all.append(frame) }
            #expect(UInt(all.count) == frames.managedFrames)
            #expect(Set(all).count == all.count)
            let expected = machine.handedOver.flatMap { Array($0) }
            #expect(all.map(\.rawValue).sorted() == expected)
            #expect(frames.freeFrames == 0)
            #expect(frames.statistics(of: .dma32).deferredFrames == 0)
            try frames.checkInvariants()
            var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0006)
            for frame in all.shuffled(using: &generator) { frames.free(frame, order: 0) }
            try frames.checkInvariants()
            #expect(machine.snapshot() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    /// Where the runs of deferred sections do not fit their list, sections are brought into use at once.
    @Test(arguments: [0, 1, 2]) func runsThatDoNotFitAreBroughtInAtOnce(maximumRuns: Int) throws {
        // Three runs of two whole sections, each with a hole of one frame behind it.
        var memory: [Range<UInt>] = [1..<4096]
        for start in stride(from: UInt(4096), to: 16384, by: 3072) { memory.append(start..<start + 2048) }
        let eager = try FrameMachine(memory: memory, maximumRuns: maximumRuns)
        let lazy = try FrameMachine(memory: memory)
        // A shorter list may save a page.
        #expect(eager.handedOverCount - lazy.handedOverCount <= 1)
        let deferred = eager.statistics(.dma32).deferredFrames
        #expect(deferred < lazy.statistics(.dma32).deferredFrames)
        #expect(deferred == UInt(maximumRuns) * 2048)
        if eager.handedOverCount == lazy.handedOverCount { #expect(eager.snapshot() == lazy.snapshot()) }
        try eager.run { try $0.checkInvariants() }
    }

    @Test func islandsOfOneFrameStayAlone() throws {
        // Every other frame of two sections, and room for the metadata above.
        let islands = stride(from: UInt(4096), to: 6144, by: 2).map { $0..<$0 + 1 }
        let machine = try FrameMachine(memory: islands + [8192..<9216])
        try machine.run { frames in
            let zone = frames.statistics(of: .dma32)
            #expect(zone.freeBlocks[0] >= 1024)
            #expect(frames.state(of: PageFrameNumber(4097)) == .absent)
            try frames.checkInvariants()
            var pairs = 0
            while let pair = frames.allocate(order: 1) {
                pairs += 1
                #expect(pair.rawValue >= 8192)
            }
            #expect(pairs > 0)
            var singles: [PageFrameNumber] = []
            while let frame = frames.allocate(order: 0) { singles.append(frame) }
            #expect(singles.filter { $0.rawValue < 8192 }.count == 1024)
            for frame in singles { frames.free(frame, order: 0) }
            try frames.checkInvariants()
        }
    }

    @Test func reservedFramesSayWhy() throws {
        let machine = try FrameMachine(memory: [1..<150, 256..<8192], reserved: [140..<200, 300..<310])
        machine.run { frames in
            let expected: [(UInt, FrameState)] = [
                (0, .absent), (1, .free), (3, .free), (139, .free), (140, .reserved), (199, .reserved),
                (200, .absent), (255, .absent), (256, .free), (309, .reserved), (310, .free),
            ]
            for (frame, state) in expected { #expect(machine.state(frame) == state, "frame \(frame)") }
            let beyond = frames.descriptor(of: PageFrameNumber(1 << 40))
            #expect(beyond == nil)
        }
    }

    @Test func bytesThatAreNoWholeFrameAreLeftOut() throws {
        let lists = BootLists(memory: [4096..<6144])
        lists.boot.reserve(
            PhysicalRange(PhysicalAddress(4100 * 4096 + 100), PhysicalAddress(4102 * 4096 + 1)), owner: .other)
        let machine = SimulatedMachine(memory: 6144 * 4096)
        try machine.run {
            let taken = try #require(lists.takeOver(on: machine))
            defer { taken.place.deallocate() }
            for frame: UInt in 4100...4102 {
                let state = taken.frames.value.state(of: PageFrameNumber(frame))
                #expect(state == .reserved)
            }
            try taken.frames.value.checkInvariants()
        }
    }

    /// Less than the metadata and a frame is refused; with that frame there is one to be had.
    @Test func tooLittleMemoryIsRefusedAndLeftAsItWas() throws {
        let machine = SimulatedMachine(memory: 32 << 20)
        var frameCount: UInt = 1
        while true {
            let lists = BootLists(memory: [4096..<4096 + frameCount])
            if let taken = lists.takeOver(on: machine) {
                taken.place.deallocate()
                break
            }
            #expect(lists.reserved.isEmpty)
            #expect(lists.free == [4096..<4096 + frameCount])
            frameCount += 1
        }
        // Zones, an entry of the frame table and a section's descriptors: some ten pages.
        #expect((6..<16).contains(frameCount))
        for options in PageFrameOptions.combinations {
            let least = try FrameMachine(memory: [4096..<4096 + frameCount], options: options)
            #expect(least.statistics(.dma32).managedFrames == 1)
            let only = least.allocate(order: 0, flags: .kernel | .memoryReserves)
            #expect(only == PageFrameNumber(4096))
            #expect(least.allocate(order: 0) == nil)
            if let only { least.run { $0.free(only, order: 0) } }
            try least.run { try $0.checkInvariants() }
            #expect(least.takeKinds().isEmpty)
        }
    }

    @Test func noMemoryAtAllIsRefused() {
        let lists = BootLists(memory: [])
        let machine = SimulatedMachine(memory: 4096)
        #expect(lists.takeOver(on: machine) == nil)
    }

    @Test func randomMapsAreTakenOverWhole() throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0001)
        for _ in 0..<40 {
            var memory: [Range<UInt>] = []
            var reserved: [Range<UInt>] = []
            var frame = UInt.random(in: 1..<3000, using: &generator)
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                let end = frame + UInt.random(in: 1...3000, using: &generator)
                memory.append(frame..<end)
                frame = end + UInt.random(in: 1...900, using: &generator)
            }
            for _ in 0..<Int.random(in: 0...8, using: &generator) {
                let start = UInt.random(in: 0..<frame, using: &generator)
                reserved.append(start..<start + UInt.random(in: 1...300, using: &generator))
            }
            memory.append(frame..<frame + 600)
            let machine = try FrameMachine(memory: memory, reserved: reserved.filter { $0.upperBound < frame })
            let model = ReferenceModel(frameCount: Int(frame) + 600, free: machine.handedOver)
            try machine.run { frames in
                try frames.checkInvariants()
                #expect(frames.freeFrames == UInt(model.freeFrames))
                for kind in ZoneKind.allCases {
                    let zone = frames.statistics(of: kind)
                    let span = Int(kind.firstFrame.rawValue)..<Int(kind.endFrame.rawValue)
                    #expect((0...10).map { zone.freeBlocks[$0] } == model.freeBlocks(in: span))
                }
            }
        }
    }
}
