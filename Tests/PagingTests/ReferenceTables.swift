import MemoryPrimitives

@testable import Paging

/// What page tables should do, as plainly as it can be said: a dictionary of entries by their first address.
struct ReferenceTables {
    enum Entry: Equatable {
        case page(PhysicalAddress, PageSize, PagePermissions)
        case demand(PagePermissions, PageSize)
        case guardPage

        var byteCount: UInt {
            size.byteCount
        }

        var size: PageSize {
            switch self {
            case .page(_, let size, _), .demand(_, let size): size
            case .guardPage: .size4KiB
            }
        }
    }

    private(set) var entries: [UInt: Entry] = [:]
    /// The level of the root's entries.
    var topLevel = 3

    /// The entry that covers `address`, and where it starts.
    func entry(at address: UInt) -> (start: UInt, entry: Entry)? {
        for shift: UInt in [12, 21, 30] {
            let start = (address >> shift) << shift
            if let entry = entries[start], address - start < entry.byteCount { return (start, entry) }
        }
        return nil
    }

    func isFree(_ start: UInt, _ byteCount: UInt) -> Bool {
        entry(at: start) == nil && !entries.keys.contains { start <= $0 && $0 < start + byteCount }
    }

    func lookup(_ address: UInt) -> PageLookup {
        guard let (start, entry) = entry(at: address) else { return .none }
        switch entry {
        case .page(let physical, let size, let permissions):
            return .mapped(
                Translation(physical: physical + (address - start), size: size, permissions: permissions))
        case .demand(let permissions, _): return .demand(permissions)
        case .guardPage: return .guardPage
        }
    }

    mutating func map(_ start: UInt, _ physical: UInt, _ size: PageSize, _ permissions: PagePermissions) -> PagingError?
    {
        if !isFree(start, size.byteCount) { return .alreadyMapped }
        entries[start] = .page(PhysicalAddress(physical), size, permissions)
        return nil
    }

    mutating func mapRange(
        _ start: UInt, _ byteCount: UInt, _ physical: UInt, _ permissions: PagePermissions
    ) -> PagingError? {
        if !isFree(start, byteCount) { return .alreadyMapped }
        var offset: UInt = 0
        while offset < byteCount {
            let size = [PageSize.size1GiB, .size2MiB, .size4KiB].first {
                ((start + offset) | (physical + offset)) % $0.byteCount == 0 && byteCount - offset >= $0.byteCount
            }!
            entries[start + offset] = .page(PhysicalAddress(physical + offset), size, permissions)
            offset += size.byteCount
        }
        return nil
    }

    /// - Parameter permissions: of what is due; nil for guard pages.
    mutating func reserve(
        _ start: UInt, _ byteCount: UInt, _ permissions: PagePermissions?, largest: PageSize
    ) -> PagingError? {
        if !isFree(start, byteCount) { return .alreadyMapped }
        var offset: UInt = 0
        while offset < byteCount {
            let size = [PageSize.size1GiB, .size2MiB, .size4KiB].first {
                $0 <= largest && (start + offset) % $0.byteCount == 0 && byteCount - offset >= $0.byteCount
            }!
            entries[start + offset] = permissions.map { .demand($0, size) } ?? .guardPage
            offset += size.byteCount
        }
        return nil
    }

    /// Cuts the page that `address` lies in, or what is due there, until one of `size` starts there.
    private mutating func split(_ address: UInt, to size: PageSize) {
        while let (start, entry) = entry(at: address), entry.size > size {
            let smaller = PageSize(rawValue: entry.size.rawValue - 1)!
            for index in 0..<UInt(512) {
                let piece: Entry
                switch entry {
                case .page(let physical, _, let permissions):
                    piece = .page(physical + index << smaller.shift, smaller, permissions)
                case .demand(let permissions, _): piece = .demand(permissions, smaller)
                case .guardPage: piece = entry
                }
                entries[start + index << smaller.shift] = piece
            }
        }
    }

    /// Cuts what is due in one entry of `size` into 512.
    mutating func splitDemand(_ address: UInt, _ size: PageSize) -> Bool {
        guard size != .size4KiB, let (_, entry) = entry(at: address), case .demand(_, size) = entry else {
            return false
        }
        let smaller = PageSize(rawValue: size.rawValue - 1)!
        split(address, to: smaller)
        return true
    }

    mutating func resolveLarge(_ address: UInt, _ frame: UInt) -> Bool {
        guard let (start, entry) = entry(at: address), case .demand(let permissions, .size2MiB) = entry else {
            return false
        }
        entries[start] = .page(PhysicalAddress(frame), .size2MiB, permissions)
        return true
    }

    /// Walks a range that must be mapped from end to end; the steps' starts and sizes, or why not.
    private func steps(
        _ start: UInt, _ byteCount: UInt, exact: PageSize?, splitting: Bool, allowingDemand: Bool
    ) -> Result<[(UInt, PageSize)], PagingError> {
        var result: [(UInt, PageSize)] = []
        var offset: UInt = 0
        while offset < byteCount {
            let address = start + offset
            let present: PageSize
            switch entry(at: address)?.entry {
            case .page(_, let size, _): present = size
            case .demand(_, let size) where allowingDemand: present = size
            default: return .failure(.notMapped)
            }
            let fitting = [PageSize.size1GiB, .size2MiB, .size4KiB].first {
                $0 <= present && address % $0.byteCount == 0 && byteCount - offset >= $0.byteCount
            }
            let wanted = exact ?? fitting!
            if wanted > present { return .failure(.insideSmallerPages) }
            if wanted < present && !splitting { return .failure(.insideLargePage) }
            result.append((address, wanted))
            offset += wanted.byteCount
        }
        return .success(result)
    }

