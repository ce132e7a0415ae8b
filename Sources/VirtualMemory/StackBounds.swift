import MemoryPrimitives

/// A stack as a report needs it: whose it is, where it lies, and where its guard pages do.
public struct StackBounds: Sendable {
    /// Whose stack it is.
    public let name: StaticString
    /// What may be used.
    public let usable: VirtualRange
    /// The guard pages below what may be used.
    public let guardBelow: VirtualRange
    /// The guard pages above it.
    public let guardAbove: VirtualRange

    /// A stack that lies so.
    public init(name: StaticString, usable: VirtualRange, guardBelow: VirtualRange, guardAbove: VirtualRange) {
        self.name = name
        self.usable = usable
        self.guardBelow = guardBelow
        self.guardAbove = guardAbove
    }

    /// How far a stack pointer stands below the top, in bytes; 0 above it.
    public func depth(of stackPointer: VirtualAddress) -> UInt {
        stackPointer < usable.end ? usable.end.distance(from: stackPointer) : 0
    }

    /// True where the code with that stack pointer runs on this stack, or has run over an end of it.
    public func holds(_ stackPointer: VirtualAddress) -> Bool {
        guardBelow.start <= stackPointer && stackPointer < guardAbove.end
    }
}

/// What an access to a stack's guard page means.
public enum StackMishap: UInt8, Sendable {
    /// The code that runs on the stack has used it up.
    case overflow
    /// The code that runs on the stack has gone beyond its top.
    case underflow
    /// The code runs on this stack and has not used it up: a pointer or an index led below it.
    case strayBelow
    /// The code runs on this stack and has not left it at its top: a pointer or an index led above it.
    case strayAbove
    /// The code runs elsewhere: a wild pointer into the guard page below the stack.
    case foreignBelow
    /// The code runs elsewhere: a wild pointer into the guard page above the stack.
    case foreignAbove

    /// The bytes below a stack pointer that an instruction may write without moving it first: what the CPU pushes for an
    /// exception, aligned, or for a call.
    private static var pushedBytes: UInt { 64 }
    /// How far below a guard page the stack pointer may be that code has moved down by a large frame at once.
    private static var largeFrame: UInt { 64 << 10 }

    /// Whether hardly anything is left on a stack: what is read beyond its top then is read by code that left it.
    private static func isNearTop(_ stackPointer: VirtualAddress, of usable: VirtualRange) -> Bool {
        usable.contains(stackPointer) && usable.end.distance(from: stackPointer) < pushedBytes
    }

    /// Tells what an access to a guard page of a stack was.
    /// - Parameters:
    ///   - address: what the access addressed.
    ///   - stack: the stack whose guard page it may be.
    ///   - stackPointer: that of the code that made it.
    ///   - runsElsewhere: whether the stack pointer lies in another stack that is known.
    /// - Returns: nil where the address lies in none of the stack's guard pages; or, where the guard page is shared with a
    ///   neighbour, the fault is not this stack's.
    public init?(
        of stack: StackBounds, accessing address: VirtualAddress, stackPointer: VirtualAddress, runsElsewhere: Bool
    ) {
        let usable = stack.usable
        if stack.guardBelow.contains(address) {
            if stack.guardBelow.contains(stackPointer)
                || usable.start <= stackPointer && stackPointer.distance(from: usable.start) < Self.pushedBytes
            {
                self = .overflow
            } else if usable.contains(stackPointer) || stackPointer == usable.end {
                self = .strayBelow
            } else if !runsElsewhere, stackPointer < stack.guardBelow.start,
                stack.guardBelow.start.distance(from: stackPointer) <= Self.largeFrame
            {
                self = .overflow
            } else {
                self = .foreignBelow
            }
        } else if stack.guardAbove.contains(address) {
            if stack.guardAbove.contains(stackPointer) || Self.isNearTop(stackPointer, of: usable) {
                self = .underflow
            } else {
                self = usable.contains(stackPointer) ? .strayAbove : .foreignAbove
            }
        } else {
            return nil
        }
    }
}

extension Vmalloc {
    /// The stack in which, or in whose guard pages, `address` lies. Waits for no lock. - Complexity: O(log areas).
    public func stack(around address: VirtualAddress) -> StackBounds? {
        guard ranges.space.contains(address), let area = ranges.nearestArea(to: address), area.kind == .stack,
            area.range.contains(address)
        else { return nil }
        let usable = area.usable
        return StackBounds(
            name: area.name, usable: usable, guardBelow: VirtualRange(area.range.start, usable.start),
            guardAbove: VirtualRange(usable.end, area.range.end))
    }
}
