import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Long random sequences of every call against `ReferenceTables`, with a warm TLB.
@Suite struct RandomSequenceTests {
    /// The start of each area, so placed that ranges cross tables at every level.
    private static let bases: [UInt] = [
        areas, areas + 512 * gib - 4 * mib, 0x7f00_0000_0000 - 2 * gib, 0xffff_8880_0000_0000,
    ]

    /// What only five levels reach; the last two areas cross tables of the level that four do not have.
    private static let farBases: [UInt] = [
        0x00ab_cd00_0000_0000, 0x0001_0000_0000_0000 - 2 * gib, 0xff23_0000_0000_0000 - 4 * mib,
    ]

    @Test(arguments: [UInt64(1), 2, 3, 4], [(true, false), (false, false), (true, true)])
    func everyCallMatchesTheReference(seed: UInt64, has: (gigabytePages: Bool, fiveLevels: Bool)) throws {
        var features = PagingFeatures.all
        features.gigabytePages = has.gigabytePages
        features.fiveLevels = has.fiveLevels
        let run = Run(SeededGenerator.fromEnvironment(default: seed), features)
        try run.bench.machine.run {
            for step in 0..<400 {
                try run.step()
                if step % 16 == 0 { try run.sweep() }
                if run.hasFailed { break }
            }
            try run.sweep()
            try run.empty()
        }
    }

    private final class Run {
        let bench: Bench
        let features: PagingFeatures
        var reference = ReferenceTables()
        var random: SeededGenerator
        var hasFailed = false

        init(_ random: SeededGenerator, _ features: PagingFeatures) {
            bench = Bench(memory: 8 << 30, features: features)
            self.features = features
            self.random = random
            reference.topLevel = features.fiveLevels ? 4 : 3
        }

        func address(_ alignment: UInt) -> UInt {
            let bases = RandomSequenceTests.bases + (features.fiveLevels ? RandomSequenceTests.farBases : [])
            let base = bases.randomElement(using: &random)!
            // Mostly near each other, so that calls meet.
            let span: UInt = [32 * 4096, 6 * mib, 3 * gib][Int.random(in: 0..<3, using: &random)]
            return (base + UInt.random(in: 0..<span, using: &random)) & ~(alignment - 1)
        }

        func permissions() -> PagePermissions {
            [.readWrite, .readOnly, .readExecute, .readWrite.cached(.uncached)].randomElement(using: &random)!
        }

        func size() -> PageSize {
            let sizes: [PageSize] =
                features.gigabytePages ? [.size4KiB, .size2MiB, .size1GiB] : [.size4KiB, .size2MiB]
            return sizes.randomElement(using: &random)!
        }

        /// Start and length, sometimes aligned to large pages.
        func range() -> VirtualRange {
            let alignment: UInt = [4096, 4096, 2 * mib, features.gigabytePages ? gib : 2 * mib].randomElement(
                using: &random)!
            let start = address(alignment)
            let length = alignment * UInt.random(in: 1...3, using: &random)
            let extra = 4096 * [0, 0, UInt.random(in: 0..<40, using: &random)].randomElement(using: &random)!
            return pages(start, length + extra)
        }

        func physical(_ alignment: UInt) -> UInt {
            (gib + UInt.random(in: 0..<(3 * gib), using: &random)) & ~(alignment - 1)
        }

        func expectSame(_ expected: PagingError?, _ call: String, _ body: () throws(PagingError) -> Void) {
            var found: PagingError?
            do throws(PagingError) { try body() } catch { found = error }
            if found != expected { hasFailed = true }
            #expect(found == expected, "\(call), seed \(random.seed)")
        }

