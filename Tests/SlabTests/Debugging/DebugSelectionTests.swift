import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct DebugSelectionTests {
    private static let standard: CacheFlags = [.consistencyChecks, .redZone, .poison, .storeUser]

    private func flags(_ value: StaticString?, _ name: StaticString) -> CacheFlags {
        DebugSelection(value?.buffer) { _ in }.flags(for: CacheName(name))
    }

    @Test func lettersWithoutNamesHoldForAll() {
        #expect(DebugSelection().flags(for: CacheName("kmalloc-8")) == .none)
        #expect(flags(nil, "kmalloc-8") == Self.standard)
        #expect(flags("", "kmalloc-8") == Self.standard)
        #expect(flags("FZPU", "kmalloc-8") == Self.standard)
        #expect(flags("fzput", "dentry") == Self.standard.union(.trace))
        #expect(flags("P", "dentry") == .poison)
        #expect(flags("-", "dentry") == .none)
        #expect(flags("FZ-P", "dentry") == .poison)
    }

    @Test func namesChooseTheirCachesAlone() {
        #expect(flags("P,kmalloc-64", "kmalloc-64") == .poison)
        #expect(flags("P,kmalloc-64", "kmalloc-640") == .none)
        #expect(flags("P,kmalloc-64", "kmalloc-6") == .none)
        #expect(flags("P,kmalloc-64,kmalloc-96", "kmalloc-96") == .poison)
        #expect(flags(",dentry*", "dentry") == Self.standard)
        #expect(flags(",dentry*", "dentry_cache") == Self.standard)
        #expect(flags(",dentry*", "dent") == .none)
        #expect(flags("Z,*", "anything") == .redZone)
        #expect(flags("-,kmalloc-8", "kmalloc-8") == .none)
    }

    @Test func theFirstBlockThatNamesACacheHolds() {
        #expect(flags("FZ,dentry;P", "dentry") == [.consistencyChecks, .redZone])
        #expect(flags("FZ,dentry;P", "inode") == .poison)
        #expect(flags("P;FZ,dentry", "dentry") == [.consistencyChecks, .redZone])
        #expect(flags("F;;-,kmalloc-8;U,kmalloc-*;", "kmalloc-8") == .none)
        #expect(flags("F;;-,kmalloc-8;U,kmalloc-*;", "kmalloc-16") == .storeUser)
        #expect(flags("F;;-,kmalloc-8;U,kmalloc-*;", "dentry") == .consistencyChecks)
    }

    @Test func unknownLettersAreNamedOnce() {
        var unknown: [UInt8] = []
        let value: StaticString = "FQZ,Q;x"
        let selection = DebugSelection(value.buffer) { unknown.append($0) }
        #expect(unknown == [UInt8(ascii: "Q"), UInt8(ascii: "x")])
        #expect(selection.flags(for: CacheName("Q")) == [.consistencyChecks, .redZone])
    }

    /// Whatever stands there: an answer, and no read beyond the text.
    @Test func anyTextHasAMeaning() {
        var generator = SeededGenerator.fromEnvironment(default: 0xdeb0)
        for _ in 0..<3000 {
            let text = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                Array("FZ-,;*k8".utf8).randomElement(using: &generator)!
            }
            text.withUnsafeBytes { bytes in
                let selection = DebugSelection(bytes) { _ in }
                #expect(selection.flags(for: CacheName("k8")).rawValue & ~Self.standard.rawValue == 0)
                #expect(FailurePlan(bytes) == nil)
            }
        }
    }

    @Test func failurePlans() throws {
        func plan(_ value: StaticString) -> FailurePlan? { FailurePlan(value.buffer) }
        let third = try #require(plan("nth:3"))
        #expect(third.nth == 3 && third.percentage == 0 && third.concerns(CacheName("dentry")))
        let tenth = try #require(plan("probability:10,kmalloc-*"))
        #expect(tenth.nth == 0 && tenth.percentage == 10)
        #expect(tenth.concerns(CacheName("kmalloc-8")) && !tenth.concerns(CacheName("dentry")))
        for bad in ["", "nth", "nth:", "nth:x", "nth:3x", "3", "probability:101", "nth:99999999999999999999", ",a"]
            as [StaticString]
        {
            #expect(plan(bad) == nil, "\(bad)")
        }
    }

    @Test func onlyChosenCachesAreWatched() {
        let test = TestMachine(slab: SlabOptions(slubDebug: "P,kmalloc-64"))
        test.run {
            #expect(test.kmalloc.cache("kmalloc-64").isWatched && !test.kmalloc.cache("kmalloc-80").isWatched)
            #expect(test.kmalloc.statistics(of: "kmalloc-80").objectSize == 80)
        }
    }

    /// Linux's slots under the same letters have the same left red zone, object and alignment.
    @Test func slotsHoldAllPartsAndKeepTheAlignment() {
        let test = TestMachine(slab: SlabOptions(slubDebug: "FZPU"))
        test.run {
            test.kmalloc.target.value.forEachCache { cache in
                let parts = cache.parts
                let alignment = parts.objectOffset
                #expect(alignment >= 8 && parts.objectSize % min(alignment, 64) == 0 && parts.slotSize % alignment == 0)
                #expect(parts.redZoneEnd > parts.objectSize)
                #expect(parts.paddingOffset <= parts.paddingEnd)
                #expect(cache.layout.slotSize == parts.slotSize && cache.layout.objectCount >= 1)
            }
            let parts = test.kmalloc.cache("kmalloc-64").parts
            #expect(parts.objectOffset == 64 && parts.redZoneEnd == 72 && parts.slotSize == 320)
        }
    }
}
