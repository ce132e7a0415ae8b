import BootMemory
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import TestSupport
import Testing

@testable import DeviceMemory

typealias TestedMapper = DMAMapper<SimulatedPlatform>
typealias TestedDevice = DMADevice<SimulatedPlatform>

/// A simulated machine with RAM where devices of 24 and 32 address lines reach it, and where they do not.
final class DMAMachine: @unchecked Sendable {
    let machine: SimulatedMachine
    let frames: Permanent<PageFrameAllocator<SimulatedPlatform>>
    let kmalloc: Permanent<Kmalloc<SimulatedPlatform>>
    let dma: Permanent<TestedMapper>
    private let release: [() -> Void]

    var directMap: DirectMap { machine.arena.directMap }

    /// RAM below 32 MiB, and from 4 GiB on.
    init(
        _ options: DMAOptions = DMAOptions(), cpuCount: Int = 1, highMebibytes: UInt = 32,
        slab: SlabOptions = SlabOptions()
    ) {
        let machine = SimulatedMachine(memory: (4 << 30) + (max(highMebibytes, 1) << 20), cpuCount: cpuCount)
        let directMap = machine.arena.directMap
        var release: [() -> Void] = []
        func place<Value: ~Copyable>(_ value: consuming Value) -> Permanent<Value> {
            let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
            let permanent = Permanent(placing: value, at: pointer)
            release.append {
                permanent.destroy()
                pointer.deallocate()
            }
            return permanent
        }
        let lists = (0..<2).map { _ in UnsafeMutableBufferPointer<Region>.allocate(capacity: 32) }
        defer { for list in lists { list.deallocate() } }
        (frames, kmalloc, dma) = machine.run {
            var boot = BootAllocator(memoryStorage: lists[0], reservedStorage: lists[1])
            _ = boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(32 << 20)))
            if highMebibytes > 0 {
                _ = boot.add(
                    PhysicalRange(PhysicalAddress(4 << 30), PhysicalAddress((4 << 30) + (highMebibytes << 20))))
            }
            let exact = PageFrameOptions(frameCaches: false, minimumFreeKiB: 0)
            let frames = place(
                PageFrameAllocator<SimulatedPlatform>(takingOver: &boot, directMap: directMap, options: exact)!)
            let kmalloc = place(Kmalloc<SimulatedPlatform>(frames: frames, options: slab)!)
            return (frames, kmalloc, place(TestedMapper(frames: frames, kmalloc: kmalloc, options: options)!))
        }
        self.machine = machine
        self.release = release
    }

    deinit { for action in release.reversed() { action() } }

    func run<Result>(onCPU cpu: Int = 0, _ body: () throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu, body)
    }

    func device(_ bits: UInt, _ name: StaticString = "device") throws -> TestedDevice {
        try run {
            try dma.value.makeDevice(name, mask: DMAMask(bits: bits))
        }
    }

    /// A block of frames, of the zone that the flags say.
    func block(_ order: Int, _ flags: AllocationFlags = .kernel) -> VirtualAddress? {
        run { frames.value.allocate(order: order, flags: flags).map { directMap.virtualAddress(of: $0.address) } }
    }

    func free(_ block: VirtualAddress, _ order: Int) {
        run { frames.value.free(PageFrameNumber(containing: directMap.physicalAddress(of: block)), order: order) }
    }

    func physical(_ address: VirtualAddress) -> UInt { directMap.physicalAddress(of: address).rawValue }

    /// What the CPU sees at an address of the direct map.
    func bytes(_ address: VirtualAddress, _ count: Int) -> UnsafeMutableBufferPointer<UInt8> {
        UnsafeMutableBufferPointer(start: UnsafeMutablePointer(bitPattern: address.rawValue)!, count: count)
    }

    /// What a device sees at an address that it was given.
    func deviceBytes(_ bus: BusAddress, _ count: Int) -> UnsafeMutableBufferPointer<UInt8> {
        bytes(directMap.virtualAddress(of: PhysicalAddress(bus.rawValue)), count)
    }

    func map(
        _ device: TestedDevice, _ address: VirtualAddress, _ count: Int, _ direction: DMADirection = .bidirectional
    ) throws -> BusAddress {
        try run { try dma.value.map(device, address, byteCount: UInt(count), direction) }
    }

    func unmap(
        _ device: TestedDevice, _ bus: BusAddress, _ count: Int, _ direction: DMADirection = .bidirectional
    ) {
        run { dma.value.unmap(device, bus, byteCount: UInt(count), direction) }
    }

    var usedSlots: UInt { run { dma.value.statistics.usedSlots } }

    func takeKinds() -> [MemoryViolation.Kind] { machine.takeViolations().map(\.kind) }

    func check() throws {
        try run {
            try dma.value.checkInvariants()
            try frames.value.checkInvariants()
            try kmalloc.value.checkInvariants()
        }
    }

    var freeFrames: UInt {
        run {
            kmalloc.value.shrink()
            return frames.value.freeFrames
        }
    }
}
