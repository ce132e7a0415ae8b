import MemoryPrimitives

extension PageFrameAllocator: ZoneReportSource {
    /// What a zone looks like now, for reports. Deferred sections count as free, movable blocks of the highest order.
    ///
    /// - Complexity: O(CPUs + page blocks). Takes the locks of the frame caches and of the zone, one after the other.
    @inline(never)
    public func report(of kind: ZoneKind) -> ZoneReport {
        var report = ZoneReport(kind)
        report.present = presentFrames[kind.rawValue]
        report.cached = cachedFrames(inZone: kind.rawValue)
        report.cachedByThisCPU = withThisCPUsCache { cache in cache.frames(inZone: kind.rawValue) }
        zones[kind.rawValue].value.withState { state in state.fill(&report) }
        return report
    }
}

extension ZoneState {
    @inline(never)
    fileprivate mutating func fill(_ report: inout ZoneReport) {
        report.free = freeFrames
        report.managed = managedFrames
        report.watermarks = watermarks
        report.freeContiguous = buddy.counts.setAsideFrames(.contiguous)
        for group in 0..<Mobility.count {
            guard let mobility = Mobility(rawValue: UInt8(group)) else { continue }
            for order in 0...BlockOrder.highest {
                report.freeBlocks[group][order] = UInt32(
                    truncatingIfNeeded: buddy.counts.blocks(order: order, mobility))
            }
        }
        let deferredSections = UInt32(truncatingIfNeeded: deferred.sectionCount)
        report.freeBlocks[Int(Mobility.movable.rawValue)][BlockOrder.highest] += deferredSections
        countPageBlocks(&report)
    }

    /// Counts page blocks by what they are kept for; those that nobody has used yet are movable.
    private mutating func countPageBlocks(_ report: inout ZoneReport) {
        report.pageBlocks[Int(Mobility.movable.rawValue)] = 2 * UInt32(truncatingIfNeeded: deferred.sectionCount)
        let first = firstFrame >> Section.shift
        let end = (endFrame + Section.frameCount - 1) >> Section.shift
        for section in first..<end where buddy.table.isInitialized(section: section) {
            for half in 0..<2 as Range<UInt32> {
                let mobility = buddy.table.pageBlock(UInt32(section << 1) | half).mobility
                report.pageBlocks[Int(mobility.rawValue)] += 1
                if mobility == .highAtomic { report.reservedHighAtomic += UInt(PageBlock.frameCount) }
            }
        }
    }
}
