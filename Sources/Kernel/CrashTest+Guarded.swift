import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory
import X86

// Ends that guarded objects bring about; each needs `kfence.sample_interval=1`, so that the object is a guarded one.
extension CrashTest {
    private static var size: UInt { 64 }

    @inline(never)
    func misuseGuardedObject(_ memory: Memory) {
        let isAtEnd = self != .guardedUnderflow && self != .guardedCorruption
        guard let object = Self.guardedObject(memory, isAtEnd: isAtEnd) else { return }
        switch self {
        case .guardedOverflow: x86_store8(object + Self.size, 1)
        case .guardedUnderflow: _ = x86_load8(object - 1)
        case .guardedUseAfterFree:
            Self.free(object, memory)
            _ = x86_load8(object + 5)
        case .guardedDoubleFree:
            Self.free(object, memory)
            Self.free(object, memory)
        case .guardedInteriorFree: Self.free(object + 8, memory)
        case .guardedCorruption:
            // Within the page, where nothing faults: found when the object is freed.
            x86_store8(object + Self.size + 2, 0x42)
            x86_store8(object + Self.size + 4, 0x43)
            Self.free(object, memory)
        default: break
        }
    }

    @inline(never)
    private static func free(_ object: UInt, _ memory: Memory) {
        unsafe memory.value.kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: object))
    }

    /// A guarded object at one end of its page; chance decides which, so that this takes a few.
    @inline(never)
    private static func guardedObject(_ memory: Memory, isAtEnd: Bool) -> UInt? {
        guard let pool = memory.value.guardedPool else { return nil }
        for _ in 0..<100 {
            guard let object = unsafe memory.value.kmalloc.value.kmalloc(size, .kernel) else { return nil }
            let address = UInt(bitPattern: object)
            if pool.value.range.contains(VirtualAddress(address)), (address & 4095 != 0) == isAtEnd { return address }
            free(address, memory)
        }
        return nil
    }
}
