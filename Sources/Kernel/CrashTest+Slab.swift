import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

// Ends that misuse of kmalloc's objects brings about; most of them where `slub_debug` chooses the check that finds it.
extension CrashTest {
    /// A byte outside of an object is written, and the object freed.
    static func writeBeyondObject(_ memory: Memory, at offset: Int) {
        guard let object = unsafe memory.value.kmalloc.value.kmalloc(64, .kernel) else { return }
        x86_store8(UInt(bitPattern: object) &+ UInt(bitPattern: offset), 0x41)
        unsafe memory.value.kmalloc.value.kfree(object)
    }

    /// A free object is written, which the next walk over the slabs finds.
    static func writeToFreeObject(_ memory: Memory) {
        guard let object = unsafe memory.value.kmalloc.value.kmalloc(64, .kernel) else { return }
        unsafe memory.value.kmalloc.value.kfree(object)
        x86_store8(UInt(bitPattern: object) + 5, 0x42)
        memory.value.kmalloc.value.validate()
    }

    /// What a free object holds is poison, and an address made of it leads nowhere.
    static func readFreeObject(_ memory: Memory) {
        guard let object = unsafe memory.value.kmalloc.value.kmalloc(64, .kernel) else { return }
        x86_store64(UInt(bitPattern: object), UInt64(UInt(bitPattern: object)))
        unsafe memory.value.kmalloc.value.kfree(object)
        let next = UInt(x86_load64(UInt(bitPattern: object)))
        Log.info("the free object's first word is \(hex: next, digits: 16)")
        _ = x86_load8(next)
    }

    /// A page that is not kmalloc's.
    static func kfreePage(_ memory: Memory) {
        guard let frame = memory.value.frames.value.allocate(order: 0, flags: .kernel) else { return }
        let address = memory.value.directMap.virtualAddress(of: frame.address).rawValue
        unsafe memory.value.kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: address))
    }

    /// An object of one cache is freed to another of the same size.
    static func freeToAnotherCache(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        guard let own = unsafe kmalloc.value.kmem_cache_create("own", 64, 0, .noMerge, nil),
            let other = unsafe kmalloc.value.kmem_cache_create("other", 64, 0, .noMerge, nil)
        else { return }
        unsafe kmalloc.value.kmem_cache_free(other, kmalloc.value.kmem_cache_alloc(own, .kernel))
    }

    /// Takes objects until there are none, and asks once more.
    static func exhaustKmalloc(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        var count: UInt = 0
        while unsafe kmalloc.value.kmalloc(512, .kernel | .noWarn) != nil { count += 1 }
        if unsafe kmalloc.value.kmalloc(512, .kernel) != nil { return }
        FatalReport.panic("kmalloc(512): \(count) objects, then none", .outOfMemory)
    }
}
