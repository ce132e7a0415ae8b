import Foundation
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import VirtualMemory

/// Bytes that objects of a cache were asked for with, and that they have: what tells caches apart.
struct CacheKey: Hashable {
    var requested: UInt
    var allocated: UInt
}

/// What stands for an object of the trace.
struct LiveObject {
    /// Nil for one that somebody within the allocators has.
    var pointer: UInt?
    var size: UInt = 0
    var cache: CacheReference<SimulatedPlatform>?
    var tag: UInt64 = 0
}

/// What stands for a block of the trace.
struct LiveBlock {
    /// Nil for one that somebody within the allocators has.
    var frame: PageFrameNumber?
    var order: Int
}

/// What stands for an area of the trace.
struct LiveArea {
    enum Kind { case vmalloc, map, device, nested }

    var start: VirtualAddress
    var byteCount: UInt
    var kind: Kind
}

/// What came of an event.
enum ReplayOutcome {
    case done
    /// There was no memory, or the call refused it.
    case refused
    /// It is nested, or about memory that the replay does not have.
    case passedOver
}

extension Replay {
    /// Makes the call that an event tells of.
    func make(_ event: TraceEvent) -> ReplayOutcome {
        switch event.kind {
        case .kmalloc, .cacheAllocation: allocateObject(event)
        case .kfree, .cacheFree: freeObject(event)
        case .pageAllocation: allocateBlock(event)
        case .pageFree: freeBlock(event)
        case .vmalloc: allocateArea(event)
        case .vfree, .unmap: freeArea(event)
        case .map: map(event)
        case .pageFault: touch(event)
        }
    }

    /// Flags as the trace has them, without those that would wait for ever.
    private func flags(_ event: TraceEvent) -> AllocationFlags {
        AllocationFlags(rawValue: event.flags).subtracting(.noFail)
    }

    // MARK: Objects

    private func allocateObject(_ event: TraceEvent) -> ReplayOutcome {
        freedObjects[event.address] = nil
        objects[event.address] = nil
        if event.isNested {
            objects[event.address] = LiveObject()
            return .passedOver
        }
        var object = LiveObject(size: event.size)
        let pointer: UnsafeMutableRawPointer?
        if event.kind == .kmalloc {
            unsafe pointer = machine.kmalloc.value.allocate(event.size, flags: flags(event))
        } else {
            object.cache = cache(for: CacheKey(requested: event.size, allocated: event.extent))
            unsafe pointer = object.cache?.allocate(flags: flags(event))
        }
        guard let pointer = unsafe pointer else { return .refused }
        object.pointer = UInt(bitPattern: pointer)
        object.tag = nextTag
        nextTag += 1
        // An object of at least 8 bytes, the replay's own.
        if object.size >= 8 { unsafe pointer.storeBytes(of: object.tag, as: UInt64.self) }
        statistics.liveBytes += object.size
        objects[event.address] = object
        return .done
    }

    private func cache(for key: CacheKey) -> CacheReference<SimulatedPlatform>? {
        if let found = caches[key] { return found }
        let made = unsafe try? machine.kmalloc.value.makeCache("replay", objectSize: max(1, key.requested))
        caches[key] = made
        return made
    }

    private func freeObject(_ event: TraceEvent) -> ReplayOutcome {
        guard
            let object = objects.removeValue(forKey: event.address)
                ?? (event.isNested ? nil : freedObjects[event.address]),
            let address = object.pointer
        else { return .passedOver }
        if options.crashAtFreeOf != 0, object.size == options.crashAtFreeOf { abort() }
        if freedObjects[event.address] == nil {
            lookAt(object, address, event)
            statistics.liveBytes -= object.size
        }
        freedObjects[event.address] = object
        // What the trace frees, wrong frees included: the allocators check what they are given.
        let pointer = unsafe UnsafeMutableRawPointer(bitPattern: address)
        if event.kind == .cacheFree, let cache = object.cache {
            unsafe cache.free(pointer)
        } else {
            unsafe machine.kmalloc.value.free(pointer)
        }
        return .done
    }

