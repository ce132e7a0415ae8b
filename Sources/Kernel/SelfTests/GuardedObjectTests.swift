import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory
import X86

/// Guarded objects with the CPU's own page tables; where the command line asks for them (`kfence.sample_interval=`).
enum GuardedObjectTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>
    typealias Pool = Permanent<GuardedPool<X86Platform>>

    static func run(_ memory: Memory) {
        guard let pool = memory.value.guardedPool else { return }
        SelfTest.run("guarded objects: they come at both ends of a page") { bothEnds(memory, pool) }
        SelfTest.run("guarded objects: kzalloc, ksize and krealloc") { variants(memory, pool) }
        SelfTest.run("guarded objects: wrong frees and writes beside them are reported") { misuse(memory, pool) }
        SelfTest.run("guarded objects: caches' objects, and destruction") { caches(memory, pool) }
        SelfTest.run("guarded objects: what would not do is not guarded") { unguarded(memory, pool) }
    }

    /// A guarded object of `size` bytes; what is not guarded on the way is given back.
    private static func object(
        _ size: UInt, _ memory: Memory, _ pool: Pool, _ flags: AllocationFlags = .kernel
    ) -> UInt? {
        for _ in 0..<10_000 {
            guard let object = unsafe memory.value.kmalloc.value.kmalloc(size, flags) else { break }
            if pool.value.range.contains(VirtualAddress(UInt(bitPattern: object))) { return UInt(bitPattern: object) }
            unsafe memory.value.kmalloc.value.kfree(object)
        }
        SelfTest.expect(false, "a guarded object")
        return nil
    }

    private static func free(_ object: UInt, _ memory: Memory) {
        unsafe memory.value.kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: object))
    }

    private static func bothEnds(_ memory: Memory, _ pool: Pool) {
        let inUse = pool.value.statistics.objectsInUse
        var atEnd = 0
        for number in 0..<40 {
            guard let object = object(96, memory, pool) else { return }
            for offset in 0..<UInt(96) { x86_store8(object + offset, UInt8(number)) }
            if object & 4095 != 0 { atEnd += 1 }
            SelfTest.expect(object & 4095 == 0 || (object + 96) & 4095 == 0, "an object stands at an end of its page")
            free(object, memory)
        }
        SelfTest.expect(atEnd > 0 && atEnd < 40, "chance decides at which")
        SelfTest.expect(pool.value.statistics.objectsInUse, equals: inUse, "every object is free again")
        PageFrameTests.checkInvariants(memory)
    }

    private static func variants(_ memory: Memory, _ pool: Pool) {
        guard let object = object(256, memory, pool, .kernel | .zero) else { return }
        var sum: UInt64 = 0
        for offset in stride(from: UInt(0), to: 256, by: 8) { sum |= x86_load64(object + offset) }
        SelfTest.expect(sum == 0, "kzalloc clears")
        let kmalloc = memory.value.kmalloc
        // The object, which kmalloc has just handed out.
        let pointer = unsafe UnsafeMutableRawPointer(bitPattern: object)
        SelfTest.expect(unsafe kmalloc.value.ksize(pointer), equals: 256, "ksize is the object's size")
        x86_store64(object + 96, 0x1122_3344)
        SelfTest.expect(unsafe kmalloc.value.krealloc(pointer, 100, .kernel) == pointer, "krealloc stays where it fits")
        guard let grown = unsafe SelfTest.require(kmalloc.value.krealloc(pointer, 3000, .kernel), "a larger object")
        else { return }
        SelfTest.expect(x86_load64(UInt(bitPattern: grown) + 96) == 0x1122_3344, "krealloc keeps the contents")
        unsafe kmalloc.value.kfree(grown)
        PageFrameTests.expect(.doubleFree) { free(object, memory) }
        PageFrameTests.checkInvariants(memory)
    }

    private static func misuse(_ memory: Memory, _ pool: Pool) {
        guard let object = object(64, memory, pool) else { return }
        PageFrameTests.expect(.misalignedFree) { free(object + 8, memory) }
        PageFrameTests.expect(.wildFree) { free((object & ~4095) + 4096, memory) }
        let beside = object & 4095 == 0 ? object + 70 : object - 70
        x86_store8(beside, 0x42)
        PageFrameTests.expect(.overrun) { free(object, memory) }
        PageFrameTests.expect(.doubleFree) { free(object, memory) }
        PageFrameTests.checkInvariants(memory)
    }

    private static func caches(_ memory: Memory, _ pool: Pool) {
        let kmalloc = memory.value.kmalloc
        guard
            let cache = unsafe SelfTest.require(
                kmalloc.value.kmem_cache_create("guarded", 100, 0, .noMerge, nil), "one"),
            let other = unsafe SelfTest.require(kmalloc.value.kmem_cache_create("other", 100, 0, .noMerge, nil), "two")
        else { return }
        var found: UnsafeMutableRawPointer?
        for _ in 0..<10_000 {
            guard let object = unsafe kmalloc.value.kmem_cache_alloc(cache, .kernel | .zero) else { break }
            if pool.value.range.contains(VirtualAddress(UInt(bitPattern: object))) {
                unsafe found = object
                break
            }
            unsafe kmalloc.value.kmem_cache_free(cache, object)
        }
        guard let object = unsafe SelfTest.require(found, "a guarded object of a cache") else { return }
        let address = UInt(bitPattern: object)
        SelfTest.expect(x86_load64(address) | x86_load64(address + 88) == 0, "a cache's object is cleared")
        x86_store64(address + 88, 7)
        PageFrameTests.expect(.wrongCache) { unsafe kmalloc.value.kmem_cache_free(other, object) }
        PageFrameTests.expect(.objectInUse) { kmalloc.value.kmem_cache_destroy(cache) }
        SelfTest.expect(x86_load64(address + 88) == 7, "and stays as it is")
        unsafe kmalloc.value.kmem_cache_free(cache, object)
        PageFrameTests.expect(.doubleFree) { unsafe kmalloc.value.kmem_cache_free(cache, object) }
        kmalloc.value.kmem_cache_destroy(cache)
        kmalloc.value.kmem_cache_destroy(other)
        PageFrameTests.checkInvariants(memory)
    }

    private static func unguarded(_ memory: Memory, _ pool: Pool) {
        let allocations = pool.value.statistics.allocations
        let kmalloc = memory.value.kmalloc
        for _ in 0..<20 {
            unsafe kmalloc.value.kfree(kmalloc.value.kmalloc(64, .kernel | .dma))
            unsafe kmalloc.value.kfree(kmalloc.value.kmalloc(8192, .kernel))
            unsafe kmalloc.value.kfree(kmalloc.value.kmalloc(100_000, .kernel))
        }
        SelfTest.expect(pool.value.statistics.allocations, equals: allocations, "none of these is guarded")
    }
}
