import MemoryPrimitives
import X86

/// What is measured, as each call finds it anew.
///
/// A caller elsewhere in the kernel has nothing of the allocator's in registers. In a loop around inlined calls the
/// compiler would load that once, before the first reading of the counter.
struct Measured<Value: ~Copyable> {
    private let address: UInt

    init(_ value: Permanent<Value>) { address = unsafe UInt(bitPattern: value.address) }

    @inline(__always)
    var found: Permanent<Value> {
        // The address that init got, of what stays for good.
        unsafe Permanent(to: UnsafeMutablePointer(bitPattern: x86_hide(address)).unsafelyUnwrapped)
    }
}
