import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Synchronization
import TestSupport
import Testing

@testable import Slab

@Suite struct CacheConcurrencyTests {
    /// Objects of one cache, allocated by some CPUs and freed by others, many at once and one by one.
    @Test func objectsFreedByOtherCPUs() throws {
        let test = TestMachine(cpuCount: 4, options: PageFrameOptions())
        let cache = try test.run { try test.kmalloc.makeCache("shared", 80) }
        let exchange = HostLock<[UInt]>([])
        let damaged = Atomic<Int>(0)
        let seeded = SeededGenerator.fromEnvironment(default: 78)
        test.machine.onAllCPUs { cpu in
            var generator = seeded.forCPU(cpu)
            for step in 0..<1500 {
                if cpu < 2 {
                    guard let objects = cache.allocateAll(.random(in: 1...20, using: &generator)) else { continue }
                    for object in objects { object.storeBytes(of: UInt64(object.address), as: UInt64.self) }
                    exchange.withLock { $0 += objects.map(\.address) }
                    if step % 100 == 0 { cache.shrink() }
                    continue
                }
                let taken = exchange.withLock { all in
                    let count = min(all.count, 15)
                    defer { all.removeLast(count) }
                    return Array(all.suffix(count))
                }
                let objects = taken.map { UnsafeMutableRawPointer(bitPattern: $0)! }
                for object in objects where object.load(as: UInt64.self) != UInt64(object.address) {
                    damaged.add(1, ordering: .relaxed)
                }
                if step % 2 == 0 { cache.freeAll(objects) } else { for object in objects { cache.free(object) } }
            }
        }
        #expect(damaged.load(ordering: .relaxed) == 0)
        try test.run {
            cache.freeAll(exchange.withLock { $0 }.map { UnsafeMutableRawPointer(bitPattern: $0) })
            #expect(test.kmalloc.destroyCache(cache))
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// Some CPUs make caches, use them and end them, while others walk through all there are.
    @Test func cachesComeAndGoWhileOthersShrink() throws {
        let test = TestMachine(cpuCount: 4, options: PageFrameOptions())
        let count = test.kmalloc.cacheCount
        let failed = Atomic<Int>(0)
        test.machine.onAllCPUs { cpu in
            for step in 0..<300 {
                switch cpu {
                case 0:
                    test.kmalloc.shrink()
                case 1:
                    _ = test.kmalloc.scan(test.kmalloc.count(for: .kernel) / 2 + 1, for: .kernel)
                    _ = test.kmalloc.statistics.count
                default:
                    guard let cache = try? test.kmalloc.makeCache(UInt(700 + step % 3 * 100)),
                        let objects = cache.allocateAll(30)
                    else {
                        failed.add(1, ordering: .relaxed)
                        continue
                    }
                    cache.freeAll(objects)
                    // The last of those who share it may find what another has just freed in a magazine that is held.
                    if !test.kmalloc.destroyCache(cache) { failed.add(1, ordering: .relaxed) }
                }
            }
        }
        #expect(failed.load(ordering: .relaxed) == 0)
        try test.run {
            #expect(test.kmalloc.cacheCount == count)
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// One pool, many users: never more elements than there are, and the reserve is whole in the end.
    @Test func aPoolOfAllCPUs() throws {
        let test = TestMachine(cpuCount: 4, options: PageFrameOptions())
        try test.run {
            let pool = PoolHandle(try TestedPool(8, elementSize: 120, in: test.kmalloc.target))
            // The threads are not to be the last to hold it.
            nonisolated(unsafe) unowned let shared = pool
            let damaged = Atomic<Int>(0)
            test.machine.onAllCPUs { cpu in
                for _ in 0..<2000 {
                    guard let element = shared.allocate(.atomic) else { continue }
                    element.storeBytes(of: UInt64(cpu), as: UInt64.self)
                    if element.load(as: UInt64.self) != UInt64(cpu) { damaged.add(1, ordering: .relaxed) }
                    shared.free(element)
                }
            }
            #expect(damaged.load(ordering: .relaxed) == 0)
            #expect(withExtendedLifetime(pool) { pool.reserved } == 8)
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }
}
