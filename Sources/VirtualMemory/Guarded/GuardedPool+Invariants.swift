import MemoryPrimitives
import Paging

extension GuardedPool {
    /// Checks each slot against the page tables and the queue, and the pattern beside each object. For a machine at rest.
    /// - Throws: the first thing that is wrong. - Complexity: O(slots), the pages of allocated objects being read.
    public func checkInvariants() throws(InvariantViolation) {
        var queued = 0
        var inUse: UInt = 0
        for index in 0..<objectCount {
            try checkPage(index)
            switch self[index].state {
            case .unused, .freed: queued += 1
            case .changing: throw InvariantViolation("no slot is changing", at: UInt(index))
            case .allocated: inUse += 1
            }
        }
        let figures = statistics
        if figures.objectsInUse != inUse || figures.allocations &- figures.frees != inUse {
            throw InvariantViolation("objects in use are counted", found: figures.objectsInUse, expected: inUse)
        }
        var next = unlockedState.first
        while next >= 0, queued >= 0 {
            let index = Int(next)
            if self[index].state == .allocated {
                throw InvariantViolation("a slot in the queue has no object", at: UInt(index))
            }
            queued -= 1
            next = self[index].next
            if next < 0, index != Int(unlockedState.last) {
                throw InvariantViolation("the queue ends with its last slot", at: UInt(index))
            }
        }
        if queued != 0 { throw InvariantViolation("each slot without an object is in the queue once") }
    }

    private func checkPage(_ index: Int) throws(InvariantViolation) {
        let page = page(of: index)
        if case .mapped(let translation) = pageTables.value.lookup(page) {
            if self[index].state != .allocated || translation.physical != self[index].frame.address {
                throw InvariantViolation("only an allocated object's page is mapped, to its frame", at: page.rawValue)
            }
            // The slot's own memory.
            if unsafe GuardPattern.damage(of: memory(of: index), except: self[index].range) != nil {
                throw InvariantViolation("the pattern beside an object is whole", at: page.rawValue)
            }
        } else if self[index].state == .allocated {
            throw InvariantViolation("an allocated object's page is mapped", at: page.rawValue)
        }
        let neighbours: InlineArray<2, UInt> = [
            page.rawValue &- PageSize.byteCount, page.rawValue &+ PageSize.byteCount,
        ]
        for side in 0..<2 {
            let beside = neighbours[side]
            if case .mapped = pageTables.value.lookup(VirtualAddress(beside)) {
                throw InvariantViolation("the pages beside a slot are not mapped", at: beside)
            }
        }
    }
}