    mutating func unmap(_ start: UInt, _ byteCount: UInt, exact: PageSize?, splitting: Bool) -> PagingError? {
        switch steps(start, byteCount, exact: exact, splitting: splitting, allowingDemand: false) {
        case .failure(let error): return error
        case .success(let steps):
            for (address, size) in steps {
                split(address, to: size)
                entries[address] = nil
            }
            return nil
        }
    }

    mutating func protect(
        _ start: UInt, _ byteCount: UInt, exact: PageSize?, splitting: Bool, _ permissions: PagePermissions
    ) -> PagingError? {
        switch steps(start, byteCount, exact: exact, splitting: splitting, allowingDemand: true) {
        case .failure(let error): return error
        case .success(let steps):
            for (address, size) in steps {
                allow(permissions, at: address, size)
            }
            return nil
        }
    }

    /// Gives the page or demand entry at `address`, cut to `size`, its permissions.
    private mutating func allow(_ permissions: PagePermissions, at address: UInt, _ size: PageSize) {
        split(address, to: size)
        if case .page(let physical, _, _) = entries[address]! {
            entries[address] = .page(physical, size, permissions)
        } else {
            entries[address] = .demand(permissions, size)
        }
    }

    mutating func adjust(
        _ start: UInt, _ byteCount: UInt, adding: PagePermissions, removing: PagePermissions
    ) -> PagingError? {
        var changes: [(UInt, PageSize, PagePermissions)] = []
        var offset: UInt = 0
        while offset < byteCount {
            let address = start + offset
            var present = PageSize.size4KiB
            let old: PagePermissions
            switch entry(at: address)?.entry {
            case .page(_, let size, let permissions): (present, old) = (size, permissions)
            case .demand(let permissions, let size): (present, old) = (size, permissions)
            default: return .notMapped
            }
            let new = old.subtracting(removing).union(adding)
            if new.contains(.write) && new.contains(.execute) { return .writableAndExecutable }
            let size = [PageSize.size1GiB, .size2MiB, .size4KiB].first {
                $0 <= present && address % $0.byteCount == 0 && byteCount - offset >= $0.byteCount
            }!
            changes.append((address, size, new))
            offset += size.byteCount
        }
        for (address, size, permissions) in changes {
            allow(permissions, at: address, size)
        }
        return nil
    }

    /// - Returns: the tables that went.
    mutating func collapse(_ start: UInt, _ byteCount: UInt, to sizes: [PageSize]) -> Int {
        var replaced = 0
        for size in sizes {
            let smaller = PageSize(rawValue: size.rawValue - 1)!
            for first in entries.keys where first % size.byteCount == 0 && start <= first {
                guard first + (size.byteCount - 1) <= start + (byteCount - 1),
                    case .page(let physical, smaller, let permissions)? = entries[first],
                    physical.rawValue % size.byteCount == 0
                else { continue }
                let pieces = (0..<UInt(512)).map { first + $0 << smaller.shift }
                let isWhole = pieces.allSatisfy {
                    entries[$0] == .page(physical + ($0 - first), smaller, permissions)
                }
                if !isWhole { continue }
                for piece in pieces { entries[piece] = nil }
                entries[first] = .page(physical, size, permissions)
                replaced += 1
            }
        }
        return replaced
    }

    /// The frames that were present, in order.
    mutating func clear(_ start: UInt, _ byteCount: UInt) -> Result<[PhysicalAddress], PagingError> {
        for edge in [start, start + byteCount - 1] {
            if let (first, entry) = entry(at: edge), first < start || first + entry.byteCount > start + byteCount {
                return .failure(.insideLargePage)
            }
        }
        var frames: [PhysicalAddress] = []
        for address in entries.keys.filter({ start <= $0 && $0 < start + byteCount }).sorted() {
            if case .page(let physical, _, _) = entries[address]! { frames.append(physical) }
            entries[address] = nil
        }
        return .success(frames)
    }

    mutating func resolve(_ address: UInt, _ frame: UInt) -> Bool {
        let start = address & ~4095
        guard case .demand(let permissions, .size4KiB)? = entries[start] else { return false }
        entries[start] = .page(PhysicalAddress(frame), .size4KiB, permissions)
        return true
    }

    /// Tables that the entries need below the root, when none is kept empty and none is missing.
    var tableCount: Int {
        var tables: Set<UInt> = []
        for (start, entry) in entries {
            let smallest = Int(entry.size.rawValue)
            for level in smallest..<topLevel {
                // The level stands in the upper bits, which shifting has freed.
                tables.insert(start >> (21 + 9 * UInt(level)) | UInt(level) << 60)
            }
        }
        return tables.count
    }
}
