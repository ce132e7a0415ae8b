import MemoryPrimitives
import PageFrames

// The DMA calls by the names that kernel authors look for. Any context.

/// Linux's `DMA_BIT_MASK`.
/// - Complexity: O(1). Any context.
@inline(__always)
public func DMA_BIT_MASK(_ bits: UInt) -> DMAMask { DMAMask(bits: bits) }

extension DMADirection {
    /// `.bidirectional`.
    @inline(__always) public static var DMA_BIDIRECTIONAL: DMADirection { .bidirectional }
    /// `.toDevice`.
    @inline(__always) public static var DMA_TO_DEVICE: DMADirection { .toDevice }
    /// `.fromDevice`.
    @inline(__always) public static var DMA_FROM_DEVICE: DMADirection { .fromDevice }
}

extension BusAddress {
    /// What `dma_map_single` returns where it fails. No buffer has this address.
    @inline(__always) public static var DMA_MAPPING_ERROR: BusAddress { BusAddress(UInt.max) }
}

extension DMAMapper {
    /// As `setMask(_:of:)`.
    /// - Returns: 0, or `-EIO` where the device cannot be served so; its mask is as before then.
    /// - Complexity: as `setMask(_:of:)`. Any context.
    public func dma_set_mask(_ device: inout DMADevice<P>, _ mask: DMAMask) -> Int32 {
        do throws(DMAError) {
            try setMask(mask, of: &device)
            return 0
        } catch {
            return -5
        }
    }

    /// As `dma_set_mask`, for coherent memory.
    /// - Complexity: as `setMask(_:of:)`. Any context.
    public func dma_set_coherent_mask(_ device: inout DMADevice<P>, _ mask: DMAMask) -> Int32 {
        do throws(DMAError) {
            try setCoherentMask(mask, of: &device)
            return 0
        } catch {
            return -5
        }
    }

    /// Both masks, or neither.
    /// - Complexity: as `setMask(_:of:)`. Any context.
    public func dma_set_mask_and_coherent(_ device: inout DMADevice<P>, _ mask: DMAMask) -> Int32 {
        var changed = device
        if dma_set_mask(&changed, mask) != 0 || dma_set_coherent_mask(&changed, mask) != 0 { return -5 }
        device = changed
        return 0
    }

    /// As `allocateCoherent(_:byteCount:flags:)`.
    /// - Parameters:
    ///   - device: who shares the memory.
    ///   - byteCount: rounded up to whole page frames; at most 4 MiB.
    ///   - handle: gets the device's address of the memory.
    ///   - flags: as of page frames, but for the zone.
    /// - Returns: the CPU's; nil where there is none.
    /// - Complexity: O(frames). Any context that the flags allow.
    public func dma_alloc_coherent(
        _ device: DMADevice<P>, _ byteCount: UInt, _ handle: inout BusAddress,
        _ flags: AllocationFlags = .kernel
    ) -> VirtualAddress? {
        guard let buffer = try? allocateCoherent(device, byteCount: byteCount, flags: flags) else { return nil }
        handle = buffer.bus
        return buffer.address
    }

    /// nil is a no-op.
    /// - Complexity: O(frames). Any context.
    public func dma_free_coherent(
        _ device: DMADevice<P>, _ byteCount: UInt, _ address: VirtualAddress?, _ handle: BusAddress
    ) {
        guard let address else { return }
        freeCoherent(device, CoherentBuffer(address: address, bus: handle, byteCount: byteCount))
    }

    /// As `map(_:_:byteCount:_:)`.
    /// - Returns: `DMA_MAPPING_ERROR` where it cannot be: ask `dma_mapping_error`.
    /// - Complexity: O(1), and copying what the device does not reach. Any context.
    @inline(__always)
    public func dma_map_single(
        _ device: DMADevice<P>, _ address: VirtualAddress, _ byteCount: UInt, _ direction: DMADirection
    ) -> BusAddress {
        do throws(DMAError) {
            return try map(device, address, byteCount: byteCount, direction)
        } catch {
            return .DMA_MAPPING_ERROR
        }
    }

    /// Whether `dma_map_single` failed.
    /// - Returns: 0 for a mapping, `-ENOMEM` for what is none.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func dma_mapping_error(_ device: DMADevice<P>, _ address: BusAddress) -> Int32 {
        address == .DMA_MAPPING_ERROR ? -12 : 0
    }

    /// `unmap(_:_:byteCount:_:)`: the buffer is the CPU's again.
    /// - Complexity: O(1), and copying what the device does not reach. Any context.
    @inline(__always)
    public func dma_unmap_single(
        _ device: DMADevice<P>, _ address: BusAddress, _ byteCount: UInt, _ direction: DMADirection
    ) {
        unmap(device, address, byteCount: byteCount, direction)
    }

    /// `syncForCPU(_:_:byteCount:_:)`: the CPU may use the buffer, and the device gets it back later.
    /// - Complexity: O(1), and copying what the device does not reach. Any context.
    @inline(__always)
    public func dma_sync_single_for_cpu(
        _ device: DMADevice<P>, _ address: BusAddress, _ byteCount: UInt, _ direction: DMADirection
    ) {
        syncForCPU(device, address, byteCount: byteCount, direction)
    }

    /// `syncForDevice(_:_:byteCount:_:)`: the device has the buffer again.
    /// - Complexity: O(1), and copying what the device does not reach. Any context.
    @inline(__always)
    public func dma_sync_single_for_device(
        _ device: DMADevice<P>, _ address: BusAddress, _ byteCount: UInt, _ direction: DMADirection
    ) {
        syncForDevice(device, address, byteCount: byteCount, direction)
    }

    /// As `mapList(_:_:_:)`.
    /// - Returns: how many entries the device gets: all, or 0 where it cannot be.
    /// - Complexity: O(entries), and copying what the device does not reach. Any context.
    public func dma_map_sg(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) -> Int {
        do throws(DMAError) {
            // The caller's list.
            try unsafe mapList(device, list, direction)
            return list.count
        } catch {
            return 0
        }
    }

    /// As `unmapList(_:_:_:)`.
    /// - Parameters:
    ///   - device: who had the buffers.
    ///   - list: as many entries as `dma_map_sg` was given.
    ///   - direction: as `dma_map_sg` was told.
    /// - Complexity: O(entries), and copying what the device does not reach. Any context.
    public func dma_unmap_sg(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) {
        unsafe unmapList(device, list, direction)
    }

    /// As `dma_sync_single_for_cpu`, of each entry.
    /// - Complexity: O(entries), and copying what the device does not reach. Any context.
    public func dma_sync_sg_for_cpu(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) {
        unsafe syncListForCPU(device, list, direction)
    }

    /// As `dma_sync_single_for_device`, of each entry.
    /// - Complexity: O(entries), and copying what the device does not reach. Any context.
    public func dma_sync_sg_for_device(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) {
        unsafe syncListForDevice(device, list, direction)
    }
}
