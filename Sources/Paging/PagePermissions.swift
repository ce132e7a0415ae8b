import MemoryPrimitives

/// How the CPU may cache a page: the entry of the page attribute table that it names (Intel SDM vol. 3, 13.12).
public enum CacheMode: UInt16, Sendable {
    /// RAM.
    case writeBack = 0
    /// Reads are cached; a write goes to memory at once.
    case writeThrough = 1
    /// Uncached, unless the memory type ranges say write-combining.
    case uncachedOverridable = 2
    /// Uncached: device registers.
    case uncached = 3
    /// Attribute table entry 5. The kernel programs it as write-combining; a CPU fresh from reset has write-through there.
    case writeCombining = 5
}

/// What may be done with a page, and how.
///
/// x86-64 cannot take away `read` from a present page: it is part of every page's permissions.
public struct PagePermissions: FlagSet, Hashable, Sendable {
    /// The permissions as bits.
    public var rawValue: UInt16

    /// The permissions of these bits.
    @inline(__always)
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The page is there, and may be read.
    public static var read: PagePermissions { PagePermissions(rawValue: 1 << 0) }
    /// The page may be written.
    public static var write: PagePermissions { PagePermissions(rawValue: 1 << 1) }
    /// Code in the page may run.
    public static var execute: PagePermissions { PagePermissions(rawValue: 1 << 2) }
    /// User mode may use the page too. Only in the lower half of the address space.
    public static var user: PagePermissions { PagePermissions(rawValue: 1 << 3) }
    /// The translation survives a change of address space, where the CPU knows such pages.
    public static var global: PagePermissions { PagePermissions(rawValue: 1 << 4) }

    /// Constants and the like: `r--`.
    public static var readOnly: PagePermissions { .read | .global }
    /// Data: `rw-`.
    public static var readWrite: PagePermissions { .read | .write | .global }
    /// Code: `r-x`.
    public static var readExecute: PagePermissions { .read | .execute | .global }

    private static var cacheShift: UInt16 { 5 }

    /// How the page is cached; `writeBack` unless said otherwise.
    public var cacheMode: CacheMode {
        get { CacheMode(rawValue: (rawValue >> Self.cacheShift) & 7) ?? .uncached }
        set { rawValue = (rawValue & ~(7 << Self.cacheShift)) | (newValue.rawValue << Self.cacheShift) }
    }

    /// The same permissions with another cache mode.
    public func cached(_ mode: CacheMode) -> PagePermissions {
        var result = self
        result.cacheMode = mode
        return result
    }

    /// True when code on such a page could be changed while it runs.
    @inline(__always)
    public var isWritableAndExecutable: Bool { isSuperset(of: .write | .execute) }
}
