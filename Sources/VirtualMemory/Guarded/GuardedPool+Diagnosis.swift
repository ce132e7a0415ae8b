import MemoryPrimitives

/// An error that a pool of guarded objects has found.
public struct GuardedError: Equatable, Sendable {
    /// What was done wrong.
    public enum Kind: Equatable, Sendable {
        /// An access to a guard page, nearest to the object that is reported.
        case outOfBounds(isWrite: Bool)
        /// An access to the page of an object that is free.
        case useAfterFree(isWrite: Bool)
        /// An access to a page of the pool where no object is or was.
        case invalidAccess(isWrite: Bool)
        /// A free of what is free, or of what is not the start of an object.
        case invalidFree
        /// Bytes beside an object were written.
        case corruption
        /// The object's cache is to end.
        case objectInUse
    }

    /// What was done wrong.
    public let kind: Kind
    /// The address that was accessed, freed, or found to be written.
    public let address: VirtualAddress
    /// The number of the object that it is about; nil for `invalidAccess` and a free in a guard page.
    public let object: Int?
    /// Bytes from the nearest byte of the object: 0 within it, 1 beside it, and so on.
    public let distance: UInt
    /// The call that found it; nil for an access.
    public let call: StaticString?

    init(
        _ kind: Kind, at address: VirtualAddress, object: Int? = nil, distance: UInt = 0, call: StaticString? = nil
    ) {
        self.kind = kind
        self.address = address
        self.object = object
        self.distance = distance
        self.call = call
    }

    /// Whether two errors are of the same kind, at the same place.
    public static func == (left: GuardedError, right: GuardedError) -> Bool {
        left.kind == right.kind && left.address == right.address && left.object == right.object
            && left.distance == right.distance
    }
}

/// What an access or a violation is to the pool. For reports: no lock is taken, and what others change meanwhile may be
/// missed. O(1).
extension GuardedPool {
    /// What is wrong with an access that faulted; nil where the pool has nothing to do with it.
    public func diagnose(_ address: VirtualAddress, access: FaultAccess) -> GuardedError? {
        guard range.contains(address), access.isDisjoint(with: .protection | .reservedBit | .user) else { return nil }
        let isWrite = access.contains(.write)
        if let index = slot(at: address.rawValue) {
            switch self[index].state {
            case .unused: return GuardedError(.invalidAccess(isWrite: isWrite), at: address)
            case .changing, .freed:
                return GuardedError(
                    .useAfterFree(isWrite: isWrite), at: address, object: index, distance: distance(address, index))
            // Somebody else's quarrel: the page is there.
            case .allocated: return nil
            }
        }
        guard let index = nearestObject(to: address) else {
            return GuardedError(.invalidAccess(isWrite: isWrite), at: address)
        }
        return GuardedError(
            .outOfBounds(isWrite: isWrite), at: address, object: index, distance: distance(address, index))
    }

    private static func kind(of violation: MemoryViolation) -> GuardedError.Kind {
        switch violation.kind {
        case .overrun: .corruption
        case .objectInUse: .objectInUse
        default: .invalidFree
        }
    }

    /// What a violation that was reported is to the pool; nil where it is not about the pool.
    public func diagnose(_ violation: MemoryViolation) -> GuardedError? {
        let address = VirtualAddress(violation.address)
        guard range.contains(address) else { return nil }
        let index = slot(at: violation.address)
        let isKnown = index.map { self[$0].state != .unused } ?? false
        return GuardedError(
            Self.kind(of: violation), at: address, object: isKnown ? index : nil,
            distance: isKnown ? index.map { distance(address, $0) } ?? 0 : 0, call: violation.call)
    }

    /// The allocated object, of those on both sides of a guard page, that is nearer to `address`.
    private func nearestObject(to address: VirtualAddress) -> Int? {
        let below = slot(at: address.rawValue &- PageSize.byteCount).flatMap { allocated($0) }
        guard let above = slot(at: address.rawValue &+ PageSize.byteCount).flatMap({ allocated($0) }) else {
            return below
        }
        guard let below else { return above }
        return distance(address, below) <= distance(address, above) ? below : above
    }

    private func allocated(_ index: Int) -> Int? { self[index].state == .allocated ? index : nil }

    private func distance(_ address: VirtualAddress, _ index: Int) -> UInt {
        let start = self[index].address
        let end = start &+ self[index].byteCount
        if address.rawValue < start { return start &- address.rawValue }
        return address.rawValue < end ? 0 : address.rawValue &- end &+ 1
    }
}
