import MemoryPrimitives
import PageFrames

/// Memory that the CPU and a device share for long: rings of descriptors and the like.
extension DMAMapper {
    /// Makes memory that the device reaches and whose every byte is 0. Both may use it at any time, since caches are
    /// coherent.
    /// - Parameters:
    ///   - device: who shares the memory.
    ///   - byteCount: rounded up to whole page frames; at most 4 MiB. The first byte is aligned to the next power of two.
    ///   - flags: as of page frames, but for the zone, which is that of the device's coherent mask.
    /// - Throws: `emptyBuffer`, `tooLarge`, `outOfMemory`; the last is reported, unless the flags forbid it.
    /// - Complexity: O(frames). Any context that the flags allow.
    /// - Returns: where the CPU sees the memory, and where the device does.
    public func allocateCoherent(
        _ device: DMADevice<P>, byteCount: UInt, flags: AllocationFlags = .kernel
    ) throws(DMAError) -> CoherentBuffer {
        if byteCount == 0 { throw .emptyBuffer }
        if byteCount > Self.largestCoherent { throw .tooLarge }
        guard let frame = coherentFrames(byteCount, device.coherentMask, flags.subtracting(.dma | .dma32)) else {
            throw .outOfMemory
        }
        // The frames are this call's alone until it returns.
        _ = frames.value.exchangeTag(of: frame, from: 0, to: Self.tag(forByteCount: byteCount))
        let bus = BusAddress(frame.address.rawValue)
        notes?.value.note(
            Mapping(bus: bus, byteCount: byteCount, direction: .bidirectional, kind: .coherent, device: device.number))
        return CoherentBuffer(
            address: frames.value.directMap.virtualAddress(of: frame.address), bus: bus, byteCount: byteCount)
    }

    /// Frees what `allocateCoherent` returned. Another address, or a size of another number of frames, is reported, and
    /// nothing changes; so is a buffer to whose first frame somebody else has a reference.
    /// - Complexity: O(frames). Any context.
    public func freeCoherent(_ device: DMADevice<P>, _ buffer: CoherentBuffer) {
        let call: StaticString = "dma_free_coherent"
        let first = frames.value.directMap.physicalAddress(of: buffer.address)
        if first.rawValue != buffer.bus.rawValue || !first.isAligned(to: PageSize.byteCount) || buffer.byteCount == 0 {
            return report("the two addresses are not of one such buffer", call, buffer.bus, buffer.byteCount)
        }
        let mapping = Mapping(
            bus: buffer.bus, byteCount: buffer.byteCount, direction: .bidirectional, kind: .coherent,
            device: device.number)
        if let wrong = notes?.value.remove(mapping) { return report(wrong, call, buffer.bus, buffer.byteCount) }
        let frame = PageFrameNumber(containing: first)
        // Of two CPUs that free one buffer, one finds the tag gone.
        guard buffer.byteCount <= Self.largestCoherent,
            frames.value.exchangeTag(of: frame, from: Self.tag(forByteCount: buffer.byteCount), to: 0) != nil
        else { return report("no such buffer of this size begins there", call, buffer.bus, buffer.byteCount) }
        frames.value.freeExact(frame, byteCount: buffer.byteCount)
    }

    private static var largestCoherent: UInt { 4 << 20 }

    /// What a buffer's first frame is marked with: how many frames the buffer has, 1 to 1024, and that it is one. Of
    /// those who mark frames that are allocated, nobody else's marks begin so.
    private static func tag(forByteCount byteCount: UInt) -> UInt16 {
        0xd000 | UInt16(truncatingIfNeeded: (byteCount &+ (PageSize.byteCount &- 1)) &>> PageSize.shift)
    }

    /// Frames from the highest zone whose frames the device may reach; from the next lower where it does not.
    private func coherentFrames(_ byteCount: UInt, _ mask: DMAMask, _ flags: AllocationFlags) -> PageFrameNumber? {
        let reachesAll = mask.reaches(frames.value.endOfMemory.rawValue &- 1)
        var zone: AllocationFlags =
            reachesAll || mask.last > DMAMask.bits32.last
            ? .none : mask.last > DMAMask.bits24.last ? .dma32 : .dma
        while true {
            let isLast = reachesAll || zone == .dma
            let found = frames.value.allocateExact(
                byteCount: byteCount, flags: (isLast ? flags : flags | .noWarn) | .zero | zone)
            if let found, mask.reaches(found.address.rawValue &+ (byteCount &- 1)) { return found }
            if let found { frames.value.freeExact(found, byteCount: byteCount) }
            if isLast { return nil }
            zone = zone == .none ? .dma32 : .dma
        }
    }
}
