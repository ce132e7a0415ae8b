import MemoryPrimitives
import PageFrames
import Slab

/// Single buffers.
extension DMAMapper {
    /// Gives a buffer to a device. Until `unmap` or `syncForCPU` it is the device's: the CPU neither reads nor writes it.
    ///
    /// - Parameters:
    ///   - device: who gets the buffer.
    ///   - address: the first byte, in the direct map: of kmalloc or of page frames. A guarded object, which kmalloc gives
    ///     now and then, may be elsewhere: its frame is looked up. A stack, vmalloc's memory and the image are refused.
    ///   - byteCount: 1 at least; 256 KiB at most where the device does not reach the buffer.
    ///   - direction: who writes; `unmap` is told the same.
    /// - Returns: what the device is told.
    /// - Throws: why it cannot be, with nothing changed. A full pool is reported, too.
    /// - Complexity: O(1), and copying the buffer where the device does not reach it. Any context.
    @inline(__always)
    public func map(
        _ device: DMADevice<P>, _ address: VirtualAddress, byteCount: UInt, _ direction: DMADirection
    ) throws(DMAError) -> BusAddress {
        let first = frames.value.directMap.physicalAddress(of: address).rawValue
        // For no bytes this is no lower than the first, unless that is 0, which is nobody's.
        let (last, overflow) = first.addingReportingOverflow(byteCount &- 1)
        if _fastPath(!overflow && last <= device.quickLimit) { return BusAddress(first) }
        return try mapSlowly(device, first, byteCount, direction, .single)
    }

    /// Takes a buffer back from a device, which uses it no longer. Then the CPU finds there what the device wrote.
    ///
    /// What was not mapped so is reported (`badMapping`), where the buffer was copied or mappings are noted down, and
    /// nothing changes.
    /// - Parameters: as of `map`, and the address that it returned.
    /// - Complexity: as `map`. Any context.
    @inline(__always)
    public func unmap(
        _ device: DMADevice<P>, _ bus: BusAddress, byteCount: UInt, _ direction: DMADirection
    ) {
        if _slowPath(device.path != .direct) { unmapSlowly(device, bus, byteCount, direction, .single) }
    }

    /// Shows the CPU what the device has written to a buffer, or a part of it, that stays mapped; the CPU may read it until
    /// `syncForDevice`. - Complexity: as `map`. Any context.
    @inline(__always)
    public func syncForCPU(
        _ device: DMADevice<P>, _ bus: BusAddress, byteCount: UInt, _ direction: DMADirection
    ) {
        if _slowPath(device.path != .direct) { sync(device, bus, byteCount, direction, forCPU: true) }
    }

    /// Gives a buffer, or a part of it, back to the device after `syncForCPU`, with what the CPU has written to it.
    /// - Complexity: as `map`. Any context.
    @inline(__always)
    public func syncForDevice(
        _ device: DMADevice<P>, _ bus: BusAddress, byteCount: UInt, _ direction: DMADirection
    ) {
        if _slowPath(device.path != .direct) { sync(device, bus, byteCount, direction, forCPU: false) }
    }

    // MARK: The long ways

    @inline(never)
    func mapSlowly(
        _ device: DMADevice<P>, _ distance: UInt, _ byteCount: UInt, _ direction: DMADirection,
        _ kind: MappingKind
    ) throws(DMAError) -> BusAddress {
        if byteCount == 0 { throw .emptyBuffer }
        var first = distance
        var (last, overflow) = first.addingReportingOverflow(byteCount &- 1)
        if overflow || !isMemory(first, last) {
            // It may be a guarded object's, which is not at that distance from the direct map.
            let address = frames.value.directMap.virtualAddress(of: PhysicalAddress(distance))
            guard let guarded = kmalloc.value.guardedMemory(at: address, byteCount: byteCount) else {
                throw .notDirectlyMapped
            }
            first = guarded.rawValue
            last = first &+ (byteCount &- 1)
        }
        var bus = BusAddress(first)
        if !device.mask.reaches(last) || options.bouncing == .always {
            bus = try bounce(device, first, byteCount, direction)
        }
        notes?.value.note(
            Mapping(bus: bus, byteCount: byteCount, direction: direction, kind: kind, device: device.number))
        return bus
    }

    /// Whether all of it is RAM that somebody was given.
    private func isMemory(_ first: UInt, _ last: UInt) -> Bool {
        if last >= frames.value.endOfMemory.rawValue { return false }
        for number in first &>> PageSize.shift...last &>> PageSize.shift
        where !frames.value.manages(PageFrameNumber(number)) {
            return false
        }
        return true
    }

    private func bounce(
        _ device: DMADevice<P>, _ first: UInt, _ byteCount: UInt, _ direction: DMADirection
    ) throws(DMAError) -> BusAddress {
        guard let pool = device.pool else { throw .noPool }
        if byteCount > BouncePool<P>.largestByteCount { throw .tooLarge }
        guard let bus = pool.value.map(PhysicalAddress(first), byteCount, direction) else {
            P.report(
                FailedAllocation(
                    bouncing: byteCount, slots: pool.value.slotCount, used: pool.value.usedSlots))
            throw .poolFull
        }
        return bus
    }

    @inline(never)
    func unmapSlowly(
        _ device: DMADevice<P>, _ bus: BusAddress, _ byteCount: UInt, _ direction: DMADirection,
        _ kind: MappingKind, isCopied: Bool = true
    ) {
        let mapping = Mapping(
            bus: bus, byteCount: byteCount, direction: direction, kind: kind, device: device.number)
        if let wrong = notes?.value.remove(mapping) { return report(wrong, kind.endCall, bus, byteCount) }
        guard let pool = device.pool, let slot = pool.value.slot(of: bus) else { return }
        if let wrong = pool.value.unmap(bus, slot: slot, byteCount, direction, isCopied: isCopied) {
            report(wrong, kind.endCall, bus, byteCount)
        }
    }

    @inline(never)
    private func sync(
        _ device: DMADevice<P>, _ bus: BusAddress, _ byteCount: UInt, _ direction: DMADirection,
        forCPU: Bool
    ) {
        let call: StaticString = forCPU ? "dma_sync_single_for_cpu" : "dma_sync_single_for_device"
        if byteCount == 0 { return }
        if let wrong = notes?.value.check(bus, byteCount, direction, device.number) {
            return report(wrong, call, bus, byteCount)
        }
        guard let pool = device.pool, pool.value.slot(of: bus) != nil else { return }
        if let wrong = pool.value.sync(bus, byteCount, direction, forCPU: forCPU) {
            report(wrong, call, bus, byteCount)
        }
    }

    func report(_ wrong: StaticString, _ call: StaticString, _ bus: BusAddress, _ byteCount: UInt) {
        P.report(MemoryViolation(.badMapping, in: call, at: bus.rawValue, wrong, byteCount))
    }
}
