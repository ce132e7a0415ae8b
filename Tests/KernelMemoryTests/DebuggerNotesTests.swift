import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import KernelMemory
@testable import PageFrames
@testable import Slab
@testable import VirtualMemory

/// What the allocators note down for a debugger, followed as one would: by addresses and offsets alone.
@Suite struct DebuggerNotesTests {
    /// The notes by name, read back from the memory that they were written to.
    private func notes(of machine: KernelMachine, capacity: Int = 128) -> [String: UInt] {
        let room = UnsafeMutableRawBufferPointer.allocate(
            byteCount: capacity * DebuggerNotes.noteByteCount, alignment: 8)
        defer { room.deallocate() }
        var notes = DebuggerNotes(in: room)
        machine.run { machine.memory.value.writeDebuggerNotes(to: &notes) }
        var found: [String: UInt] = [:]
        for index in 0..<notes.count {
            let words = room.baseAddress! + index * DebuggerNotes.noteByteCount
            let name = words.load(as: UnsafePointer<CChar>.self)
            found[String(cString: name)] = words.load(fromByteOffset: 8, as: UInt.self)
        }
        // Each name once.
        #expect(found.count == notes.count)
        return found
    }

    private func word(_ address: UInt) -> UInt { UnsafePointer<UInt>(bitPattern: address)!.pointee }

    private func machine() throws -> KernelMachine {
        let machine = try KernelMachine(.pc(bytes: 64 << 20), Configuration())
        machine.run {
            let memory = machine.memory
            for size: UInt in [24, 64, 1000] { #expect(memory.value.kmalloc.value.allocate(size) != nil) }
            for count: UInt in 1...3 { #expect(memory.value.vmalloc.value.allocate(count << 12, name: "noted") != nil) }
        }
        return machine
    }

    @Test func notesThatHaveNoRoomAreLeftOut() throws {
        let machine = try machine()
        #expect(notes(of: machine, capacity: 5).count == 5)
        #expect(notes(of: machine, capacity: 0).isEmpty)
        // boot/layout.S has room for 128.
        #expect((60..<120).contains(notes(of: machine, capacity: 200).count))
    }

    @Test func cachesAreFoundWithTheirFigures() throws {
        let machine = try machine()
        let notes = notes(of: machine)
        var address = word(notes["caches.first"]!)
        var count = 0
        machine.run {
            machine.memory.value.kmalloc.value.forEachCache { cache in
                #expect(address == cache.address)
                let layout = address + notes["cache.layout"]!
                #expect(word(layout + notes["slab_layout.object_size"]!) == cache.layout.objectSize)
                #expect(word(layout + notes["slab_layout.slot_size"]!) == cache.layout.slotSize)
                #expect(word(layout + notes["slab_layout.object_offset"]!) == cache.layout.objectOffset)
                #expect(word(layout + notes["slab_layout.order"]!) == UInt(cache.layout.order))
                #expect(word(layout + notes["slab_layout.object_count"]!) == UInt(cache.layout.objectCount))
                #expect(word(address + notes["cache.magazines"]!) == cache.magazines)
                #expect(UnsafePointer<UInt8>(bitPattern: address + notes["cache.name"]!)!.pointee == cache.name[0])
                checkState(of: cache, at: address + notes["cache.state"]!, notes)
                address = word(address + notes["cache.next"]!)
                count += 1
            }
        }
        #expect(address == 0)
        #expect(count > 50)
    }

    private func checkState<P: Platform>(of cache: borrowing SlabCache<P>, at state: UInt, _ notes: [String: UInt]) {
        let figures = cache.statistics
        #expect(word(state + notes["cache_state.fetched"]!) == figures.slabsFetched)
        #expect(word(state + notes["cache_state.returned"]!) == figures.slabsReturned)
        var slabs: UInt = 0
        for list in 0..<notes["slab_lists.count"]! {
            let place = state + notes["cache_state.lists"]! + list * notes["slab_list.size"]!
            slabs += word(place + notes["slab_list.count"]!)
            var name = word(place + notes["slab_list.first"]!)
            while name != 0 {
                let slab = SlabPage(name: name)
                let header = name - notes["slab.size"]!
                #expect(0 &- word(header + notes["slab.negated_base"]!) == slab.base)
                #expect(word(header + notes["slab.magazines"]!) == cache.magazines)
                name = word(header + notes["slab.next"]!)
            }
        }
        #expect(slabs == UInt(figures.slabs))
        let cached = word(cache.magazines) + word(state + notes["cache_state.depot_objects"]!)
        #expect(cached == UInt(figures.cachedObjects))
        let free = word(state + notes["cache_state.free_objects"]!)
        #expect(UInt(figures.totalObjects) - free - cached == UInt(figures.activeObjects))
    }

    @Test func areasAreFoundInTheOrderOfAddresses() throws {
        let machine = try machine()
        let notes = notes(of: machine)
        var node = word(notes["areas.head"]! + notes["area.next"]!)
        var count = 0
        machine.run {
            machine.memory.value.vmalloc.value.ranges.forEachArea { area in
                if area.range.isEmpty { return }
                #expect(word(node + notes["area.start"]!) == area.range.start.rawValue)
                #expect(word(node + notes["area.end"]!) == area.range.end.rawValue)
                #expect(word(node + notes["area.present_pages"]!) == area.presentPages)
                #expect(word(node + notes["area.caller"]!) == area.caller)
                #expect(word(node + notes["area.name"]!) == UInt(bitPattern: area.name.utf8Start))
                let bytes = UnsafePointer<UInt8>(bitPattern: node)!
                #expect(bytes[Int(notes["area.kind"]!)] == area.kind.rawValue)
                #expect(bytes[Int(notes["area.state"]!)] == area.state.rawValue)
                #expect(bytes[Int(notes["area.guards_above"]!)] == UInt8(area.guardPagesAbove))
                node = word(node + notes["area.next"]!)
                count += 1
            }
        }
        #expect(count >= 3)
    }

    @Test func freeBlocksAndFramesAreFound() throws {
        let machine = try machine()
        let notes = notes(of: machine)
        machine.run {
            ZoneKind.forEach { kind in
                let report = machine.memory.value.frames.value.report(of: kind)
                let state = notes["zone\(kind.rawValue).state"]!
                #expect(word(state + notes["zone.free"]!) == report.free)
                #expect(word(state + notes["zone.managed"]!) == report.managed)
                let counts = notes["zone\(kind.rawValue).free_counts"]! + 8 * notes["free_counts.first"]!
                for order in 0..<notes["free_counts.orders"]! {
                    var sum = order == 10 ? word(state + notes["zone.deferred_sections"]!) : 0
                    for group in 0..<notes["free_counts.mobilities"]! {
                        sum += word(counts + 8 * (group * notes["free_counts.orders_stride"]! + order))
                    }
                    #expect(sum == report.freeBlockCount(order: Int(order)))
                }
            }
            // A frame in use, and what its descriptor says.
            let frame = machine.memory.value.frames.value.allocate(order: 2)!
            let origin = word(notes["frame_table.origins"]! + 8 * (frame.rawValue >> notes["frame_table.block_order"]!))
            let descriptor = UnsafePointer<UInt8>(
                bitPattern: origin + frame.rawValue * notes["frame_table.descriptor_size"]!)!
            #expect(descriptor[Int(notes["frame.order"]!)] == 2)
            #expect(descriptor[Int(notes["frame.state"]!)] == FrameState.allocatedHead.rawValue)
            machine.memory.value.frames.value.free(frame, order: 2)
        }
    }
}
