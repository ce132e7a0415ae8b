import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing

@testable import VirtualMemory

/// The cases of Linux's `kfence_test.c`, by its names, as far as they have a meaning here.
@Suite struct GuardedAccessTests {
    static let sizes: [UInt] = [8, 32, 80, 96, 320, 1024, 4096]

    /// The number of the slot that an object is in.
    private func slot(_ object: UInt, _ machine: GuardedMachine) -> Int? {
        machine.run { machine.pool.value.slot(at: object) }
    }

    @Test(arguments: sizes, [false, true])
    func outOfBounds(size: UInt, isWrite: Bool) throws {
        let machine = GuardedMachine()
        func access(_ address: UInt) -> GuardedError? { isWrite ? machine.write(address) : machine.read(address) }
        for atEnd in size == 4096 ? [false] : [false, true] {
            let object = try machine.object(size, atEnd: atEnd)
            let slot = slot(object, machine)
            for offset in 0..<size { #expect(access(object + offset) == nil) }
            // Beyond the end of the page at which the object stands.
            if atEnd || size == 4096 {
                for distance in [1, 8, 4096] as [UInt] {
                    let address = object + size - 1 + distance
                    let expected = GuardedError(
                        .outOfBounds(isWrite: isWrite), at: VirtualAddress(address), object: slot, distance: distance)
                    #expect(access(address) == expected)
                }
            }
            if !atEnd {
                for distance in [1, 8, 4096] as [UInt] {
                    let expected = GuardedError(
                        .outOfBounds(isWrite: isWrite), at: VirtualAddress(object - distance), object: slot,
                        distance: distance)
                    #expect(access(object - distance) == expected)
                }
            }
            machine.kfree(object)
        }
        try machine.check()
    }

    /// A guard page between two objects is said to be of the nearer one.
    @Test func outOfBoundsBetweenTwoObjects() throws {
        let machine = GuardedMachine(objects: 2)
        let objects = try (0..<2).map { _ in try #require(machine.kmalloc(2048)) }.sorted()
        let gap = (objects[0] | 4095) + 1
        #expect(gap == objects[1] & ~4095 - 4096)
        for address in stride(from: gap, to: gap + 4096, by: 64) {
            let (left, right) = (address - (objects[0] + 2048) + 1, objects[1] - address)
            let found = try #require(machine.read(address))
            #expect(found.distance == min(left, right))
            #expect(found.object == (left <= right ? 0 : 1))
        }
        machine.kfree(objects[0])
        #expect(machine.read(gap)?.object == 1)
        machine.kfree(objects[1])
        #expect(machine.read(gap) == GuardedError(.invalidAccess(isWrite: false), at: VirtualAddress(gap)))
        try machine.check()
    }

    @Test(arguments: sizes, [false, true])
    func useAfterFree(size: UInt, isWrite: Bool) throws {
        let machine = GuardedMachine()
        let object = try #require(machine.kmalloc(size))
        let slot = slot(object, machine)
        #expect(machine.write(object) == nil)
        machine.kfree(object)
        for offset in [0, size / 2, size - 1] {
            let expected = GuardedError(
                .useAfterFree(isWrite: isWrite), at: VirtualAddress(object + offset), object: slot)
            #expect((isWrite ? machine.write(object + offset) : machine.read(object + offset)) == expected)
        }
        try machine.check()
    }

    @Test func doubleFree() throws {
        let machine = GuardedMachine()
        let object = try #require(machine.kmalloc(32))
        machine.kfree(object)
        machine.kfree(object)
        let violations = machine.violations()
        #expect(violations.map(\.kind) == [.doubleFree])
        let error = machine.diagnose(violations[0])
        #expect(error == GuardedError(.invalidFree, at: VirtualAddress(object), object: slot(object, machine)))
        #expect(machine.statistics.frees == 1)
        try machine.check()
    }

    /// Another CPU frees the object while the first is still about it: here, while the first reports what was written
    /// beside the object.
    @Test func secondFreeBeforeTheFirstHasEnded() throws {
        let machine = GuardedMachine()
        let object = try machine.object(32, atEnd: true)
        #expect(machine.write(object - 1) == nil)
        let before = machine.statistics.frees
        var isInside = false
        machine.machine.violationHandler = { _ in
            if isInside { return }
            isInside = true
            machine.kfree(object)
            #expect(machine.run { machine.pool.value.size(of: object, in: "ksize") } == nil)
        }
        machine.kfree(object)
        machine.machine.violationHandler = nil
        #expect(machine.violations().map(\.kind) == [.overrun, .doubleFree, .doubleFree])
        #expect(machine.statistics.frees == before + 1)
        try machine.check()
    }

    @Test func invalidAddressFree() throws {
        let machine = GuardedMachine()
        let object = try machine.object(32, atEnd: true)
        for offset in [1, 8, 31] as [UInt] { machine.kfree(object + offset) }
        // In the rest of its page, in the guard page behind it, and in a page that nothing was ever in.
        machine.kfree(object - 8)
        machine.kfree(object + 32)
        machine.kfree(machine.run { machine.pool.value.page(of: 15).rawValue })
        #expect(
            machine.violations().map(\.kind)
                == [.misalignedFree, .misalignedFree, .misalignedFree, .misalignedFree, .wildFree, .wildFree])
        machine.kfree(object)
        try machine.check()
    }

    /// On the side where nothing faults, a write is found when the object is freed: how many bytes, and which is first.
    @Test(arguments: [8, 32, 320, 2048] as [UInt], [false, true])
    func corruption(size: UInt, atEnd: Bool) throws {
        let machine = GuardedMachine()
        let object = try machine.object(size, atEnd: atEnd)
        let first = atEnd ? object - 3 : object + size
        #expect(machine.write(first) == nil)
        #expect(machine.write(first + 2) == nil)
        machine.kfree(object)
        let violation = try #require(machine.violations().first)
        #expect(violation.kind == .overrun && violation.address == first && violation.origin == object)
        #expect(violation.byteCount == 2 && violation.value == 0x42)
        let expected = GuardedError(
            .corruption, at: VirtualAddress(first), object: slot(object, machine), distance: atEnd ? 3 : 1)
        #expect(machine.diagnose(violation) == expected)
        // It is free all the same.
        #expect(machine.statistics.objectsInUse == 0)
        try machine.check()
    }

    /// Each single byte beside an object is looked at.
    @Test func everyByteBesideAnObjectCounts() throws {
        let machine = GuardedMachine()
        let request = GuardedRequest(byteCount: 37, alignment: 8, cacheName: CacheName("odd"))
        for offset in stride(from: 0, to: 4096 as UInt, by: 5) {
            let object = try #require(machine.allocate(request))
            let address = (object & ~4095) + offset
            #expect(machine.write(address, UInt8(offset & 0x7f)) == nil)
            machine.kfree(object)
            let isInside = (object..<object + 37).contains(address)
            #expect(machine.violations().map(\.address) == (isInside ? [] : [address]))
        }
        try machine.check()
    }

    /// Where alignment leaves a gap at the page's end, a read of it goes unnoticed, and a write until the free.
    @Test func kmallocAlignedOutOfBounds() throws {
        let machine = GuardedMachine()
        let request = GuardedRequest(byteCount: 73, alignment: 8, cacheName: CacheName("test"))
        var object: UInt = 0
        repeat {
            if object != 0 { machine.kfree(object) }
            object = try #require(machine.allocate(request))
        } while object & 4095 == 0
        #expect(object & 7 == 0 && object & 4095 == 4016)
        #expect(machine.read(object + 73) == nil)
        #expect(machine.read(object + 80)?.kind == .outOfBounds(isWrite: false))
        #expect(machine.write(object + 73) == nil)
        machine.kfree(object)
        #expect(machine.violations().map(\.kind) == [.overrun])
        try machine.check()
    }

    /// An object ends where the bytes end that were asked for, not where its size class does.
    @Test(arguments: [1, 13, 73, 1000, 4095] as [UInt])
    func bytesThatWereNotAskedFor(size: UInt) throws {
        let machine = GuardedMachine()
        for _ in 0..<10 {
            let object = try #require(machine.kmalloc(size))
            #expect(machine.ksize(object) == size && machine.krealloc(object, size) == object)
            #expect(machine.write(object + size - 1) == nil)
            let isAtPageEnd = (object + size) & 4095 == 0
            #expect((machine.write(object + size) == nil) == !isAtPageEnd)
            machine.kfree(object)
            #expect(machine.violations().map(\.kind) == (isAtPageEnd ? [] : [.overrun]))
        }
        try machine.check()
    }

    @Test func invalidAccess() throws {
        let machine = GuardedMachine()
        let never = machine.run { machine.pool.value.page(of: 7).rawValue }
        #expect(machine.read(never + 10)?.kind == .invalidAccess(isWrite: false))
        #expect(machine.write(never + 4096)?.kind == .invalidAccess(isWrite: true))
        // Not the pool's: beyond its ends, and an access that the page forbids.
        let range = machine.pool.value.range
        #expect(machine.read(range.end.rawValue) == nil && machine.read(range.start.rawValue - 1) == nil)
        let object = try #require(machine.kmalloc(64))
        _ = try? machine.run { try machine.machine.fetch(VirtualAddress(object)) }
        #expect(machine.run { machine.pool.value.diagnose(VirtualAddress(object), access: .protection) } == nil)
        machine.kfree(object)
        try machine.check()
    }

    @Test func krealloc() throws {
        let machine = GuardedMachine()
        let object = try machine.object(64, atEnd: true)
        #expect(machine.ksize(object) == 64)
        #expect(machine.krealloc(object, 20) == object && machine.krealloc(object, 64) == object)
        #expect(machine.krealloc(object, 0) == 16)
        #expect(machine.read(object)?.kind == .useAfterFree(isWrite: false))
        // What is free has no size, and stays what it is.
        #expect(machine.ksize(object) == 0 && machine.krealloc(object, 100) == nil)
        #expect(machine.violations().map(\.kind) == [.doubleFree, .doubleFree])
        let other = try #require(machine.kmalloc(64))
        #expect(machine.ksize(other + 8) == 0)
        #expect(machine.violations().map(\.kind) == [.misalignedFree])
        machine.kfree(other)
        try machine.check()
    }

    /// Giving slabs back touches no guarded object, and objects of both kinds are freed side by side.
    @Test func shrinkAndFreeBulk() throws {
        let machine = GuardedMachine(objects: 8, interval: 3)
        let objects = try (0..<24).map { try #require(machine.kmalloc(UInt($0 * 40 + 8))) }
        let guarded = objects.filter { machine.isGuarded($0) }
        #expect(guarded.count == 8)
        _ = machine.run { machine.below.kmalloc.value.shrink() }
        for object in guarded { #expect(machine.write(object) == nil) }
        for object in objects { machine.kfree(object) }
        #expect(machine.statistics.objectsInUse == 0)
        try machine.check()
    }
}