        func step() throws {
            let range = range()
            let splitting = Bool.random(using: &random)
            let permissions = permissions()
            let size = size()
            probe(range.start.rawValue)
            switch Int.random(in: 0..<16, using: &random) {
            case 0, 1: map(size, permissions)
            case 2, 3: mapRange(range, permissions)
            case 4: unmap(size, splitting)
            case 5: unmapRange(range, splitting)
            case 6: protect(size, permissions, splitting)
            case 7: protectRange(range, permissions, splitting)
            case 8: reserve(range, permissions)
            case 9: adjust(range)
            case 10: collapse(range)
            case 11: clearUsage(range)
            case 12: resolveDemand(from: range.start.rawValue)
            case 13: resolveLarge(from: range.start.rawValue)
            case 14: splitDemand(from: range.start.rawValue, size)
            default: clear(range)
            }
            probe(range.start.rawValue)
            try check()
        }

        func map(_ size: PageSize, _ permissions: PagePermissions) {
            let (virtual, frame) = (address(size.byteCount), physical(size.byteCount))
            let expected = reference.map(virtual, frame, size, permissions)
            expectSame(expected, "map \(page(virtual)) \(size)") { () throws(PagingError) in
                try bench.tables.value.map(
                    page(virtual), to: memory(frame), size: size, permissions: permissions, using: &bench.source)
            }
        }

        func mapRange(_ range: VirtualRange, _ permissions: PagePermissions) {
            // Congruent to the start, or else small, because then only small pages fit.
            let start = range.start.rawValue
            let isCongruent = Bool.random(using: &random)
            let frame = isCongruent ? physical(gib) + start % gib : physical(4096)
            let range = isCongruent ? range : small(range)
            let expected = reference.mapRange(start, range.byteCount, frame, permissions)
            expectSame(expected, "mapRange \(range)") { () throws(PagingError) in
                try bench.tables.value.mapRange(
                    range, to: memory(frame), permissions: permissions, using: &bench.source)
            }
        }

        /// The range, cut off where calls that go page by page would take long.
        func small(_ range: VirtualRange) -> VirtualRange {
            pages(range.start.rawValue, min(range.byteCount, 200 * 4096))
        }

        func unmap(_ size: PageSize, _ splitting: Bool) {
            let virtual = address(size.byteCount)
            let expected = reference.unmap(virtual, size.byteCount, exact: size, splitting: splitting)
            expectSame(expected, "unmap \(page(virtual)) \(size)") { () throws(PagingError) in
                try bench.tables.value.unmap(page(virtual), size: size, splitting: splitting, using: &bench.source)
            }
        }

        func unmapRange(_ range: VirtualRange, _ splitting: Bool) {
            let expected = reference.unmap(range.start.rawValue, range.byteCount, exact: nil, splitting: splitting)
            expectSame(expected, "unmapRange \(range)") { () throws(PagingError) in
                try bench.tables.value.unmapRange(range, splitting: splitting, using: &bench.source)
            }
        }

        func protect(_ size: PageSize, _ permissions: PagePermissions, _ splitting: Bool) {
            let virtual = address(size.byteCount)
            let expected = reference.protect(virtual, size.byteCount, exact: size, splitting: splitting, permissions)
            expectSame(expected, "protect \(page(virtual)) \(size)") { () throws(PagingError) in
                try bench.tables.value.protect(
                    page(virtual), size: size, permissions: permissions, splitting: splitting, using: &bench.source)
            }
        }

        func protectRange(_ range: VirtualRange, _ permissions: PagePermissions, _ splitting: Bool) {
            let expected = reference.protect(
                range.start.rawValue, range.byteCount, exact: nil, splitting: splitting, permissions)
            expectSame(expected, "protectRange \(range)") { () throws(PagingError) in
                try bench.tables.value.protectRange(
                    range, permissions: permissions, splitting: splitting, using: &bench.source)
            }
        }

