import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing

@testable import VirtualMemory

@Suite struct GuardedPoolTests {
    @Test(arguments: [1, 2, 7, 100] as [UInt])
    func everyNthAllocationIsGuarded(interval: UInt) throws {
        let machine = GuardedMachine(objects: 255, interval: interval)
        var guarded: [Int] = []
        var objects: [UInt] = []
        for number in 1...200 {
            objects.append(try #require(machine.kmalloc(UInt(number % 50 + 1) * 80)))
            if machine.isGuarded(objects[number - 1]) { guarded.append(number) }
        }
        #expect(guarded == (1...200).filter { $0 % Int(interval) == 0 })
        for object in objects { machine.kfree(object) }
        try machine.check()
    }

    /// Without sampling nothing is watched, and an address where the pool could be is nobody's.
    @Test func nothingIsGuardedUnlessAskedFor() throws {
        let machine = VmallocMachine()
        machine.run {
            for _ in 0..<1000 {
                let object = machine.kmalloc.value.allocate(64)
                let address = VirtualAddress(UInt(bitPattern: object))
                #expect(!VmallocMachine.space.contains(address))
                machine.kmalloc.value.free(object)
            }
            machine.kmalloc.value.forEachCache { cache in
                #expect(cache.statistics.cachedObjects > 0 || cache.statistics.totalObjects == 0)
            }
            machine.kmalloc.value.free(
                UnsafeMutableRawPointer(bitPattern: VmallocMachine.space.start.rawValue + 0x2000))
        }
        #expect(machine.takeKinds() == [.wildFree])
    }

    /// Memory whose place matters, and what is larger than a page, comes from where it always does.
    @Test func whatWouldNotDoIsNotGuarded() throws {
        let machine = GuardedMachine()
        for flags in [.dma, .dma32, .movable, .thisNode, .highMemory] as [AllocationFlags] {
            let object = try #require(machine.kmalloc(64, .kernel | flags))
            #expect(!machine.isGuarded(object))
            machine.kfree(object)
        }
        for size in [0, 4097, 8192, 8193, 100_000] as [UInt] {
            let object = try #require(machine.kmalloc(size))
            #expect(!machine.isGuarded(object))
            machine.kfree(object)
        }
        #expect(machine.statistics == GuardedStatistics())
        #expect(machine.isGuarded(machine.kmalloc(4096)))
        for (size, alignment) in [(0, 8), (4097, 8), (64, 0), (64, 8192)] as [(UInt, UInt)] {
            let request = GuardedRequest(byteCount: size, alignment: alignment, cacheName: CacheName("bad"))
            #expect(machine.allocate(request) == nil)
        }
        try machine.check()
    }

    /// A device is told where an object's memory is: the byte there is the object's.
    @Test(arguments: [false, true]) func theMemoryBehindAnObject(atEnd: Bool) throws {
        let machine = GuardedMachine()
        let directMap = machine.below.frames.value.directMap
        func memory(_ address: UInt, _ byteCount: UInt) -> PhysicalAddress? {
            machine.run { machine.below.kmalloc.value.guardedMemory(at: VirtualAddress(address), byteCount: byteCount) }
        }
        let object = try machine.object(1024, atEnd: atEnd)
        for offset in [0, 1, 512, 1023] as [UInt] {
            let place = try #require(memory(object + offset, 1024 - offset))
            machine.write(object + offset, UInt8(truncatingIfNeeded: offset &+ 3))
            let pointer = try #require(
                UnsafePointer<UInt8>(bitPattern: directMap.virtualAddress(of: place).rawValue))
            #expect(pointer.pointee == UInt8(truncatingIfNeeded: offset &+ 3))
            #expect(memory(object + offset, 1025 - offset) == nil)
            #expect(memory(object + offset, .max) == nil)
        }
        #expect(memory(object - 1, 2) == nil && memory(object + 1024, 1) == nil)
        #expect(memory(object & ~4095 + 4096, 1) == nil && memory(machine.pool.value.range.end.rawValue, 1) == nil)
        machine.kfree(object)
        #expect(memory(object, 1) == nil)
        try machine.check()
    }

    @Test(arguments: [8, 24, 80, 96, 160, 320, 1024, 2560, 4096] as [UInt])
    func objectsKeepTheirClassesAlignmentAndTouchThePagesEnd(size: UInt) throws {
        let machine = GuardedMachine(objects: 32)
        var ends: Set<Bool> = []
        for _ in 0..<64 {
            let object = try #require(machine.kmalloc(size))
            try #require(machine.isGuarded(object))
            #expect(object & (size & (0 &- size) - 1) == 0)
            #expect(object & 4095 == 0 || (object + size) & 4095 == 0)
            ends.insert(object & 4095 == 0)
            machine.kfree(object)
        }
        #expect(ends == (size == 4096 ? [true] : [false, true]))
        try machine.check()
    }

    /// A full pool is no failure: objects come from the slabs. A slot that was freed comes back last of all.
    @Test func slotsAreUsedAgainAsLateAsPossible() throws {
        let machine = GuardedMachine(objects: 10)
        let objects = try (0..<10).map { _ in try #require(machine.kmalloc(64)) }
        #expect(Set(objects.map { $0 & ~4095 }).count == 10)
        let more = try #require(machine.kmalloc(64))
        #expect(!machine.isGuarded(more) && machine.statistics.refusals == 1)
        machine.kfree(more)
        let order = [7, 2, 9, 0, 1, 8, 3, 6, 5, 4]
        for index in order { machine.kfree(objects[index]) }
        for index in order {
            let again = try #require(machine.kmalloc(64))
            #expect(again & ~4095 == objects[index] & ~4095)
            machine.kfree(again)
        }
        #expect(
            machine.statistics == GuardedStatistics(objectsInUse: 0, allocations: 20, frees: 20, refusals: 1))
        try machine.check()
    }

