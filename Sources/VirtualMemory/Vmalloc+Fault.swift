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
        while true {
            switch faultLocks.withLock(for: address, { touch(address, access) }) {
            case .resolved:
                resolvedFaults.add(1, ordering: .relaxed)
                return .resolved
            case .spurious:
                spuriousFaults.add(1, ordering: .relaxed)
                return .spurious
            case .refused(let reason): return fatal(reason, address)
            case .missing: return fatal(nil, address)
            case .large(let size):
                if faultLocks.isHeldByThisCPU(for: address, size: size) { return fatal(.pageMissing, address) }
                switch faultLocks.withLock(for: address, size: size, { touchLarge(address, access, size) }) {
                case .resolved:
                    resolvedFaults.add(1, ordering: .relaxed)
                    return .resolved
                case .again: continue
                case .refused(let reason): return fatal(reason, address)
                }
            }
        }
    }

    private enum Touch {
        case resolved
        case spurious
        case refused(FaultReason)
        /// No page is there or due.
        case missing
        /// What is due is an entry of this size, which has another lock.
        case large(PageSize)
    }

    /// What a look at the tables says, with the pages that are due counted as present already.
    private enum Plan {
        case map(DuePages, AreaReference)
        case end(Touch)
    }

    /// The page's fault lock is held: no other fault of this page runs, and no `free` takes it away meanwhile.
    @inline(__always)
    private func touch(_ address: VirtualAddress, _ access: FaultAccess) -> Touch {
        let plan = ranges.withTouchedArea(at: address) { area -> Plan in
            switch pageTables.value.touch(address, within: window(around: address, in: area)) {
            case .due(let pages):
                let isAllowed = pages.allow(
                    write: access.contains(.write), execute: access.contains(.execute), user: access.contains(.user))
                if !isAllowed {
                    return .end(.refused(FaultReason(refusing: access, pages.permissions)))
                }
                // From here on a `free` of the area waits for the fault lock.
                ranges.count(pages: UInt(bitPattern: pages.count), of: area)
                return .map(pages, area)
            case .largeDue(_, let size): return .end(.large(size))
            case .mapped(let permissions): return .end(Self.touch(ofMapped: permissions, access))
            case .nothing: return .end(.missing)
            }
        }
        switch plan {
        case .map(let pages, let area)?: return makePresent(pages, address, area)
        case .end(.missing)?, nil: return touchMissing(address, access)
        case .end(let touch)?: return touch
        }
    }

    private static func touch(ofMapped permissions: PagePermissions, _ access: FaultAccess) -> Touch {
        access.isAllowed(by: permissions) ? .spurious : .refused(FaultReason(refusing: access, permissions))
    }

    /// In no live area, or where no touch brings a page: what the tables say, which others may be changing.
    @inline(never)
    private func touchMissing(_ address: VirtualAddress, _ access: FaultAccess) -> Touch {
        switch pageTables.value.lookup(address) {
        case .mapped(let translation): return Self.touch(ofMapped: translation.permissions, access)
        case .demand(let permissions):
            return .refused(
                access.isAllowed(by: permissions) ? .pageMissing : FaultReason(refusing: access, permissions))
        case .guardPage, .none: return .missing
        }
    }

    /// The pages that a touch may bring: the aligned ones around it, as far as they are the area's.
    @inline(__always)
    private func window(around address: VirtualAddress, in area: AreaReference) -> VirtualRange {
        let pages = area.node.area.bringsNeighbours ? options.faultAroundPages : 1
        let byteCount = pages &<< PageSize.shift
        let start = VirtualAddress(address.rawValue & ~(byteCount &- 1))
        let usable = area.node.area.usable
        return VirtualRange(max(start, usable.start), min(start + byteCount, usable.end))
    }

    /// Puts cleared frames behind pages that are counted as present: one block where there is one, else smaller ones. Where
    /// there are only single frames the touched page alone gets one, and the others are due as before.
    @inline(__always)
    private func makePresent(_ pages: DuePages, _ address: VirtualAddress, _ area: AreaReference) -> Touch {
        let touched = Int(bitPattern: address.distance(from: pages.start) &>> PageSize.shift)
        if pages.count == 1 { return makeOnePresent(pages, touched, area) }
        var done = 0
        var order = Int.max
        while done < pages.count {
            let fitting = 63 &- (pages.count &- done).leadingZeroBitCount
            order = min(order, fitting)
            // One frame is taken where no more than one is missing, not for want of blocks.
            if order == 0 && fitting > 0 { break }
            let block =
                order == 0
                ? frames.value.allocatePromised(flags: .zero | .noLeakTrace)
                : frames.value.allocatePromisedBlock(order: order, flags: .zero | .noLeakTrace)
            guard let block else {
                if order == 0 { break }
                order &-= 1
                continue
            }
            let end = done &+ 1 &<< order
            if !pageTables.value.resolve(pages, done..<end, with: block) {
                return giveUp(block, order, pages.count &- done, address, area)
            }
            done = end
        }
        if done == pages.count { return .resolved }
        ranges.uncount(pages: UInt(bitPattern: pages.count &- done &- (touched < done ? 0 : 1)), of: area)
        return touched < done ? .resolved : makeOnePresent(pages, touched, area)
    }

    /// Puts a cleared frame behind one of the pages, which is counted as present.
    @inline(__always)
    private func makeOnePresent(_ pages: DuePages, _ touched: Int, _ area: AreaReference) -> Touch {
        guard let frame = frames.value.allocatePromised(flags: .zero | .noLeakTrace) else {
            ranges.uncount(pages: 1, of: area)
            return .refused(.brokenPromise)
        }
        if pageTables.value.resolve(pages, touched..<touched &+ 1, with: frame) { return .resolved }
        return giveUp(frame, 0, 1, pages.start, area)
    }

    /// Gives a block back that found its pages' entries changed, and takes back that `count` pages are present.
    @inline(never)
    private func giveUp(
        _ block: PageFrameNumber, _ order: Int, _ count: Int, _ address: VirtualAddress, _ area: AreaReference
    ) -> Touch {
        frames.value.free(block, order: order)
        // Free just now, and so they can be promised, unless others are quicker.
        _ = frames.value.promise(frames: 1 << order)
        ranges.uncount(pages: UInt(bitPattern: count), of: area)
        reportChange(at: address)
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
