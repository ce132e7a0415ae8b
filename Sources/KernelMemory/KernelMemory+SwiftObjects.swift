import MemoryPrimitives
import PageFrames
import Slab

// What the Embedded Swift runtime's `posix_memalign` and `free` stand on: kmalloc, seen through the object alias.
//
// The runtime takes an object at an address with bit 63 set for an immortal one and never frees it, so that what it is given
// must lie in the lower half: the layout's supervisor-only alias of the direct map.
extension KernelMemory {
    /// Memory for an object of the Swift runtime, by its address in the object alias.
    ///
    /// The runtime cannot go on where `posix_memalign` has nothing to give: the caller ends the kernel then. Code that can go on
    /// calls kmalloc. Contexts as for `kmalloc` with `.kernel`: waiting where that is allowed.
    /// - Parameters:
    ///   - byteCount: more than 0.
    ///   - alignment: a power of two, in bytes.
    /// - Returns: nil where there is no memory, or none that the alias shows.
    /// - Complexity: that of kmalloc.
    @inline(__always)
    public func allocateSwiftObject(byteCount: UInt, alignment: UInt) -> UInt? {
        // Placed, though there may be but one node: not a guarded object, which the alias does not show.
        let flags: AllocationFlags = .kernel | .thisNode
        guard let object = unsafe kmalloc.value.alignedAllocate(byteCount, alignment: alignment, flags: flags) else {
            return nil
        }
        let distance = UInt(bitPattern: object) &- directMap.base
        guard distance < layout.objectAlias.byteCount else {
            // Allocated just now.
            unsafe kmalloc.value.free(object)
            return nil
        }
        return layout.objectAlias.start.rawValue &+ distance
    }

    /// Gives back what `allocateSwiftObject` returned. Another address is a violation, as for kfree.
    /// - Parameter address: 0 for nothing at all.
    @inline(__always)
    public func freeSwiftObject(_ address: UInt) {
        if address == 0 { return }
        let object = address &- layout.objectAlias.start.rawValue &+ directMap.base
        // Who calls has no other reference to it.
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(bitPattern: object))
    }
}