        func reserve(_ range: VirtualRange, _ permissions: PagePermissions) {
            let isGuard = Bool.random(using: &random)
            let largest: PageSize =
                isGuard ? .size4KiB : [.size4KiB, .size2MiB, .size1GiB].randomElement(using: &random)!
            // What is due in large entries needs no more of them than pages do.
            let isLarge = largest == .size1GiB || largest == .size2MiB && range.byteCount < 8 * mib
            let range = isLarge ? range : small(range)
            let expected = reference.reserve(
                range.start.rawValue, range.byteCount, isGuard ? nil : permissions, largest: largest)
            expectSame(expected, "reserve \(range)") { () throws(PagingError) in
                if isGuard {
                    try bench.tables.value.reserveGuard(range, using: &bench.source)
                } else {
                    try bench.tables.value.reserveDemand(
                        range, permissions: permissions, largest: largest, using: &bench.source)
                }
            }
        }

        func adjust(_ range: VirtualRange) {
            let choices: [PagePermissions] = [.none, .write, .execute, .global, .write | .execute]
            let adding = choices.randomElement(using: &random)!
            let removing = choices.randomElement(using: &random)!.subtracting(adding)
            let expected = reference.adjust(
                range.start.rawValue, range.byteCount, adding: adding, removing: removing)
            expectSame(expected, "adjustRange \(range)") { () throws(PagingError) in
                try bench.tables.value.adjustRange(range, adding: adding, removing: removing, using: &bench.source)
            }
        }

        /// The range widened, because whole large pages seldom lie within.
        func collapse(_ range: VirtualRange) {
            let first = range.start.rawValue & ~(gib - 1)
            let range = pages(first, [2 * gib, gib, range.byteCount].randomElement(using: &random)!)
            let sizes: [PageSize] = features.gigabytePages ? [.size2MiB, .size1GiB] : [.size2MiB]
            let expected = reference.collapse(range.start.rawValue, range.byteCount, to: sizes)
            expectSame(nil, "collapse \(range)") { () throws(PagingError) in
                #expect(try bench.tables.value.collapse(range, using: &bench.source) == expected)
            }
        }

        /// Notes change nothing else; their own test says what they are.
        func clearUsage(_ range: VirtualRange) {
            expectSame(nil, "clearUsage \(range)") { () throws(PagingError) in
                try bench.tables.value.clearUsage(.accessed | .dirty, in: range)
            }
        }

        /// Touches the first entry from `start` on.
        func resolveDemand(from start: UInt) {
            let frame = physical(4096)
            let touched = reference.entries.keys.filter { start <= $0 }.min() ?? start
            let expected = reference.resolve(touched, frame)
            #expect(bench.tables.value.resolveDemand(at: page(touched + 5), frame: memory(frame)) == expected)
        }

        /// The first entry from `start` on that is due and large.
        func firstLargeDemand(from start: UInt) -> UInt {
            let found = reference.entries.filter { address, entry in
                if case .demand(_, let size) = entry { return size != .size4KiB && start <= address }
                return false
            }
            return (found.keys.min() ?? start) + UInt.random(in: 0..<2 * mib, using: &random)
        }

        func resolveLarge(from start: UInt) {
            let (touched, frame) = (firstLargeDemand(from: start), physical(2 * mib))
            let expected = reference.resolveLarge(touched, frame)
            let number = PageFrameNumber(containing: memory(frame))
            #expect(bench.tables.value.resolveLarge(at: page(touched), with: number) == expected)
        }

        /// The table is one more of the pool's, where it is used.
        func splitDemand(from start: UInt, _ size: PageSize) {
            let touched = firstLargeDemand(from: start)
            let expected = reference.splitDemand(touched, size)
            guard let table = bench.source.allocateTableFrame() else { return }
            let isSplit = bench.tables.value.splitDemand(at: page(touched), size: size, table: table)
            #expect(isSplit == expected, "splitDemand \(page(touched)) \(size), seed \(random.seed)")
            if !isSplit { bench.source.freeTableFrame(table) }
        }

