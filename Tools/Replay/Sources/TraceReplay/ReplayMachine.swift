import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import VirtualMemory

/// The kernel's allocators on a simulated machine.
final class ReplayMachine {
    typealias P = SimulatedPlatform

    let machine: SimulatedMachine
    let frames: Permanent<PageFrameAllocator<P>>
    let kmalloc: Permanent<Kmalloc<P>>
    let tables: Permanent<PageTables<P>>
    let vmalloc: Permanent<Vmalloc<P>>
    /// Tables apart from those of vmalloc, for what the trace maps by itself.
    let ownTables: Permanent<PageTables<P>>
    /// A frame that stands for all those that are mapped and not said.
    let standIn: PageFrameNumber
    private var places: [() -> Void] = []

    /// - Parameter memory: bytes, of which the first MiB is not used. - Returns: nil where that is too little.
    init?(memory: UInt) {
        guard memory >= 8 << 20 else { return nil }
        machine = SimulatedMachine(memory: memory)
        var places: [() -> Void] = []
        func place<Value: ~Copyable>(_ value: consuming Value) -> Permanent<Value> {
            let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
            // Deallocated by `deinit`, after the last use.
            let permanent = unsafe Permanent(placing: value, at: pointer)
            places.append {
                unsafe permanent.destroy()
                unsafe pointer.deallocate()
            }
            return permanent
        }
        let directMap = machine.arena.directMap
        // The same order of objects each time: what fails once fails again.
        machine.randomGenerator = SeededGenerator(seed: 1)
        let machine = machine
        (frames, kmalloc, tables, vmalloc, ownTables, standIn) = machine.run {
            // Read until the frames' allocator has taken over.
            let memoryList = UnsafeMutableBufferPointer<Region>.allocate(capacity: 32)
            let reservedList = UnsafeMutableBufferPointer<Region>.allocate(capacity: 32)
            defer {
                unsafe memoryList.deallocate()
                unsafe reservedList.deallocate()
            }
            var boot = unsafe BootAllocator(memoryStorage: memoryList, reservedStorage: reservedList)
            boot.add(PhysicalRange(PhysicalAddress(1 << 20), PhysicalAddress(memory)))
            // The machine is large enough for all of them.
            let frames = place(
                PageFrameAllocator<P>(takingOver: &boot, directMap: directMap, options: PageFrameOptions())!)
            var source = BuddyTableSource<P>(frames: frames)
            let tables = place(
                PageTables<P>(root: source.allocateTableFrame()!, directMap: directMap, features: .all))
            let ownTables = place(
                PageTables<P>(root: source.allocateTableFrame()!, directMap: directMap, features: .all))
            let kmalloc = place(Kmalloc<P>(frames: frames, options: SlabOptions())!)
            // The first of them: there is room.
            _ = frames.value.shrinkers.register(kmalloc)
            let vmalloc = place(
                Vmalloc<P>(
                    range: AddressSpaceLayout.x86FourLevel.areas, frames: frames, pageTables: tables,
                    kmalloc: kmalloc)!)
            machine.loadRoot(tables.value.root, onCPU: 0)
            return (frames, kmalloc, tables, vmalloc, ownTables, frames.value.allocate(order: 0, flags: .zero)!)
        }
        self.places = places
    }

    deinit {
        let places = places
        machine.run { for place in places.reversed() { place() } }
    }

    /// Every allocator's own check. - Throws: the first rule that does not hold.
    func check() throws(InvariantViolation) {
        try frames.value.checkInvariants()
        try kmalloc.value.checkInvariants()
        try tables.value.checkInvariants()
        try ownTables.value.checkInvariants()
        try vmalloc.value.checkInvariants()
    }
}
