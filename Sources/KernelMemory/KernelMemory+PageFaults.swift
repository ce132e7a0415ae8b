import MemoryPrimitives
import VirtualMemory

extension KernelMemory {
    /// Deals with a page fault, as every kernel's handler does: has a stack grow, or maps a page that is due at its first
    /// touch.
    ///
    /// To be called from the page-fault handler, which stands on a stack that is there already, with interrupts disabled; other
    /// locks may be held by who was interrupted (see `Vmalloc.handleFault`).
    /// - Parameters:
    ///   - address: what the access addressed, any byte (CR2).
    ///   - access: what it wanted: `FaultAccess(errorCode:)`.
    /// - Returns: true where the instruction is to run again; false where the access is an error, about which
    ///   `vmalloc.value.describe(address)` has more to say.
    /// - Complexity: O(log areas), and clearing one page.
    @inline(__always)
    public func resolvePageFault(at address: VirtualAddress, access: FaultAccess) -> Bool {
        switch stacks.value.grow(at: address, access: access) {
        case .grown, .spurious: return true
        case .reserveIsEmpty: return false
        case .notDue: break
        }
        switch vmalloc.value.handleFault(at: address, access: access) {
        case .resolved, .spurious: return true
        case .fatal: return false
        }
    }
}
