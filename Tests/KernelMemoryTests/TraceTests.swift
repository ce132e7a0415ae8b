import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import TestSupport
import Testing
import VirtualMemory

@testable import KernelMemory

extension TracedMachine {
    /// What of the events users did, as far as it can be foreseen.
    fileprivate func takeCalls() -> [Call] { take().filter { !$0.isNested }.map(Call.init) }
}

/// A call as its user knows it.
private struct Call: Equatable {
    var kind: TraceKind
    var address: UInt
    var size: UInt = 0
    var flags: UInt32 = 0
    var name = TraceName()

    init(
        _ kind: TraceKind, _ address: UInt, _ size: UInt = 0, _ flags: AllocationFlags = .none, name: StaticString = ""
    ) {
        self.kind = kind
        self.address = address
        self.size = size
        self.flags = flags.rawValue
        self.name = TraceName(name)
    }

    init(_ event: TraceEvent) {
        kind = event.kind
        address = event.address
        size = event.kind == .unmap ? 0 : event.size
        flags = event.kind == .map ? 0 : event.flags
        name = event.name
    }
}

@Suite struct TraceTests {
    private static let flags: [AllocationFlags] = [.kernel, .atomic, .kernel | .zero, .noWait, .dma]

    /// Random calls, half of them while tracing is on: the events are those calls, in that order.
    @Test func eventsAreTheCalls() throws {
        let traced = try TracedMachine()
        var generator = SeededGenerator.fromEnvironment(default: 31)
        try traced.machine.run {
            let memory = traced.memory
            let cache = try memory.value.kmalloc.value.makeCache("tested", objectSize: 120, flags: .noMerge)
            var objects: [(UnsafeMutableRawPointer, ofCache: Bool)] = []
            var blocks: [(PageFrameNumber, Int)] = []
            var areas: [(VirtualAddress, Bool)] = []
            var expected: [Call] = []
            var isOn = false
            for step in 0..<4000 {
                if generator.next() % 200 == 0 {
                    isOn.toggle()
                    if isOn { traced.turnOn() } else { traced.turnOff() }
                    // Emptying caches frees frames, which is told of as any other free.
                    if !isOn { _ = traced.take() }
                    expected = []
                    _ = traced.take()
                }
                let flags = Self.flags[Int(generator.next() % 5)]
                switch generator.next() % 9 {
                case 0...1:
                    let size = UInt(1 + generator.next() % 20_000)
                    guard let object = memory.value.kmalloc.value.allocate(size, flags: flags) else { break }
                    objects.append((object, false))
                    expected.append(Call(.kmalloc, UInt(bitPattern: object), size, flags))
                case 2:
                    guard let object = cache.allocate(flags: flags) else { break }
                    objects.append((object, true))
                    expected.append(Call(.cacheAllocation, UInt(bitPattern: object), 120, flags))
                case 3...4 where !objects.isEmpty:
                    let (object, ofCache) = objects.swapRemove(&generator)
                    // kfree takes any cache's.
                    if ofCache, generator.next() & 1 == 0 {
                        cache.free(object)
                        expected.append(Call(.cacheFree, UInt(bitPattern: object), name: "tested"))
                    } else {
                        memory.value.kmalloc.value.free(object)
                        expected.append(Call(.kfree, UInt(bitPattern: object)))
                    }
                case 5:
                    let order = Int(generator.next() % 5)
                    guard let frame = memory.value.frames.value.allocate(order: order, flags: flags) else { break }
                    blocks.append((frame, order))
                    expected.append(Call(.pageAllocation, frame.rawValue, UInt(order), flags))
                case 6 where !blocks.isEmpty:
                    let (frame, order) = blocks.swapRemove(&generator)
                    memory.value.frames.value.free(frame, order: order)
                    expected.append(Call(.pageFree, frame.rawValue, UInt(order)))
                case 7:
                    let size = UInt(1 + generator.next() % 30_000)
                    if generator.next() & 1 == 0 {
                        guard let area = memory.value.vmalloc.value.vmalloc(size) else { break }
                        areas.append((area, false))
                        expected.append(Call(.vmalloc, area.rawValue, size, .kernel, name: "on_demand"))
                    } else {
                        guard let block = blocks.first,
                            let area = memory.value.vmalloc.value.vmap(frames: block.0, count: 3)
                        else { break }
                        areas.append((area, true))
                        expected.append(Call(.map, area.rawValue, 3 << 12, name: "vmap"))
                    }
                case 8 where !areas.isEmpty:
                    let (area, isMap) = areas.swapRemove(&generator)
                    if isMap {
                        memory.value.vmalloc.value.vunmap(area)
                        expected.append(Call(.unmap, area.rawValue, name: "vunmap"))
                    } else {
                        memory.value.vmalloc.value.vfree(area)
                        expected.append(Call(.vfree, area.rawValue))
                    }
                default: break
                }
                if isOn {
                    let calls = traced.takeCalls()
                    #expect(calls == expected, "step \(step)")
                } else {
                    #expect(traced.take().isEmpty)
                }
                expected = []
                if step % 250 == 0 { try memory.value.checkInvariants() }
            }
            traced.turnOff()
            for (object, _) in objects { memory.value.kmalloc.value.free(object) }
            for (area, isMap) in areas {
                if isMap { memory.value.vmalloc.value.vunmap(area) } else { memory.value.vmalloc.value.vfree(area) }
            }
            for (frame, order) in blocks { memory.value.frames.value.free(frame, order: order) }
            #expect(traced.take().isEmpty)
        }
        try traced.machine.check()
    }

