import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Elements in a memory pool's reserve are filled where free objects are, and looked at when they leave it, as those of
/// Linux's mempool are.
@Suite struct ReservedElementTests {
    static let poisoning: [StaticString] = ["P", "FZPU", "PZ"]

    /// A pool whose elements come from the reserve, as there is no memory.
    private func with(
        _ kind: PoolKind, _ letters: StaticString?, _ flags: CacheFlags = .noMerge,
        _ body: (PoolHandle, TestMachine) throws -> Void
    ) throws {
        let test = TestMachine(memory: 8 << 20, slabOptions: SlabOptions(slubDebug: letters))
        try test.run {
            let cache = try test.kmalloc.makeCache("pool", 120, flags)
            do {
                let pool = try kind.make(4, on: test, cache)
                let taken = test.exhaust()
                // What the slabs still have.
                var objects: [UnsafeMutableRawPointer] = []
                while pool.reserved == 4, let object = pool.allocate(.noWarn) { objects.append(object) }
                let last = objects.popLast()
                pool.free(last)
                #expect(pool.reserved == 4)
                try body(pool, test)
                for object in objects { pool.free(object) }
                test.giveBack(taken)
            }
            #expect(test.kmalloc.validate() == 0)
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.violations().isEmpty)
            try test.kmalloc.checkInvariants()
        }
    }

    @Test(arguments: [PoolKind.small, .odd, .cache], poisoning.indices)
    func aWriteIsFoundWhenTheElementIsHandedOut(kind: PoolKind, choice: Int) throws {
        try with(kind, Self.poisoning[choice]) { pool, test in
            for offset in [0, 7, 40, Int(kind.byteCount) - 1] {
                let element = try #require(pool.allocate(.noWarn))
                element.fill(kind.byteCount, seed: 9)
                pool.free(element)
                #expect(test.violations().isEmpty && pool.reserved == 4)
                element[offset] = 0x42
                #expect(pool.allocate(.noWarn) == element)
                let found = test.violations()
                #expect(found.map(\.kind) == [.writeAfterFree])
                #expect(found.first?.address == element.address + UInt(offset))
                // Once, and made good.
                #expect(element[offset] != 0x42)
                pool.free(element)
                #expect(pool.allocate(.noWarn) == element && test.violations().isEmpty)
                pool.free(element)
            }
        }
    }

    @Test func aWriteIsFoundByAWalkAndWhenThePoolEnds() throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "P"))
        try test.run {
            let cache = try test.kmalloc.makeCache("pool", 120, .noMerge)
            var element: UnsafeMutableRawPointer?
            do {
                let pool = try PoolKind.cache.make(2, on: test, cache)
                element = pool.allocate()
                try pool.resize(to: 4)
                pool.free(pool.allocate())
                // The reserve is full: one of its elements is the first object of the slab.
                let first = try #require(element)
                let slab = try #require(test.kmalloc.slab(of: first.address))
                let reserved = try #require((0..<slab.objectCount).first { slab.state($0) == .reserved })
                let address = slab.address(of: reserved, slotSize: 120)
                let object = try #require(UnsafeMutableRawPointer(bitPattern: address))
                #expect(test.kmalloc.validate() == 0)
                object[3] = 1
                #expect(test.kmalloc.validate() == 1 && test.kmalloc.validate() == 0)
                #expect(test.violations().map(\.kind) == [.writeAfterFree])
                object[119] = 1
                pool.free(element)
            }
            #expect(test.violations().map(\.kind) == [.writeAfterFree])
            #expect(test.kmalloc.destroyCache(cache))
        }
    }

    /// Without poison nothing is written into an element, nor where the objects are to keep their contents.
    @Test(arguments: [(nil, .noMerge), ("FZU", .noMerge), ("P", .typesafe)] as [(StaticString?, CacheFlags)])
    func elementsKeepTheirContents(letters: StaticString?, flags: CacheFlags) throws {
        try with(.cache, letters, flags) { pool, test in
            let element = try #require(pool.allocate(.noWarn))
            element.fill(120, seed: 2)
            let before = element.bytes(0..<120)
            pool.free(element)
            #expect(element.bytes(0..<120) == before)
            element[5] = ~element[5]
            #expect(pool.allocate(.noWarn) == element && test.violations().isEmpty)
            pool.free(element)
        }
    }

    /// An object of kmalloc's that was asked for with fewer bytes has a red zone in it, which stays.
    @Test func smallerObjectsInAReserve() throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "FZPU"))
        try test.run {
            let cache = try test.kmalloc.makeCache("pool", 120, .noMerge)
            let pool = try PoolKind.small.make(1, on: test, cache)
            let own = try #require(pool.allocate())
            let taken = test.exhaust()
            // Of the same class, and put into the reserve in the place of the pool's.
            var last = pool.allocate(.noWarn)
            while pool.reserved == 1 { last = pool.allocate(.noWarn) }
            #expect(last != nil)
            test.giveBack(taken)
            let object = try #require(test.kmalloc.allocate(60))
            pool.free(object)
            #expect(pool.reserved == 1 && test.kmalloc.validate() == 0)
            object[60] = 0
            #expect(test.kmalloc.validate() == 1)
            #expect(test.violations().map(\.kind) == [.overrun])
            object[59] = 0
            #expect(test.kmalloc.validate() == 1)
            #expect(test.violations().map(\.kind) == [.writeAfterFree])
            _ = (own, last)
        }
    }
}