    /// What is promised zero is zero, whatever was there; nothing beside it is touched.
    @Test(arguments: [8, 73, 1024, 4096] as [UInt])
    func objectsAreClearedWhereThatIsAskedFor(size: UInt) throws {
        let machine = GuardedMachine(objects: 1)
        var request = GuardedRequest(byteCount: size, alignment: 8, cacheName: CacheName("test"))
        for round in 0..<20 {
            request.clears = round % 2 == 1
            let object = try #require(machine.allocate(request))
            for offset in 0..<size {
                let byte = try machine.run { try machine.machine.load(VirtualAddress(object + offset), as: UInt8.self) }
                if request.clears { #expect(byte == 0) }
                machine.write(object + offset, 0xff)
            }
            machine.kfree(object)
        }
        try machine.check()
    }

    /// What is promised to be zeroed when it is freed lies in memory no more, though the page is not mapped.
    @Test func objectsAreClearedWhenFreedWhereThatIsAskedFor() throws {
        let machine = GuardedMachine(objects: 1)
        for clears in [false, true, false] {
            var request = GuardedRequest(byteCount: 100, alignment: 4, cacheName: CacheName("test"))
            request.clearsWhenFreed = clears
            let object = try #require(machine.allocate(request))
            for offset in 0..<100 as Range<UInt> { machine.write(object + offset, 0xa5) }
            let start = Int(object & 4095)
            machine.kfree(object)
            let bytes = UnsafeRawBufferPointer(start: machine.pool.value.memory(of: 0) + start, count: 100)
            #expect(bytes.allSatisfy { $0 == (clears ? 0 : 0xa5) })
        }
        try machine.check()
    }

    /// Any order of calls, wrong ones among them, against a list of what is allocated.
    @Test func randomOperations() throws {
        let machine = GuardedMachine(objects: 12, interval: 2)
        var generator = SeededGenerator.fromEnvironment(default: 4711)
        var live: [(address: UInt, stamp: UInt8)] = []
        var freed: [UInt] = []
        for step in 0..<3000 {
            switch UInt.random(in: 0..<10, using: &generator) {
            case 0..<5:
                guard let object = machine.kmalloc(UInt.random(in: 1...4096, using: &generator)) else { break }
                freed.removeAll { $0 & ~4095 == object & ~4095 }
                let stamp = UInt8.random(in: 0...255, using: &generator)
                if machine.isGuarded(object) {
                    #expect(machine.write(object, stamp) == nil)
                }
                live.append((object, stamp))
            case 5..<9:
                guard let index = live.indices.randomElement(using: &generator) else { break }
                let (object, stamp) = live.remove(at: index)
                if machine.isGuarded(object) {
                    let byte = try machine.run { try machine.machine.load(VirtualAddress(object), as: UInt8.self) }
                    #expect(byte == stamp)
                    freed.append(object)
                }
                machine.kfree(object)
            default:
                guard let object = freed.randomElement(using: &generator) else { break }
                machine.kfree(object)
                #expect(machine.violations().map(\.kind) == [.doubleFree])
                #expect(machine.read(object)?.kind == .useAfterFree(isWrite: false))
            }
            if step % 100 == 0 { try machine.check() }
        }
        for object in live { machine.kfree(object.address) }
        #expect(machine.statistics.objectsInUse == 0 && machine.statistics.allocations > 100)
        try machine.check()
    }

    // MARK: Set-up

    /// Each request for frames of the set-up fails in turn: there is no pool then, and everything is as before.
    @Test func eachAllocationOfSetUpMayFail() throws {
        let machine = VmallocMachine()
        func settledSnapshot() -> VmallocMachine.Snapshot {
            _ = machine.run { machine.kmalloc.value.shrink() }
            return machine.snapshot()
        }
        let before = settledSnapshot()
        for nth in 1...100 as ClosedRange<UInt> {
            machine.run { machine.frames.value.failAllocation(nth: nth) }
            let isMade = machine.run { () -> Bool in
                TestedPool(count: 20, vmalloc: machine.vmalloc, kmalloc: machine.kmalloc) != nil
            }
            let isSpent = machine.run { machine.frames.value.requestsUntilFailure } == 0
            machine.run { machine.frames.value.failAllocation(nth: 0) }
            if !isSpent {
                // The notes, a frame for each object, and tables.
                #expect(isMade && nth > 22)
                try machine.checkAll()
                return
            }
            #expect(!isMade)
            #expect(settledSnapshot() == before)
            try machine.checkAll()
        }
        Issue.record("set-up makes requests without end")
    }

    @Test func countsThatCannotBe() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        for count in [0, TestedPool.largestObjectCount + 1, .max, 5000] {
            #expect(
                machine.run {
                    TestedPool(count: count, vmalloc: machine.vmalloc, kmalloc: machine.kmalloc) == nil
                })
            #expect(machine.snapshot() == before)
        }
        try machine.checkAll()
    }

    /// The addresses cannot be taken away from the pool.
    @Test func theAreaIsThePools() throws {
        let machine = GuardedMachine()
        let start = machine.pool.value.firstPage
        machine.run { machine.below.vmalloc.value.free(start) }
        #expect(machine.violations().map(\.kind) == [.wildFree])
        #expect(machine.run { machine.below.vmalloc.value.describe(start).area?.kind } == .guardedObjects)
        try machine.check()
    }
}
