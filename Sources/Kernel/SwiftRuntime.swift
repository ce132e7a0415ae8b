import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

/// What the Embedded Swift runtime's allocations stand on: kmalloc, seen through the object alias.
///
/// The runtime takes an object at an address with bit 63 set for an immortal one and never frees it, so that what it is
/// given must lie in the lower half: the supervisor-only alias of the direct map's first 512 GiB.
enum SwiftRuntime {
    nonisolated(unsafe) private static var liveObjects = 0
    nonisolated(unsafe) private static var totalAllocations: UInt = 0

    /// Objects allocated and not yet freed.
    static var objectCount: Int { unsafe liveObjects }

    /// Objects ever allocated.
    static var allocationCount: UInt { unsafe totalAllocations }

    /// Distance from the direct map to the alias, modulo 2 to the 64th.
    static var aliasDistance: UInt {
        UInt(x86_load64(object_alias_base_address()) &- x86_load64(direct_map_base_address()))
    }

    static func allocate(_ byteCount: UInt, alignment: UInt) -> UInt {
        guard let memory = unsafe Quarry.memory else { FatalReport.panic("a Swift object before kmalloc is there") }
        guard let object = memory.value.allocateSwiftObject(byteCount: byteCount, alignment: alignment) else {
            // The runtime cannot go on without: code that can calls kmalloc, which answers nil.
            OutOfMemoryReport.end(byteCount: byteCount, alignment: alignment)
        }
        unsafe liveObjects += 1
        unsafe totalAllocations += 1
        return object
    }

    static func free(_ address: UInt) {
        guard address != 0, let memory = unsafe Quarry.memory else { return }
        unsafe liveObjects -= 1
        memory.value.freeSwiftObject(address)
    }
}

@c(swift_runtime_allocate)
func swiftRuntimeAllocate(size: UInt, alignment: UInt) -> UInt {
    SwiftRuntime.allocate(size, alignment: alignment)
}

@c(swift_runtime_free)
func swiftRuntimeFree(object: UInt) { SwiftRuntime.free(object) }

@c(swift_runtime_put)
func swiftRuntimePut(byte: Int32) { SerialPort.write(UInt8(truncatingIfNeeded: byte)) }

@c(swift_runtime_stack_damaged)
func swiftRuntimeStackDamaged() -> Never {
    FatalReport.panic("stack damaged: a function's canary was overwritten", .memoryCorruption)
}
