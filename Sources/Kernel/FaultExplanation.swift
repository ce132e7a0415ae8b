import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory
import X86

/// What an access that ends the kernel was, in the words of whoever looks for the mistake. Nothing here takes a lock or
/// can fault.
enum FaultExplanation {
    /// Writes what the access was, and to which object, after the lines with the error code and the address.
    @inline(never)
    static func write(_ address: UInt, _ error: PageFaultError) {
        if let verdict = verdict(address, error) { Log.fatal("this is \(verdict)") }
        writeFrame(at: address)
    }

    /// A stack-segment or general protection fault says no address: names a register that holds what is none.
    @inline(never)
    static func write(_ frame: UnsafePointer<ExceptionFrame>) {
        let f = unsafe frame.pointee
        if f.vector != 12 && f.vector != 13 || f.errorCode != 0 { return }
        func check(_ name: StaticString, _ value: UInt) {
            if KernelAddress.isCanonical(VirtualAddress(value)) { return }
            Log.fatal("\(name) \(hex: value, digits: 16): not a canonical address")
        }
        check("rip", f.rip)
        check("rax", f.rax)
        check("rbx", f.rbx)
        check("rcx", f.rcx)
        check("rdx", f.rdx)
        check("rsi", f.rsi)
        check("rdi", f.rdi)
        check("rbp", f.rbp)
        check("rsp", f.rsp)
        check("r8", f.r8)
        check("r9", f.r9)
        check("r10", f.r10)
        check("r11", f.r11)
        check("r12", f.r12)
        check("r13", f.r13)
        check("r14", f.r14)
        check("r15", f.r15)
    }

    private static func verdict(_ address: UInt, _ error: PageFaultError) -> StaticString? {
        if error.isReservedBit { return "a damaged page table" }
        if address < PageSize.byteCount {
            return error.isInstructionFetch ? "a call of a null pointer" : "a use of a null pointer"
        }
        if error.isProtection {
            // The kernel has no pages for user code: one in the lower half that is there is forbidden for its own sake.
            if isUserPage(address) {
                return error.isInstructionFetch ? "execution of user memory (SMEP)" : "a use of user memory (SMAP)"
            }
            if error.isInstructionFetch { return "execution of data" }
            return error.isWrite ? "a write to what may only be read" : nil
        }
        guard let memory = unsafe Quarry.memory else { return nil }
        switch memory.value.vmalloc.value.describe(VirtualAddress(address)).place {
        case .freed: return "a use of memory after it was freed"
        case .guardAbove: return "an access beyond the end of an area"
        case .guardBelow: return "an access before the start of an area"
        default: return error.isInstructionFetch ? "a call of what is no code" : nil
        }
    }

    private static func isUserPage(_ address: UInt) -> Bool {
        guard let memory = unsafe Quarry.memory,
            case .mapped(let page) = memory.value.pageTables.value.lookupUnlocked(VirtualAddress(address))
        else { return false }
        return page.permissions.contains(.user)
    }

    /// Says whose the memory is, where it is mapped and is RAM: an object of kmalloc's, or a block of frames.
    private static func writeFrame(at address: UInt) {
        // What the image is, and the areas, has been said.
        guard let memory = unsafe Quarry.memory,
            memory.value.layout.directMap.contains(VirtualAddress(address)),
            case .mapped = memory.value.pageTables.value.lookupUnlocked(VirtualAddress(address))
        else { return }
        var writer = SerialReportWriter()
        if memory.value.kmalloc.value.writeOwner(of: address, to: &writer) { return }
        let physical = address - memory.value.layout.directMap.start.rawValue
        guard
            let block = memory.value.frames.value.block(
                covering: PageFrameNumber(containing: PhysicalAddress(physical)))
        else { return Log.fatal("a page frame that is in no block in use") }
        Log.fatal("a page frame: \(block.state.name), block of order \(block.order) from \(block.head.address)")
    }
}
