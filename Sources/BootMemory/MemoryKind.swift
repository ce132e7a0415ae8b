/// What the firmware says that a range of physical addresses is.
///
/// The order is that of restrictiveness: where two descriptions overlap, the greater kind holds, as in Linux, whose
/// e820 code lets the type with the highest number win.
public enum MemoryKind: UInt8, Comparable, CaseIterable, Sendable {
    /// RAM that the kernel may use.
    case available
    /// Not to be used: devices, firmware, or nothing at all.
    case reserved
    /// ACPI tables: RAM, usable once nobody reads the tables any more.
    case acpiReclaimable
    /// Memory that the firmware keeps across sleep. Never to be used.
    case acpiNVS
    /// RAM that the firmware found faulty.
    case bad
    /// Memory that keeps its contents without power. Not RAM.
    case persistent
    /// The same, as firmware named it before ACPI had a type for it, and as the user names it (`memmap=SIZE!START`).
    case persistentLegacy
    /// A type that this kernel does not know. Never to be used.
    case other

    /// The kind that a type number of the Multiboot map, which are those of ACPI's address ranges, stands for.
    public init(firmwareType: UInt32) {
        switch firmwareType {
        case 1: self = .available
        case 2: self = .reserved
        case 3: self = .acpiReclaimable
        case 4: self = .acpiNVS
        case 5: self = .bad
        case 7: self = .persistent
        case 12: self = .persistentLegacy
        default: self = .other
        }
    }

    /// The kind in words, for reports.
    public var name: StaticString {
        switch self {
        case .available: "available"
        case .reserved: "reserved"
        case .acpiReclaimable: "ACPI tables"
        case .acpiNVS: "ACPI non-volatile storage"
        case .bad: "bad memory"
        case .persistent: "persistent memory"
        case .persistentLegacy: "persistent memory (legacy)"
        case .other: "unknown type"
        }
    }

    /// Orders kinds as their raw values: the more restrictive is the greater.
    @inline(__always)
    public static func < (left: MemoryKind, right: MemoryKind) -> Bool { left.rawValue < right.rawValue }
}
