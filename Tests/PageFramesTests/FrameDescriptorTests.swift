import Synchronization
import Testing

@testable import PageFrames

@Suite struct FrameDescriptorTests {
    @Test func takesSixteenBytes() {
        #expect(MemoryLayout<FrameDescriptor>.size == 16)
        #expect(MemoryLayout<FrameDescriptor>.stride == 16)
        // A section's descriptors, and behind them the trees of its two page blocks.
        #expect(Section.pageBlocksOffset == 16 << 10)
        #expect(Section.metadataByteCount == 16 << 10 + 320)
        #expect(MemoryLayout<PageBlockInfo>.size <= PageBlock.byteCount - PageBlock.bitsByteCount)
    }

    @Test func zeroesAreTheInsideOfABlock() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: 16)
        let descriptor = memory.bindMemory(to: FrameDescriptor.self, capacity: 1)
        #expect(descriptor.pointee.state == .interior)
        #expect(descriptor.pointee.owner == 0)
    }

    @Test func theSecondHalfIsOneNumber() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
        defer { memory.deallocate() }
        let descriptor = memory.bindMemory(to: FrameDescriptor.self, capacity: 1)
        var value = FrameDescriptor(.allocatedHead, order: 7)
        value.owner = .max
        descriptor.initialize(to: value)
        #expect(descriptor.use.pointee.load(ordering: .relaxed) == FrameDescriptor.use(.allocatedHead, order: 7))
        descriptor.pointee.tag = 0x1234
        descriptor.pointee.extraReferences = 0x89ab_cdef
        let use = descriptor.use.pointee.load(ordering: .relaxed)
        #expect(use == 7 | UInt64(FrameState.allocatedHead.rawValue) << 8 | 0x1234 << 16 | 0x89ab_cdef << 32)
        let snapshot = descriptor.snapshot
        #expect(snapshot.isHead(.allocatedHead, order: 7))
        #expect(snapshot.tag == 0x1234 && snapshot.extraReferences == 0x89ab_cdef && snapshot.owner == 0)
        descriptor.use.pointee.store(FrameDescriptor.unused, ordering: .relaxed)
        #expect(descriptor.pointee.state == .interior)
        #expect(descriptor.pointee.order == 0 && descriptor.pointee.extraReferences == 0 && descriptor.pointee.tag == 0)
        #expect(descriptor.pointee.owner == .max)
        #expect(value.isHead(.allocatedHead, order: 7))
        #expect(!value.isHead(.allocatedHead, order: 6))
        #expect(!value.isHead(.compoundHead, order: 7))
    }

    @Test func statesHaveNames() {
        let states: [FrameState] = [
            .interior, .free, .allocatedHead, .compoundHead, .slab, .slabTail, .table, .reserved, .absent, .guardPage,
        ]
        #expect(Set(states.map { "\($0.name)" }).count == 10)
        let others = (UInt8(0)...255).map(FrameState.init(rawValue:)).filter { !states.contains($0) }
        #expect(others.allSatisfy { "\($0.name)" == "damaged" })
        // The one bit by which a slab's frames are told from all others.
        #expect(states.filter(\.isSlab) == [.slab, .slabTail])
    }
}

@Suite struct ZoneModifierTests {
    @Test func zoneModifiersChooseTheZone() {
        #expect(AllocationFlags.kernel.highestZone == .normal)
        #expect(([.kernel, .dma32] as AllocationFlags).highestZone == .dma32)
        #expect(([.atomic, .dma] as AllocationFlags).highestZone == .dma)
        #expect(([.dma, .dma32] as AllocationFlags).highestZone == .dma)
    }
}
