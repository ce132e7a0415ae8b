import Testing

@testable import PageFrames

@Suite struct FrameDescriptorTests {
    @Test func takesSixteenBytes() {
        #expect(MemoryLayout<FrameDescriptor>.size == 16)
        #expect(MemoryLayout<FrameDescriptor>.stride == 16)
        #expect(Section.descriptorByteCount == 16 << 10)
    }

    @Test func zeroesAreTheInsideOfABlock() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: 16)
        let descriptor = memory.bindMemory(to: FrameDescriptor.self, capacity: 1)
        #expect(descriptor.pointee.state == .interior)
        #expect(descriptor.pointee.owner == 0)
    }

    @Test func linksDoNotDisturbEachOther() {
        var descriptor = FrameDescriptor(freeBlockOfOrder: 7, next: 0x1234_5678)
        #expect(descriptor.next == 0x1234_5678)
        #expect(descriptor.previous == FrameDescriptor.none)
        descriptor.previous = 0x9abc_def0
        #expect(descriptor.next == 0x1234_5678)
        descriptor.next = FrameDescriptor.none
        #expect(descriptor.previous == 0x9abc_def0)
        #expect(descriptor.isHead(.freeHead, order: 7))
        #expect(!descriptor.isHead(.freeHead, order: 6))
        #expect(!descriptor.isHead(.allocatedHead, order: 7))
    }

    @Test func statesHaveNames() {
        let names = (UInt8(0)...8).map { "\(FrameState(rawValue: $0).name)" }
        #expect(Set(names).count == 9)
        #expect(names[8] == "damaged")
    }
}

@Suite struct AllocationFlagsTests {
    @Test func zoneModifiersChooseTheZone() {
        #expect(AllocationFlags.kernel.highestZone == .normal)
        #expect(([.kernel, .dma32] as AllocationFlags).highestZone == .dma32)
        #expect(([.atomic, .dma] as AllocationFlags).highestZone == .dma)
        #expect(([.dma, .dma32] as AllocationFlags).highestZone == .dma)
    }

    @Test func modifiersAreDistinctBits() {
        let modifiers: [AllocationFlags] = [
            .dma, .dma32, .movable, .reclaimable, .account, .hardWall, .compound, .zero, .high, .memoryReserves,
            .noMemoryReserves, .io, .fs, .directReclaim, .wakeReclaimer, .noWarn, .noRetry, .retryMayFail, .noFail,
        ]
        #expect(modifiers.allSatisfy { $0.rawValue.nonzeroBitCount == 1 })
        #expect(Set(modifiers.map(\.rawValue)).count == modifiers.count)
    }

    @Test func combinationsSayWhetherTheyMaySleep() {
        for flags: AllocationFlags in [.kernel, .noIO, .noFS, .user, .userMovable] {
            #expect(flags.contains(.directReclaim))
        }
        for flags: AllocationFlags in [.atomic, .noWait] { #expect(!flags.contains(.directReclaim)) }
        #expect(!AllocationFlags.noIO.contains(.io))
        #expect(AllocationFlags.noFS.contains(.io) && !AllocationFlags.noFS.contains(.fs))
        #expect(AllocationFlags.atomic.contains(.high) && !AllocationFlags.noWait.contains(.high))
    }
}