    /// Every frame that is handed out while all is traced is told of, by whomever it is wanted, and every one given back.
    @Test func framesAddUp() throws {
        let traced = try TracedMachine()
        try traced.machine.run {
            let memory = traced.memory
            traced.turnOn()
            _ = traced.take()
            let before = memory.value.frames.value.freeFrames
            var kept: [UnsafeMutableRawPointer] = []
            for size in 1...400 as ClosedRange<UInt> {
                let object = memory.value.kmalloc.value.allocate(size * 37)
                kept.append(try #require(object))
            }
            let made = memory.value.vmalloc.value.allocate(40 << 12, populate: true)
            let area = try #require(made)
            var difference = 0
            for event in traced.take() {
                switch event.kind {
                case .pageAllocation:
                    difference += 1 << Int(event.size)
                    // All of them are somebody's within the allocators.
                    #expect(event.isNested)
                case .pageFree: difference -= 1 << Int(event.size)
                default: break
                }
            }
            let used = before - memory.value.frames.value.freeFrames
            #expect(UInt(difference) == used)
            for object in kept { memory.value.kmalloc.value.free(object) }
            memory.value.vmalloc.value.free(area)
            traced.turnOff()
        }
        try traced.machine.check()
    }

    /// Pages that are there at once are told of in one event, before the area's; those that a touch brings in none.
    @Test(
        arguments: [
            (1, true, .kernel), (700 << 12, true, .kernel), (9000, false, .dma), (9000, false, .kernel),
        ] as [(UInt, Bool, AllocationFlags)])
    func pagesOfAreas(_ size: UInt, _ populate: Bool, _ flags: AllocationFlags) throws {
        let traced = try TracedMachine()
        try traced.machine.run {
            let (vmalloc, tables) = (traced.memory.value.vmalloc, traced.memory.value.pageTables)
            traced.turnOn([TraceKind.vmalloc, .map].reduce(.none) { $0.union(TraceSelection($1)) })
            let made = vmalloc.value.allocate(size, flags: flags, populate: populate)
            let area = try #require(made)
            let events = traced.take().filter { $0.name != TraceName("tables") }
            let isThere = populate || flags == .dma
            #expect(events.map(\.kind) == (isThere ? [.map, .vmalloc] : [.vmalloc]))
            #expect(events.last?.name == TraceName(isThere ? "populated" : "on_demand"))
            if isThere, let map = events.first {
                let first = tables.value.translate(area)
                #expect(map.isNested && map.address == area.rawValue && map.name == TraceName("vmalloc"))
                #expect(map.size == (size + 4095) & ~4095 && map.extent == first?.physical.rawValue)
                #expect(map.flags == UInt32(PagePermissions.readWrite.rawValue))
            }
            traced.turnOff()
            vmalloc.value.vfree(area)
        }
        try traced.machine.check()
    }

    /// Only what was selected is told of, and only for that are short ways closed.
    @Test func selections() throws {
        let traced = try TracedMachine()
        try traced.machine.run {
            let (kmalloc, frames) = (traced.memory.value.kmalloc, traced.memory.value.frames)
            func states() -> [Bool] { [kmalloc.value.hasMagazines, frames.value.isTraced] }
            traced.turnOn(TraceSelection(.kfree).union(TraceSelection(.vmalloc)))
            #expect(states() == [false, false])
            kmalloc.value.free(kmalloc.value.allocate(100))
            let area = traced.memory.value.vmalloc.value.vmalloc(1)
            traced.memory.value.vmalloc.value.vfree(area)
            #expect(traced.takeCalls().map(\.kind) == [.kfree, .vmalloc])
            traced.turnOn(.frames)
            #expect(states() == [true, true])
            kmalloc.value.free(kmalloc.value.allocate(100))
            let made = frames.value.allocate(order: 2)
            frames.value.free(try #require(made), order: 2)
            #expect(traced.takeCalls().map(\.kind).suffix(2) == [.pageAllocation, .pageFree])
            traced.turnOff()
            #expect(states() == [true, false])
        }
    }

    /// With tracing off again, magazines and frame caches do their work as before it was on.
    @Test func offAgainIsAsBefore() throws {
        let traced = try TracedMachine()
        traced.machine.run {
            let (kmalloc, frames) = (traced.memory.value.kmalloc, traced.memory.value.frames)
            func slowFrames() -> UInt { frames.value.statistics(of: .dma32).allocations }
            func work() -> UInt {
                let before = slowFrames()
                for _ in 0..<1000 {
                    kmalloc.value.free(kmalloc.value.allocate(64))
                    if let frame = frames.value.allocate(order: 0) { frames.value.free(frame, order: 0) }
                }
                return slowFrames() - before
            }
            _ = work()
            let quiet = work()
            traced.turnOn()
            let loud = work()
            #expect(traced.take().count >= 4000)
            #expect(loud >= 1000)
            traced.turnOff()
            _ = work()
            #expect(work() == quiet)
            #expect(traced.take().isEmpty)
        }
        try traced.machine.check()
    }

    /// Frees that are refused are told of, so that the trace shows what was wrong.
    @Test func wrongFreesAreToldOf() throws {
        let traced = try TracedMachine()
        traced.machine.run {
            let (kmalloc, frames) = (traced.memory.value.kmalloc, traced.memory.value.frames)
            traced.turnOn()
            let object = kmalloc.value.allocate(64)
            kmalloc.value.free(object)
            kmalloc.value.free(object)
            let frame = frames.value.allocate(order: 1)!
            frames.value.free(frame, order: 1)
            frames.value.free(frame, order: 1)
            traced.memory.value.vmalloc.value.vfree(VirtualAddress(0xffff_c900_1234_5000))
            #expect(
                traced.takeCalls().map(\.kind) == [
                    .kmalloc, .kfree, .kfree, .pageAllocation, .pageFree, .pageFree, .vfree,
                ])
            #expect(traced.machine.machine.takeViolations().map(\.kind) == [.doubleFree, .doubleFree, .wildFree])
            traced.turnOff()
        }
    }
}

extension Vmalloc {
    /// Maps one frame several times.
    fileprivate func vmap(frames frame: PageFrameNumber, count: Int) -> VirtualAddress? {
        Array(repeating: frame, count: count).withUnsafeBufferPointer { mapFrames($0) }
    }
}
