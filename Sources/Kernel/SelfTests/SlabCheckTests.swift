import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

/// The checks of objects that were chosen at boot, each tried on an object of 64 bytes.
enum SlabCheckTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    /// Never a guarded object (`kfence.sample_interval=`), which has neither red zones nor poison.
    private static var fromSlab: AllocationFlags { .kernel | .thisNode }

    static func run(_ memory: Memory) {
        let flags = chosen(memory)
        SelfTest.run("slab checks: nothing is found where nothing is wrong") { nothing(memory) }
        if flags.contains(.redZone) {
            SelfTest.run("slab checks: a write beyond an object is found and made good") { redZone(memory) }
        }
        if flags.contains(.poison) {
            SelfTest.run("slab checks: a write to a free object is found and made good") { poison(memory) }
        }
        if flags.contains(.failslab) {
            SelfTest.run("slab checks: an allocation fails on purpose, once") { failure(memory) }
        }
        if memory.value.kmalloc.value.quarantineFigures.objects > 0 {
            SelfTest.run("slab checks: a freed object waits, and leaves under pressure") { quarantine(memory) }
        }
    }

    /// What is done for objects of 64 bytes.
    private static func chosen(_ memory: Memory) -> CacheFlags {
        var flags = CacheFlags.none
        memory.value.kmalloc.value.forEachCache { cache in
            if cache.name.isEqual(to: "kmalloc-64") { flags = cache.flags }
        }
        return flags
    }

    private static func nothing(_ memory: Memory) {
        SelfTest.expect(memory.value.kmalloc.value.validate(), equals: 0, "no damage")
    }

    private static func redZone(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        guard let object = unsafe SelfTest.require(kmalloc.value.kmalloc(60, fromSlab), "an object") else { return }
        let address = UInt(bitPattern: object)
        damage(memory, address &- 1)
        damage(memory, address &+ 60)
        damage(memory, address &+ 64)
        unsafe kmalloc.value.kfree(object)
        nothing(memory)
    }

    /// Writes a byte that nobody may write.
    private static func damage(_ memory: Memory, _ place: UInt) {
        let old = x86_load8(place)
        x86_store8(place, 0x41)
        let violation = ViolationReport.expect { memory.value.kmalloc.value.validate() }
        SelfTest.expect(violation?.address ?? 0, equals: place, "the byte is named")
        SelfTest.expect(x86_load8(place) == old, "the byte is restored")
    }

    private static func poison(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        guard let object = unsafe SelfTest.require(kmalloc.value.kmalloc(64, fromSlab), "an object") else { return }
        // Another keeps the slab from being given back.
        let other = unsafe kmalloc.value.kmalloc(64, fromSlab)
        unsafe kmalloc.value.kfree(object)
        let address = UInt(bitPattern: object)
        SelfTest.expect(x86_load64(address) == 0x6b6b_6b6b_6b6b_6b6b, "a free object is filled")
        SelfTest.expect(x86_load8(address + 63) == 0xa5, "the last byte is another")
        x86_store8(address + 9, 0x42)
        let violation = ViolationReport.expect { kmalloc.value.validate() }
        SelfTest.expect(violation?.kind == .writeAfterFree, "the write is found")
        SelfTest.expect(violation?.address ?? 0, equals: address + 9, "the byte is named")
        unsafe kmalloc.value.kfree(other)
        nothing(memory)
    }

    private static func failure(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        kmalloc.value.failAllocation(nth: 2)
        let first = unsafe kmalloc.value.kmalloc(64, fromSlab)
        SelfTest.expect(unsafe first != nil, "the first succeeds")
        SelfTest.expect(unsafe kmalloc.value.kmalloc(64, fromSlab) == nil, "the second fails")
        unsafe kmalloc.value.kfree(first)
    }

    private static func quarantine(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        guard let object = unsafe SelfTest.require(kmalloc.value.kmalloc(64, fromSlab), "an object") else { return }
        let before = kmalloc.value.quarantineFigures.bytes
        unsafe kmalloc.value.kfree(object)
        SelfTest.expect(kmalloc.value.quarantineFigures.bytes > before, "a freed object waits")
        PageFrameTests.expect(.doubleFree) { unsafe kmalloc.value.kfree(object) }
        kmalloc.value.shrink()
        SelfTest.expect(kmalloc.value.quarantineFigures.objects, equals: 0, "none is left")
    }
}
