import MemoryPrimitives
import VirtualMemory
import X86

/// The stacks of boot/stacks.S, which are part of the image: each above a guard page, which is one only once the kernel's own
/// page tables are in use. Until then, and ever after, a canary at the end of each says whether it held.
///
/// Their memory is 0 when the kernel starts: what is not 0 has been used.
///
/// Raw values are in the order of addresses, and count up from 0 without a gap.
enum ImageStack: UInt8 {
    case boot, doubleFault, pageFault, nonMaskableInterrupt, machineCheck, interrupt

    var name: StaticString {
        switch self {
        case .boot: "boot"
        case .doubleFault: "double fault"
        case .pageFault: "page fault"
        case .nonMaskableInterrupt: "NMI"
        case .machineCheck: "machine check"
        case .interrupt: "interrupt"
        }
    }

    /// The guard page below the stack.
    private var guardPage: UInt {
        switch self {
        case .boot: boot_stack_guard_address()
        case .doubleFault: double_fault_stack_guard_address()
        case .pageFault: page_fault_stack_guard_address()
        case .nonMaskableInterrupt: nmi_stack_guard_address()
        case .machineCheck: machine_check_stack_guard_address()
        case .interrupt: interrupt_stack_guard_address()
        }
    }

    private var end: UInt {
        switch self {
        case .boot: boot_stack_end_address()
        case .doubleFault: double_fault_stack_end_address()
        case .pageFault: page_fault_stack_end_address()
        case .nonMaskableInterrupt: nmi_stack_end_address()
        case .machineCheck: machine_check_stack_end_address()
        case .interrupt: interrupt_stack_end_address()
        }
    }

    /// The lowest byte that may be used.
    var limit: UInt { guardPage + PageSize.byteCount }

    var bounds: StackBounds {
        let top = VirtualAddress(end)
        return StackBounds(
            name: name, usable: VirtualRange(VirtualAddress(limit), top),
            guardBelow: VirtualRange(VirtualAddress(guardPage), VirtualAddress(limit)),
            // The next one's; the last has one of its own.
            guardAbove: VirtualRange(top, top + PageSize.byteCount))
    }

    /// Calls `body` with each, until it answers false.
    @inline(__always)
    static func forEach(_ body: (ImageStack) -> Bool) {
        var number: UInt8 = 0
        while let stack = ImageStack(rawValue: number), body(stack) { number += 1 }
    }

    /// True where a guard page holds `address`.
    static func isGuarding(_ address: UInt) -> Bool {
        var isFound = false
        forEach { stack in
            isFound = address >= stack.guardPage && address < stack.limit
            return !isFound
        }
        return isFound
            || address >= stacks_end_guard_address()
                && address < stacks_end_guard_address() + PageSize.byteCount
    }

    /// The most bytes that were ever in use.
    var deepest: UInt {
        // The canary lies in the lowest word.
        var word = limit + 8
        while word < end, x86_load64(word) == 0 { word += 8 }
        return end - word
    }

    // MARK: The canary

    /// What the lowest word holds: the stack protector's number, mixed with the place.
    private var canary: UInt64 { x86_load64(stack_protector_canary_address()) ^ UInt64(limit) }

    /// Puts a canary at the end of each, before much of any can have been used.
    static func setCanaries() {
        forEach { stack in
            x86_store64(stack.limit, stack.canary)
            return true
        }
    }

    /// Ends the kernel where a canary is damaged: the stack has been used up, or something has written there.
    /// - Parameter moment: when that was found.
    static func checkCanaries(_ moment: StaticString) {
        forEach { stack in
            if x86_load64(stack.limit) != stack.canary { stack.reportDamage(moment) }
            return true
        }
    }

    @inline(never)
    private func reportDamage(_ moment: StaticString) -> Never {
        FatalReport.begin()
        Log.fatal("stack \"\(name)\": the canary at its end is damaged, found \(moment)")
        StackReport.printLimits(of: bounds)
        let found = x86_load64(limit)
        Log.fatal("the word there is \(hex: UInt(found), digits: 16), where \(hex: UInt(canary), digits: 16) was")
        Log.fatal("the stack was used up where no guard page could catch it, or something wrote to its end")
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        FatalReport.end(.stackOverflow)
    }

    /// For crash tests: uses the stack's end.
    func damageCanary() { x86_store64(limit, 0) }
}