    /// Looks whether an object still holds what was written to it: no other may lie there.
    private func lookAt(_ object: LiveObject, _ address: UInt, _ event: TraceEvent) {
        guard object.size >= 8, let pointer = unsafe UnsafeRawPointer(bitPattern: address) else { return }
        // The replay's own, until it is freed.
        let found = unsafe pointer.load(as: UInt64.self)
        if found != object.tag {
            damage = "an object of \(object.size) bytes was changed by somebody else while it was in use"
        }
    }

    // MARK: Blocks

    private func allocateBlock(_ event: TraceEvent) -> ReplayOutcome {
        freedBlocks[event.address] = nil
        blocks[event.address] = nil
        let order = Int(clamping: event.size)
        if event.isNested {
            blocks[event.address] = LiveBlock(frame: nil, order: order)
            return .passedOver
        }
        guard let frame = machine.frames.value.allocate(order: order, flags: flags(event)) else { return .refused }
        blocks[event.address] = LiveBlock(frame: frame, order: order)
        return .done
    }

    private func freeBlock(_ event: TraceEvent) -> ReplayOutcome {
        let order = Int(clamping: event.size)
        if order <= Self.highestOrder, event.address & (UInt(1) << UInt(order) - 1) != 0 {
            return freeMisaligned(event.address, order: order)
        }
        if order <= Self.highestOrder, blocks[event.address]?.order != order {
            breakUp(around: event.address, order: order)
            if order > 0, let outcome = freeFrames(event.address, order: order) { return outcome }
        }
        if let block = blocks.removeValue(forKey: event.address) {
            guard let frame = block.frame else { return .passedOver }
            freedBlocks[event.address] = block
            machine.frames.value.free(frame, order: order)
            return .done
        }
        guard !event.isNested, let frame = freedBlocks[event.address]?.frame else { return .passedOver }
        machine.frames.value.free(frame, order: order)
        return .done
    }

    private static var highestOrder: Int { 10 }

    /// What no block can be, wherever it lies: the allocator is to say so.
    private func freeMisaligned(_ first: UInt, order: Int) -> ReplayOutcome {
        for larger in 0...Self.highestOrder {
            let head = first & ~(UInt(1) << UInt(larger) - 1)
            guard let block = blocks[head], block.order == larger, let frame = block.frame else { continue }
            machine.frames.value.free(frame + (first - head), order: order)
            return .done
        }
        return .passedOver
    }

    /// Makes the larger block, if there is one, that a free is of a part of single frames.
    private func breakUp(around first: UInt, order: Int) {
        var larger = order + 1
        while larger <= Self.highestOrder {
            let head = first & ~(UInt(1) << UInt(larger) - 1)
            if let block = blocks[head], block.order >= larger {
                if let frame = block.frame { machine.frames.value.split(frame, order: block.order) }
                for part in 0..<UInt(1) << UInt(block.order) {
                    blocks[head + part] = LiveBlock(frame: block.frame.map { $0 + part }, order: 0)
                }
                return
            }
            larger += 1
        }
    }

    /// Frees a part of what has been broken up. - Returns: nil where it is no such part.
    private func freeFrames(_ first: UInt, order: Int) -> ReplayOutcome? {
        let part = first..<first + 1 << UInt(order)
        guard part.allSatisfy({ blocks[$0]?.order == 0 }) else { return nil }
        var outcome = ReplayOutcome.passedOver
        for number in part {
            guard let frame = blocks.removeValue(forKey: number)?.frame else { continue }
            machine.frames.value.free(frame, order: 0)
            outcome = .done
        }
        return outcome
    }

    // MARK: Areas

