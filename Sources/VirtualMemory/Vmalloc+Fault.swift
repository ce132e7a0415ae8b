import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

extension Vmalloc {
    /// Deals with a page fault: maps the page where it is due at its first touch.
    ///
    /// Callable from any context, interrupts disabled and other locks held, except with a lock of memory management held
    /// (see `Vmalloc`): such a fault is fatal. A first touch never fails: its frame has been promised and its tables
    /// are there.
    /// - Parameters:
    ///   - address: what the access addressed (CR2), any byte, inside the areas or not.
    ///   - access: what it wanted.
    /// - Returns: whether to run the instruction again, or why that is of no use and where the address lies.
    /// - Complexity: O(log areas), and clearing one page.
    public func handleFault(at address: VirtualAddress, access: FaultAccess) -> FaultResolution {
        if access.contains(.reservedBit) { return fatal(.reservedBit, address) }
        // The rest of the address space is never mapped on demand; so no lock is needed to say that this is an error.
        if !ranges.space.contains(address) {
            guard access.contains(.protection) else { return fatal(.outsideAnyArea, address) }
            return fatal(FaultReason(refusing: access, .none), address)
        }
        // Waiting for a lock of one's own would never end.
        if ranges.lock.isHeldByThisCPU || pageTables.value.isLockedByThisCPU || faultLocks.isHeldByThisCPU(for: address)
        {
            return fatal(.pageMissing, address)
        }
        switch faultLocks.withLock(for: address, { touch(address, access) }) {
        case .resolved:
            resolvedFaults.add(1, ordering: .relaxed)
            return .resolved
        case .spurious:
            spuriousFaults.add(1, ordering: .relaxed)
            return .spurious
        case .refused(let reason): return fatal(reason, address)
        case .missing: return fatal(nil, address)
        }
    }

    private enum Touch {
        case resolved
        case spurious
        case refused(FaultReason)
        /// No page is there or due.
        case missing
    }

    /// The page's fault lock is held: no other fault of this page runs, and no `free` takes it away meanwhile.
    private func touch(_ address: VirtualAddress, _ access: FaultAccess) -> Touch {
        switch pageTables.value.lookup(address) {
        case .mapped(let translation):
            return access.isAllowed(by: translation.permissions)
                ? .spurious : .refused(FaultReason(refusing: access, translation.permissions))
        case .demand(let permissions):
            if !access.isAllowed(by: permissions) { return .refused(FaultReason(refusing: access, permissions)) }
            return makePresent(address)
        case .guardPage, .none:
            return .missing
        }
    }

    private func makePresent(_ address: VirtualAddress) -> Touch {
        // From here on a `free` of the area waits for the fault lock; where one has begun, the page is no longer due.
        guard ranges.notePresentPage(at: address) else { return .refused(.pageMissing) }
        guard let frame = frames.value.allocatePromised(flags: .zero | .noLeakTrace) else {
            ranges.forgetPresentPage(at: address)
            return .refused(.brokenPromise)
        }
        if pageTables.value.resolveDemand(at: address, frame: frame.address) { return .resolved }
        // Only someone who changes an area's tables behind its back gets here.
        frames.value.free(frame, order: 0)
        ranges.forgetPresentPage(at: address)
        P.report(
            MemoryViolation(
                .corruption, in: "handleFault", at: address.rawValue, "the page's entry has changed meanwhile"))
        return .refused(.pageMissing)
    }

    /// - Parameter reason: nil where the place says it.
    private func fatal(_ reason: FaultReason?, _ address: VirtualAddress) -> FaultResolution {
        let description = ranges.describe(address)
        if let reason { return .fatal(reason, description) }
        switch description.place {
        case .guardBelow, .guardAbove: return .fatal(.guardPage, description)
        case .usable: return .fatal(.pageMissing, description)
        case .freed, .belowArea, .aboveArea, .noAreas, .outsideSpace: return .fatal(.outsideAnyArea, description)
        }
    }
}
