import MemoryPrimitives
import Paging

/// What an access that faulted wanted, in the bits of the CPU's error code (Intel SDM vol. 3, 4.7).
public struct FaultAccess: FlagSet, Sendable {
    /// The CPU's error code.
    public var rawValue: UInt32

    /// The access that an error code tells of.
    @inline(__always)
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The error code as the CPU pushed it; bits without a name here are kept and mean nothing.
    @inline(__always)
    public init(errorCode: UInt64) { rawValue = UInt32(truncatingIfNeeded: errorCode) }

    /// The page was there and did not allow the access; else it was not there.
    public static var protection: FaultAccess { FaultAccess(rawValue: 1 << 0) }
    /// The access was a write; else it was a read or a fetch.
    public static var write: FaultAccess { FaultAccess(rawValue: 1 << 1) }
    /// The CPU was in user mode.
    public static var user: FaultAccess { FaultAccess(rawValue: 1 << 2) }
    /// An entry has a bit set that must be clear: the tables are damaged.
    public static var reservedBit: FaultAccess { FaultAccess(rawValue: 1 << 3) }
    /// The access was the fetch of an instruction.
    public static var execute: FaultAccess { FaultAccess(rawValue: 1 << 4) }

    /// True when a page with `permissions` allows the access.
    func isAllowed(by permissions: PagePermissions) -> Bool {
        if contains(.write) && !permissions.contains(.write) { return false }
        if contains(.execute) && !permissions.contains(.execute) { return false }
        if contains(.user) && !permissions.contains(.user) { return false }
        return true
    }
}

/// Why an access cannot be allowed.
public enum FaultReason: UInt8, Sendable {
    /// The address lies in a guard page: the area that is described has over- or underflown.
    case guardPage
    /// The address lies in no area; the description names the nearest, or the one that was there.
    case outsideAnyArea
    /// The page allows no writing.
    case notWritable
    /// The page allows no execution.
    case notExecutable
    /// User mode has no business there.
    case userAccess
    /// The page tables are damaged.
    case reservedBit
    /// The area is there and the page is not: it is being set up or freed, or the tables are damaged.
    case pageMissing
    /// There was no frame for a page that had one promised.
    case brokenPromise

    /// The reason in words, for reports.
    public var text: StaticString {
        switch self {
        case .guardPage: "guard page"
        case .outsideAnyArea: "outside any area"
        case .notWritable: "write to a read-only page"
        case .notExecutable: "execution of a page that is not code"
        case .userAccess: "access from user mode"
        case .reservedBit: "reserved bit set in a page table"
        case .pageMissing: "page missing from an area"
        case .brokenPromise: "no frame for a promised page"
        }
    }

    /// The first thing that `access` wants and `permissions` do not allow.
    init(refusing access: FaultAccess, _ permissions: PagePermissions) {
        if access.contains(.user) && !permissions.contains(.user) {
            self = .userAccess
        } else if access.contains(.execute) && !permissions.contains(.execute) {
            self = .notExecutable
        } else {
            self = .notWritable
        }
    }
}

/// What came of a page fault.
public enum FaultResolution: Sendable {
    /// The page is there now: run the instruction again.
    case resolved
    /// The page was there and allows the access, because another CPU was quicker or this one's walk was out of date: run
    /// the instruction again.
    case spurious
    /// The access is an error.
    case fatal(FaultReason, AddressDescription)
}
