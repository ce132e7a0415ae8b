import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab

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
    func flags(_ event: TraceEvent) -> AllocationFlags {
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
        // No allocator has handed that out.
        guard Self.canBeBlock(event) else { return .refused }
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
        guard event.address < UInt.max >> PageSize.shift else { return .passedOver }
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

    /// Whether an event's frames are such as a block can have: of a possible order, and all below the end of addresses.
    private static func canBeBlock(_ event: TraceEvent) -> Bool {
        event.size <= UInt(highestOrder) && event.address < UInt.max >> PageSize.shift
            && event.address & (1 << event.size - 1) == 0
    }

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
}