    private func allocateArea(_ event: TraceEvent) -> ReplayOutcome {
        freedAreas[event.address] = nil
        areas[event.address] = nil
        if event.isNested { return remember(VirtualAddress(0), event, .nested) }
        let start = machine.vmalloc.value.allocate(
            event.size, flags: flags(event), populate: event.name.isEqual(to: "populated"))
        guard let start else { return .refused }
        return remember(start, event, .vmalloc)
    }

    private func remember(_ start: VirtualAddress, _ event: TraceEvent, _ kind: LiveArea.Kind) -> ReplayOutcome {
        areas[event.address] = LiveArea(start: start, byteCount: event.size, kind: kind)
        return kind == .nested ? .passedOver : .done
    }

    private func map(_ event: TraceEvent) -> ReplayOutcome {
        if event.name.isEqual(to: "tables") { return event.isNested ? .passedOver : mapTables(event) }
        freedAreas[event.address] = nil
        if event.isNested { return remember(VirtualAddress(0), event, .nested) }
        let permissions = PagePermissions(rawValue: UInt16(truncatingIfNeeded: event.flags))
        if event.name.isEqual(to: "ioremap") {
            // Where no RAM of this machine is.
            let physical = PhysicalAddress(event.extent | 1 << 40)
            let start = try? machine.vmalloc.value.mapDevice(
                physical, byteCount: event.size, cacheMode: permissions.cacheMode)
            return start.map { remember($0, event, .device) } ?? .refused
        }
        let frames = Array(repeating: machine.standIn, count: Int(clamping: event.size >> PageSize.shift))
        // The array outlives the call.
        let start = unsafe frames.withUnsafeBufferPointer {
            unsafe machine.vmalloc.value.mapFrames($0, permissions: permissions)
        }
        return start.map { remember($0, event, .map) } ?? .refused
    }

    private func freeArea(_ event: TraceEvent) -> ReplayOutcome {
        if event.name.isEqual(to: "tables") { return event.isNested ? .passedOver : unmapTables(event) }
        guard let area = areas.removeValue(forKey: event.address) ?? (event.isNested ? nil : freedAreas[event.address])
        else { return .passedOver }
        if area.kind == .nested { return .passedOver }
        freedAreas[event.address] = area
        switch area.kind {
        case .vmalloc, .nested: machine.vmalloc.value.free(area.start)
        case .map: machine.vmalloc.value.unmapFrames(area.start)
        case .device: machine.vmalloc.value.unmapDevice(area.start)
        }
        return .done
    }

    private func mapTables(_ event: TraceEvent) -> ReplayOutcome {
        var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
        let start = VirtualAddress(event.address)
        do throws(PagingError) {
            try machine.ownTables.value.mapRange(
                VirtualRange(start, start + event.size), to: PhysicalAddress(event.extent),
                permissions: PagePermissions(rawValue: UInt16(truncatingIfNeeded: event.flags)), using: &source)
            return .done
        } catch {
            // The trace may be of several tables.
            return .refused
        }
    }

    private func unmapTables(_ event: TraceEvent) -> ReplayOutcome {
        var source = BuddyTableSource<SimulatedPlatform>(frames: machine.frames)
        let start = VirtualAddress(event.address)
        do throws(PagingError) {
            try machine.ownTables.value.unmapRange(
                VirtualRange(start, start + event.size), splitting: true, using: &source)
            return .done
        } catch {
            return .refused
        }
    }

    private func touch(_ event: TraceEvent) -> ReplayOutcome {
        guard !event.isNested else { return .passedOver }
        for (start, area) in areas where event.address &- start < area.byteCount && area.kind == .vmalloc {
            let place = area.start + (event.address &- start)
            var access = FaultAccess(errorCode: UInt64(event.size))
            // A touch of a neighbour may have brought the page.
            if machine.tables.value.translate(place) != nil { access.insert(.protection) }
            switch machine.vmalloc.value.handleFault(at: place, access: access) {
            case .resolved, .spurious: return .done
            case .fatal: return .refused
            }
        }
        return .passedOver
    }
}
