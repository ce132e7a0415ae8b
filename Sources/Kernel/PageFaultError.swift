/// The error code that a page fault pushes (Intel SDM vol. 3, 4.7).
struct PageFaultError: RawRepresentable {
    var rawValue: UInt

    /// The page was present and forbade the access; otherwise nothing was mapped.
    var isProtection: Bool { rawValue & 1 != 0 }
    var isWrite: Bool { rawValue & 2 != 0 }
    var isUser: Bool { rawValue & 4 != 0 }
    var isReservedBit: Bool { rawValue & 8 != 0 }
    var isInstructionFetch: Bool { rawValue & 16 != 0 }

    var access: StaticString {
        if isInstructionFetch { return "instruction fetch from" }
        return isWrite ? "write to" : "read of"
    }

    var cause: StaticString {
        if isReservedBit { return "a page whose entry has a reserved bit set" }
        return isProtection ? "a page that forbids it" : "a page that is not present"
    }

    var mode: StaticString { isUser ? "user" : "supervisor" }
}
