import MemoryPrimitives
import TableSequence
import X86

/// Accesses that may fault, for tests of what pages allow: a fault is their answer.
enum FaultProbe: TableSequenceMachine {
    /// This CPU.
    case here

    func load(_ address: VirtualAddress) -> UInt64? {
        var value: UInt64 = 0
        // A fault at the address is answered; the value is a local one.
        let isDone = unsafe withUnsafeMutablePointer(to: &value) { value in
            unsafe probe_load(address.rawValue, value)
        }
        return isDone ? value : nil
    }

    func store(_ word: UInt64, to address: VirtualAddress) -> Bool { probe_store(address.rawValue, word) }

    func fetch(_ address: VirtualAddress) -> Bool { probe_fetch(address.rawValue) }

    /// Lets a probe go on, whose access has faulted. - Returns: false for the faults of others, with nothing changed.
    static func answer(_ frame: UnsafeMutablePointer<ExceptionFrame>, at address: UInt) -> Bool {
        let rip = unsafe frame.pointee.rip
        if rip == probe_load_access_address() || rip == probe_store_access_address() {
            unsafe frame.pointee.rip = probe_failed_address()
            return true
        }
        // The call has pushed where it goes back to, on the stack that the fault came from.
        guard rip == address, unsafe frame.pointee.errorCode & 16 != 0, !StackReport.isGuarding(address),
            unsafe x86_load64(frame.pointee.rsp) == UInt64(probe_fetch_return_address())
        else { return false }
        unsafe frame.pointee.rsp += 8
        unsafe frame.pointee.rip = probe_failed_address()
        return true
    }
}
