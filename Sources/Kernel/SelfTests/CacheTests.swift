import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

/// Caches, typed caches, pools and partitions on real memory.
enum CacheTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("caches: objects, bulk calls, wrong frees and destruction") { objects(memory) }
        SelfTest.run("typed caches: values end with their boxes") { values(memory) }
        SelfTest.run("memory pools and partitions") { reserves(memory) }
        SelfTest.run("kfree_sensitive wipes what it frees") { sensitive(memory) }
    }

    private static func objects(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        let free = VmallocTests.settledFreeFrames(memory)
        let constructor: ObjectConstructor = { object in x86_store64(UInt(bitPattern: object), 0x1234) }
        guard
            let cache = unsafe SelfTest.require(
                kmalloc.value.kmem_cache_create("self-test", 200, 0, .hardwareCacheAlign, constructor), "a cache")
        else { return }
        var chain: UInt = 0
        for _ in 0..<500 {
            guard let object = unsafe kmalloc.value.kmem_cache_alloc(cache, .kernel) else { break }
            let address = UInt(bitPattern: object)
            SelfTest.expect(x86_load64(address) == 0x1234 && address & 63 == 0, "an object is aligned and set up")
            x86_store64(address + 8, UInt64(chain))
            chain = address
        }
        PageFrameTests.expect(.wrongCache) {
            // From a slab: what says where it must lie is not guarded.
            if let other = unsafe kmalloc.value.kmalloc(200, .kernel | .thisNode) {
                unsafe kmalloc.value.kmem_cache_free(cache, other)
                unsafe kmalloc.value.kfree(other)
            }
        }
        PageFrameTests.expect(.objectInUse) { kmalloc.value.kmem_cache_destroy(cache) }
        var count: UInt = 0
        while chain != 0 {
            let next = UInt(x86_load64(chain + 8))
            unsafe kmalloc.value.kmem_cache_free(cache, UnsafeMutableRawPointer(bitPattern: chain))
            chain = next
            count += 1
        }
        SelfTest.expect(count, equals: 500, "all objects were had")
        kmalloc.value.kmem_cache_destroy(cache)
        PageFrameTests.expect(.doubleFree) { kmalloc.value.kmem_cache_destroy(cache) }
        PageFrameTests.checkInvariants(memory)
        VmallocTests.expectFree(memory, free)
    }

    private struct Session: ~Copyable {
        nonisolated(unsafe) static var alive: UInt = 0
        var number: UInt

        init(_ number: UInt) {
            self.number = number
            unsafe Session.alive += 1
        }

        deinit { unsafe Session.alive -= 1 }
    }

    private struct Refusal: Error {}

    private static func values(_ memory: Memory) {
        let free = VmallocTests.settledFreeFrames(memory)
        let swiftObjects = SwiftRuntime.allocationCount
        do throws(CacheError) {
            let sessions = try ObjectCache<Session, X86Platform>("session", in: memory.value.kmalloc)
            useSessions(sessions, memory)
        } catch {
            SelfTest.expect(false, "a typed cache")
        }
        SelfTest.expect(unsafe Session.alive, equals: 0, "every value has ended")
        SelfTest.expect(SwiftRuntime.allocationCount, equals: swiftObjects, "no Swift object was made")
        VmallocTests.expectFree(memory, free)
    }

    @inline(never)
    private static func useSessions(_ sessions: borrowing ObjectCache<Session, X86Platform>, _ memory: Memory) {
        guard var first = sessions.make({ Session(7) }), let second = sessions.make({ Session(8) }) else {
            SelfTest.expect(false, "memory for two values")
            return
        }
        first.value.number += 1
        SelfTest.expect(first.value.number, equals: 8, "a value can be changed in its place")
        let taken = second.take()
        SelfTest.expect(taken.number, equals: 8, "a value can be taken out")
        SelfTest.expect(unsafe Session.alive, equals: 2, "a value that is taken out has not ended")
        do throws(Refusal) {
            if case .some = try sessions.make({ () throws(Refusal) in throw Refusal() }) {
                SelfTest.expect(false, "a value that failed")
            }
            SelfTest.expect(false, "the failure of an initialiser is passed on")
        } catch {
            // What waits in a quarantine is not free yet.
            memory.value.kmalloc.value.shrink()
            let figures = sessions.statistics
            SelfTest.expect(figures.activeObjects + figures.guardedObjects, equals: 1, "and gives its memory back")
        }
    }

    private static func reserves(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        let free = VmallocTests.settledFreeFrames(memory)
        do throws(PoolError) {
            let pool = try MemoryPool(4, elementSize: 300, in: kmalloc)
            let element = unsafe pool.mempool_alloc(.kernel)
            SelfTest.expect(unsafe element != nil, "an element")
            unsafe pool.mempool_free(element)
            PageFrameTests.expect(.doubleFree) { unsafe pool.mempool_free(element) }
            SelfTest.expect(pool.mempool_resize(9), "a pool can be resized")
            SelfTest.expect(pool.reserved, equals: 9, "and then has as much in reserve")
        } catch {
            SelfTest.expect(false, "a pool")
        }
        if let storage = unsafe kmalloc.value.kmalloc(2048, .kernel) {
            do throws(PartitionError) {
                let room = unsafe UnsafeMutableRawBufferPointer(start: storage, count: 2048)
                let partition = try unsafe FixedPartition<X86Platform>(in: room, blockSize: 64, blockCount: 20)
                let block = unsafe partition.get()
                SelfTest.expect(partition.freeCount, equals: 19, "a block is taken")
                PageFrameTests.expect(.misalignedFree) { _ = unsafe partition.put(block.map { unsafe $0 + 8 }) }
                SelfTest.expect(unsafe partition.put(block), "a block is put back")
                PageFrameTests.expect(.doubleFree) { _ = unsafe partition.put(block) }
            } catch {
                SelfTest.expect(false, "a partition")
            }
            unsafe kmalloc.value.kfree(storage)
        }
        VmallocTests.expectFree(memory, free)
    }

    private static func sensitive(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        guard let object = unsafe SelfTest.require(kmalloc.value.kmalloc(512, .kernel), "an object") else { return }
        let address = UInt(bitPattern: object)
        for offset in stride(from: UInt(0), to: 512, by: 8) { x86_store64(address + offset, .max) }
        unsafe kmalloc.value.kfree_sensitive(object)
        // A guarded object's page is not there any more. Elsewhere there are zeroes, or a pattern over them.
        if memory.value.layout.areas.contains(VirtualAddress(address)) { return }
        var left = 0
        for offset in stride(from: UInt(0), to: 512, by: 8) where x86_load64(address + offset) == .max { left += 1 }
        SelfTest.expect(left == 0, "nothing is left of what was there")
    }
}
