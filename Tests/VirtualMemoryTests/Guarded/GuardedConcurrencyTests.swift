import Dispatch
import MemoryPrimitives
import SimulatedMachine
import Slab
import Synchronization
import Testing

@testable import VirtualMemory

@Suite struct GuardedConcurrencyTests {
    /// CPUs take objects, stamp them through the MMU, and free each other's.
    @Test func severalCPUs() throws {
        let cpus = 4
        let machine = GuardedMachine(objects: 24, cpuCount: cpus)
        let exchange = Mutex<[(address: UInt, stamp: UInt64)]>([])
        let damaged = Atomic<Int>(0)
        let seeded = SeededGenerator.fromEnvironment(default: 9)
        DispatchQueue.concurrentPerform(iterations: cpus) { cpu in
            var generator = seeded.forCPU(cpu)
            machine.machine.run(onCPU: cpu) {
                let kmalloc = machine.below.kmalloc
                for _ in 0..<1500 {
                    if Bool.random(using: &generator) {
                        guard let object = kmalloc.value.allocate(UInt.random(in: 8...4096, using: &generator)) else {
                            continue
                        }
                        let address = UInt(bitPattern: object)
                        let stamp = generator.next()
                        if machine.isGuarded(address) {
                            try? machine.machine.store(stamp, to: VirtualAddress(address))
                        }
                        exchange.withLock { $0.append((address, stamp)) }
                    } else {
                        guard let (address, stamp) = exchange.withLock({ $0.popLast() }) else { continue }
                        if machine.isGuarded(address) {
                            let found = try? machine.machine.load(VirtualAddress(address), as: UInt64.self)
                            if found != stamp { damaged.add(1, ordering: .relaxed) }
                        }
                        kmalloc.value.free(UnsafeMutableRawPointer(bitPattern: address))
                    }
                }
            }
        }
        #expect(damaged.load(ordering: .relaxed) == 0)
        for (address, _) in exchange.withLock({ $0 }) { machine.kfree(address) }
        #expect(machine.statistics.objectsInUse == 0)
        try machine.check()
    }

    /// CPUs take objects of one cache and free each other's: the cache's count is right at the end, and it can end.
    @Test func severalCPUsAndOneCache() throws {
        let cpus = 4
        let machine = GuardedMachine(objects: 24, interval: 2, cpuCount: cpus)
        let kmalloc = machine.below.kmalloc
        let cache = try machine.run { try kmalloc.value.makeCache("shared", objectSize: 72, flags: .noMerge) }
        let exchange = Mutex<[UInt]>([])
        let seeded = SeededGenerator.fromEnvironment(default: 17)
        DispatchQueue.concurrentPerform(iterations: cpus) { cpu in
            var generator = seeded.forCPU(cpu)
            machine.machine.run(onCPU: cpu) {
                for _ in 0..<1500 {
                    if Bool.random(using: &generator), let object = cache.allocate() {
                        exchange.withLock { $0.append(UInt(bitPattern: object)) }
                    } else if let object = exchange.withLock({ $0.popLast() }) {
                        cache.free(UnsafeMutableRawPointer(bitPattern: object))
                    }
                }
            }
        }
        let left = exchange.withLock { $0 }
        #expect(machine.run { cache.statistics.guardedObjects } == left.count { machine.isGuarded($0) })
        machine.run { for object in left { cache.free(UnsafeMutableRawPointer(bitPattern: object)) } }
        #expect(machine.statistics.allocations > 100 && machine.statistics.objectsInUse == 0)
        #expect(machine.run { kmalloc.value.destroyCache(cache) })
        try machine.check()
    }

    /// Of several CPUs that free one object, one does; the others are reported.
    @Test func oneOfSeveralFrees() throws {
        let cpus = 4
        let machine = GuardedMachine(objects: 4, cpuCount: cpus)
        for _ in 0..<50 {
            let object = try #require(machine.kmalloc(64))
            DispatchQueue.concurrentPerform(iterations: cpus) { cpu in
                machine.machine.run(onCPU: cpu) {
                    machine.below.kmalloc.value.free(UnsafeMutableRawPointer(bitPattern: object))
                }
            }
            #expect(machine.violations().map(\.kind) == [.doubleFree, .doubleFree, .doubleFree])
        }
        #expect(machine.statistics.frees == 50)
        try machine.check()
    }
}
