import KernelMemory
import MemoryPrimitives
import VirtualMemory
import X86

/// What a fault in a stack's guard page means, and whose stack it is. Nothing here takes a lock or can fault.
enum StackReport {
    /// The stack whose guard page holds `address`, and what the access means; nil where that is no stack's guard page.
    ///
    /// Neighbours in the image share a guard page: then it is the one's on which the code runs.
    static func mishap(at address: UInt, stackPointer: UInt) -> (StackBounds, StackMishap)? {
        let pointer = VirtualAddress(stackPointer)
        let runsElsewhere = stack(of: stackPointer) != nil
        if let memory = unsafe Quarry.memory,
            let bounds = memory.value.vmalloc.value.stack(around: VirtualAddress(address)),
            let mishap = StackMishap(
                of: bounds, accessing: VirtualAddress(address), stackPointer: pointer, runsElsewhere: runsElsewhere)
        {
            return (bounds, mishap)
        }
        var best: (StackBounds, StackMishap)?
        ImageStack.forEach { stack in
            let bounds = stack.bounds
            let mishap = StackMishap(
                of: bounds, accessing: VirtualAddress(address), stackPointer: pointer, runsElsewhere: runsElsewhere)
            guard let mishap else { return true }
            if let found = best, found.1.rawValue <= mishap.rawValue { return true }
            best = (bounds, mishap)
            return true
        }
        return best
    }

    /// True where `address` lies in a stack's guard page.
    @inline(never)
    static func isGuarding(_ address: UInt) -> Bool { mishap(at: address, stackPointer: 0) != nil }

    /// The stack that code with that stack pointer runs on; nil where none is known.
    static func stack(of stackPointer: UInt) -> StackBounds? {
        let pointer = VirtualAddress(stackPointer)
        if let memory = unsafe Quarry.memory,
            // With nothing on the stack yet the pointer lies one beyond.
            let bounds = memory.value.vmalloc.value.stack(around: VirtualAddress(stackPointer &- 1))
        {
            return bounds
        }
        var found: StackBounds?
        ImageStack.forEach { stack in
            let bounds = stack.bounds
            if bounds.guardBelow.start < pointer && pointer <= bounds.usable.end { found = bounds }
            return found == nil
        }
        return found
    }

    /// Prints what happened to which stack, its limits, and how deep it is.
    @inline(never)
    static func print(_ stack: StackBounds, _ mishap: StackMishap, stackPointer: UInt) {
        let pointer = VirtualAddress(stackPointer)
        switch mishap {
        case .overflow: Log.fatal("stack overflow: stack \"\(stack.name)\" ran out")
        case .underflow: Log.fatal("stack underflow: stack \"\(stack.name)\" was left above its top")
        case .strayBelow:
            Log.fatal("wild pointer: into the guard page below stack \"\(stack.name)\", by code that runs on it")
            let left = pointer.distance(from: stack.usable.start)
            Log.fatal("no overflow: \(left) bytes of the stack are left")
        case .strayAbove:
            Log.fatal("wild pointer: into the guard page above stack \"\(stack.name)\", by code that runs on it")
        case .foreignBelow:
            Log.fatal("wild pointer: into the guard page below stack \"\(stack.name)\", by code that runs elsewhere")
        case .foreignAbove:
            Log.fatal("wild pointer: into the guard page above stack \"\(stack.name)\", by code that runs elsewhere")
        }
        printLimits(of: stack)
        switch mishap {
        case .overflow, .underflow, .strayBelow, .strayAbove:
            Log.fatal("stack pointer \(hex: stackPointer, digits: 16), depth \(stack.depth(of: pointer)) bytes")
        case .foreignBelow, .foreignAbove: printPlace(of: stackPointer)
        }
    }

    @inline(never)
    static func printLimits(of stack: StackBounds) {
        Log.fatal(
            """
            stack limits \(stack.usable), \(bytes: stack.usable.byteCount), guard page \(stack.guardBelow) below, \
            \(stack.guardAbove) above
            """)
    }

    /// Prints which stack a stack pointer lies in.
    @inline(never)
    private static func printPlace(of stackPointer: UInt) {
        guard let stack = stack(of: stackPointer) else {
            return Log.fatal("stack pointer \(hex: stackPointer, digits: 16), in no stack that is known")
        }
        let depth = stack.depth(of: VirtualAddress(stackPointer))
        Log.fatal("stack pointer \(hex: stackPointer, digits: 16), in stack \"\(stack.name)\", depth \(depth) bytes")
    }
}

extension KernelStack where P == X86Platform {
    /// Runs `body(argument)` on this stack and comes back.
    @inline(__always)
    borrowing func run(_ body: @convention(c) (UInt) -> Void, _ argument: UInt) {
        guard let memory = unsafe Quarry.memory else { return }
        // As many frames as this stack, and after it the one that is left here, can grow by.
        memory.value.stacks.value.refillReserve()
        switch_stack(top.rawValue, body, argument)
        memory.value.stacks.value.refillReserve()
    }
}
