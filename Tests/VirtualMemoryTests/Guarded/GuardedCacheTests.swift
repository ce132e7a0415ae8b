import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing

@testable import VirtualMemory

/// Guarded objects of caches that users make.
@Suite struct GuardedCacheTests {
    private typealias Cache = CacheReference<SimulatedPlatform>

    private func make(_ machine: GuardedMachine, _ name: StaticString = "own", _ size: UInt = 100) throws -> Cache {
        try machine.run { try machine.below.kmalloc.value.makeCache(name, objectSize: size, flags: .noMerge) }
    }

    private func allocate(_ cache: Cache, _ machine: GuardedMachine, _ flags: AllocationFlags = .kernel) -> UInt? {
        machine.run { cache.allocate(flags: flags).map { UInt(bitPattern: $0) } }
    }

    private func free(_ object: UInt, _ cache: Cache, _ machine: GuardedMachine) {
        machine.run { cache.free(UnsafeMutableRawPointer(bitPattern: object)) }
    }

    private func destroy(_ cache: Cache, _ machine: GuardedMachine) -> Bool {
        machine.run { machine.below.kmalloc.value.destroyCache(cache) }
    }

    private func count(_ cache: Cache, _ machine: GuardedMachine) -> Int {
        machine.run { cache.statistics.guardedObjects }
    }

    private func kinds(_ machine: GuardedMachine) -> [MemoryViolation.Kind] { machine.violations().map(\.kind) }

    /// Of what kmalloc and caches hand out, every Nth object is guarded.
    @Test func cachesTakeTheirTurn() throws {
        let machine = GuardedMachine(objects: 64, interval: 3)
        let cache = try make(machine)
        let objects = try (1...30).map { try #require($0 % 2 == 0 ? machine.kmalloc(64) : allocate(cache, machine)) }
        #expect(objects.map(machine.isGuarded) == (1...30).map { $0 % 3 == 0 })
        for (index, object) in objects.enumerated() {
            if index % 2 == 1 { machine.kfree(object) } else { free(object, cache, machine) }
        }
        #expect(destroy(cache, machine))
        try machine.check()
    }

    /// Each error that the pool finds it finds with these objects.
    @Test func errorsAreFound() throws {
        let machine = GuardedMachine()
        let cache = try make(machine, "own", 96)
        var ends: Set<Bool> = []
        for _ in 0..<40 {
            let object = try #require(allocate(cache, machine, .kernel | .zero))
            try #require(machine.isGuarded(object))
            #expect(machine.write(object + 95) == nil)
            if object & 4095 == 0 {
                ends.insert(false)
                #expect(machine.read(object - 1)?.kind == .outOfBounds(isWrite: false))
                machine.write(object + 96)
            } else {
                ends.insert(true)
                #expect(machine.write(object + 96)?.kind == .outOfBounds(isWrite: true))
                machine.write(object - 1)
            }
            free(object, cache, machine)
            #expect(kinds(machine) == [.overrun])
            #expect(machine.read(object)?.kind == .useAfterFree(isWrite: false))
        }
        #expect(ends == [false, true])
        #expect(destroy(cache, machine))
        try machine.check()
    }

    /// Wrong frees are reported, change nothing, and name the call.
    @Test func wrongFrees() throws {
        let machine = GuardedMachine()
        let cache = try make(machine)
        let other = try make(machine, "other")
        let object = try #require(allocate(cache, machine))
        free(object, other, machine)
        let violations = machine.violations()
        let violation = try #require(violations.first)
        #expect(violations.count == 1 && violation.kind == .wrongCache && violation.address == object)
        #expect("\(violation.call)" == "kmem_cache_free")
        #expect(machine.report(try #require(machine.diagnose(violation))).contains("size=100, cache=own\n"))
        free(object + 8, cache, machine)
        #expect(kinds(machine) == [.misalignedFree])
        free(object & ~4095 + 4096, cache, machine)
        #expect(kinds(machine) == [.wildFree])
        #expect(machine.write(object) == nil && count(cache, machine) == 1)
        free(object, cache, machine)
        free(object, cache, machine)
        // Free is free, whosoever it was.
        free(object, other, machine)
        #expect(kinds(machine) == [.doubleFree, .doubleFree])
        let own = try #require(machine.kmalloc(100))
        free(own, cache, machine)
        #expect(kinds(machine) == [.wrongCache])
        machine.kfree(own)
        let mine = try #require(allocate(cache, machine))
        machine.kfree(mine)
        #expect(machine.statistics.objectsInUse == 0 && count(cache, machine) == 0)
        #expect(destroy(cache, machine) && destroy(other, machine))
        try machine.check()
    }

    /// What is left when its cache is destroyed is reported as the pool's reports are, and stays.
    @Test func objectsThatAreLeft() throws {
        let machine = GuardedMachine()
        let cache = try make(machine)
        let object = try #require(allocate(cache, machine))
        #expect(!destroy(cache, machine))
        let violations = machine.violations()
        let violation = try #require(violations.first)
        #expect(violations.count == 1 && violation.kind == .objectInUse && violation.address == object)
        let text = machine.report(try #require(machine.diagnose(violation)))
        #expect(text.contains("BUG: KFENCE: object in use in kmem_cache_destroy\n\nObject in use at "))
        #expect(text.contains("size=100, cache=own\n"))
        #expect(machine.write(object) == nil)
        free(object, cache, machine)
        #expect(destroy(cache, machine))
        try machine.check()
    }

    /// Any order of calls on several caches, against a list of what is allocated.
    @Test func randomOperations() throws {
        let machine = GuardedMachine(objects: 10, interval: 2)
        var generator = SeededGenerator.fromEnvironment(default: 81)
        let caches = [try make(machine, "a", 24), try make(machine, "b", 200), try make(machine, "c", 4096)]
        var live: [(object: UInt, cache: Int)] = []
        for step in 0..<2000 {
            let cache = Int.random(in: 0..<3, using: &generator)
            switch UInt.random(in: 0..<12, using: &generator) {
            case 0..<5:
                guard live.count < 60, let object = allocate(caches[cache], machine) else { break }
                live.append((object, cache))
            case 5..<9:
                guard let index = live.indices.randomElement(using: &generator) else { break }
                let (object, owner) = live.remove(at: index)
                if step % 5 == 0 { machine.kfree(object) } else { free(object, caches[owner], machine) }
            case 9:
                guard let (object, owner) = live.randomElement(using: &generator) else { break }
                if owner == cache { break }
                free(object, caches[cache], machine)
                #expect(kinds(machine) == [.wrongCache])
            case 10:
                let left = live.filter { $0.cache == cache }
                if left.isEmpty { break }
                #expect(!destroy(caches[cache], machine))
                let found = Set(machine.violations().map(\.address).filter(machine.isGuarded))
                #expect(found == Set(left.map(\.object).filter(machine.isGuarded)))
            default: _ = machine.run { caches[cache].shrink() }
            }
            for index in 0..<3 {
                let mine = live.count { $0.cache == index && machine.isGuarded($0.object) }
                #expect(count(caches[index], machine) == mine)
            }
            if step % 100 == 0 { try machine.check() }
        }
        for (object, owner) in live { free(object, caches[owner], machine) }
        for cache in caches { #expect(destroy(cache, machine)) }
        #expect(machine.statistics.objectsInUse == 0 && machine.statistics.allocations > 100)
        try machine.check()
    }
}