        func clear(_ range: VirtualRange) {
            var visited: [PhysicalAddress] = []
            let expected = reference.clear(range.start.rawValue, range.byteCount)
            var error: PagingError?
            if case .failure(let failure) = expected { error = failure }
            expectSame(error, "clear \(range)") { () throws(PagingError) in
                try bench.tables.value.clear(range, using: &bench.source) { frame, _ in visited.append(frame) }
            }
            if case .success(let frames) = expected { #expect(visited == frames, "clear \(range)") }
        }

        /// Compares one address, and reads through the MMU what is behind it.
        func probe(_ address: UInt) {
            let expected = reference.lookup(address)
            if bench.tables.value.lookup(page(address)) != expected { hasFailed = true }
            #expect(bench.tables.value.lookup(page(address)) == expected, "at \(page(address)), seed \(random.seed)")
            if case .mapped(let translation) = expected {
                #expect(bench.reads(page(address), from: translation.physical))
                #expect((bench.fault(at: page(address), .store) == nil) == translation.permissions.contains(.write))
                #expect((bench.fault(at: page(address), .fetch) == nil) == translation.permissions.contains(.execute))
            } else {
                #expect(bench.fault(at: page(address)) == .notPresent)
            }
        }

        func check() throws {
            try bench.tables.value.checkInvariants()
            let expected = reference.tableCount
            #expect(bench.tables.value.tableCount == expected && bench.pool.inUse == expected + 1)
            let stale = bench.machine.takeStaleTranslations()
            if !stale.isEmpty { hasFailed = true }
            #expect(stale == [], "seed \(random.seed)")
        }

        /// Compares everything, by the audit's counts and at the edges of a sample of entries.
        func sweep() throws {
            let audit = bench.tables.value.audit()
            var counts: [PageSize: UInt] = [:]
            var demand: UInt = 0
            var guards: UInt = 0
            for entry in reference.entries.values {
                switch entry {
                case .page(_, let size, _): counts[size, default: 0] += 1
                case .demand: demand += 1
                case .guardPage: guards += 1
                }
            }
            #expect(audit.pages4KiB == counts[.size4KiB] ?? 0 && audit.pages2MiB == counts[.size2MiB] ?? 0)
            #expect(audit.pages1GiB == counts[.size1GiB] ?? 0)
            #expect(audit.demandEntries == demand && audit.guardEntries == guards && audit.passes)
            #expect(audit.tables == UInt(reference.tableCount) + 1)
            try walk()
            for start in reference.entries.keys.sorted().shuffled(using: &random).prefix(40) {
                probe(start)
                probe(start + reference.entries[start]!.byteCount - 8)
                probe(start &- 4096)
                probe(start + reference.entries[start]!.byteCount)
            }
        }

        /// Everything that a walk finds, in both halves.
        func walk() throws {
            var found: [UInt: ReferenceTables.Entry] = [:]
            var last: UInt?
            let half: UInt = features.fiveLevels ? (1 << 56) - 1 : (1 << 47) - 1
            for first in [0, ~half] {
                try bench.tables.value.walk(from: page(first), through: page(first + half)) { entry in
                    #expect(last.map { $0 < entry.address.rawValue } != false, "in the order of addresses")
                    last = entry.address.rawValue
                    switch entry.content {
                    case .mapped(let at): found[last!] = .page(at.physical, at.size, at.permissions)
                    case .demand(let permissions):
                        let size = [PageSize.size4KiB, .size2MiB, .size1GiB].first { $0.byteCount == entry.byteCount }
                        found[last!] = .demand(permissions, size!)
                    case .guardPage: found[last!] = .guardPage
                    case .none: Issue.record("an empty entry is visited")
                    }
                    return true
                }
            }
            #expect(found == reference.entries)
        }

        func empty() throws {
            // Each area lies within one half of the address space.
            if features.fiveLevels {
                for base in RandomSequenceTests.farBases { clear(pages(base - 8 * gib, 20 * gib)) }
            }
            clear(pages(0x7e00_0000_0000, 0x100_0000_0000 + 8 * gib))
            clear(pages(0xffff_8880_0000_0000, 8 * gib))
            clear(pages(areas, 520 * gib))
            try check()
            #expect(bench.pool.inUse == 1 && reference.entries.isEmpty)
        }
    }
}
