import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

typealias TestedPool = MemoryPool<SimulatedPlatform>

/// A pool that can stand in `#expect`: as the other handles, it passes calls on.
final class PoolHandle {
    private let pool: TestedPool

    init(_ pool: consuming TestedPool) { self.pool = pool }

    func allocate(_ flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? { pool.allocate(flags: flags) }
    func free(_ element: UnsafeMutableRawPointer?) { pool.free(element) }
    func resize(to minimum: Int) throws { try pool.resize(to: minimum) }
    var reserved: Int { pool.reserved }
    var minimum: Int { pool.minimum }
}

enum PoolKind: CaseIterable, Sendable {
    case small, odd, cache, large, page, block

    func make(_ minimum: Int, on test: TestMachine, _ cache: TestedCache) throws -> PoolHandle {
        let kmalloc = test.kmalloc.target
        switch self {
        case .small: return PoolHandle(try TestedPool(minimum, elementSize: 64, in: kmalloc))
        case .odd: return PoolHandle(try TestedPool(minimum, elementSize: 5000, in: kmalloc))
        case .cache: return PoolHandle(try TestedPool(minimum, of: cache, in: kmalloc))
        case .large: return PoolHandle(try TestedPool(minimum, elementSize: 20_000, in: kmalloc))
        case .page: return PoolHandle(try TestedPool(minimum, order: 0, in: kmalloc))
        case .block: return PoolHandle(try TestedPool(minimum, order: 2, in: kmalloc))
        }
    }

    var byteCount: UInt {
        switch self {
        case .small: 64
        case .odd: 5000
        case .cache: 120
        case .large: 20_000
        case .page: 4096
        case .block: 16384
        }
    }
}

@Suite struct MemoryPoolTests {
    /// Runs `body` with a pool, and expects that everything is as before when that has ended.
    private func with(
        _ kind: PoolKind, _ minimum: Int = 4, memory: UInt = 8 << 20, _ body: (PoolHandle, TestMachine) throws -> Void
    ) throws {
        let test = TestMachine(memory: memory)
        try test.run {
            let before = test.freeFrames
            let cache = try test.kmalloc.makeCache("pool", 120, .noMerge)
            do {
                let pool = try kind.make(minimum, on: test, cache)
                #expect(pool.reserved == minimum)
                try test.kmalloc.checkInvariants()
                try body(pool, test)
                try test.kmalloc.checkInvariants()
            }
            #expect(test.kmalloc.destroyCache(cache))
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try test.kmalloc.checkInvariants()
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// Without memory the reserve serves, as many as there are, and is filled again first.
    @Test(arguments: PoolKind.allCases)
    func theReserveServesWhenMemoryIsGone(kind: PoolKind) throws {
        try with(kind) { pool, test in
            var held: [UnsafeMutableRawPointer] = []
            let taken = test.exhaust()
            while let element = pool.allocate(.kernel | .noWarn) {
                element.fill(kind.byteCount, seed: UInt64(held.count))
                held.append(element)
            }
            #expect(held.count >= 4)
            #expect(Set(held).count == held.count)
            #expect(pool.reserved == 0)
            // One that is freed can be had at once, in any context.
            for flags in [AllocationFlags.atomic, .noWait, .kernel] {
                pool.free(held.removeLast())
                #expect(pool.reserved == 1)
                held.append(try #require(pool.allocate(flags)))
                held.last!.fill(kind.byteCount, seed: UInt64(held.count - 1))
                #expect(pool.allocate(flags | .noWarn) == nil)
            }
            for (seed, element) in held.enumerated() {
                #expect(element.isFilled(kind.byteCount, seed: UInt64(seed), checked: kind.byteCount))
                pool.free(element)
            }
            #expect(pool.reserved == 4)
            test.giveBack(taken)
        }
    }

    @Test(arguments: PoolKind.allCases)
    func zeroedElementsAreZero(kind: PoolKind) throws {
        try with(kind) { pool, test in
            for _ in 0..<20 {
                let element = try #require(pool.allocate(.kernel | .zero))
                #expect(element.isZero(kind.byteCount))
                element.fill(kind.byteCount, seed: 3)
                pool.free(element)
            }
            let taken = test.exhaust()
            var held: [UnsafeMutableRawPointer] = []
            while let element = pool.allocate(.atomic | .zero | .noWarn) {
                #expect(element.isZero(kind.byteCount))
                held.append(element)
            }
            for element in held { pool.free(element) }
            test.giveBack(taken)
        }
    }

    @Test(arguments: PoolKind.allCases)
    func resizing(kind: PoolKind) throws {
        try with(kind) { pool, test in
            for minimum in [9, 2, 1, 30, 4] {
                try pool.resize(to: minimum)
                #expect(pool.minimum == minimum)
                #expect(pool.reserved == minimum)
                try test.kmalloc.checkInvariants()
            }
            #expect(throws: PoolError.badMinimum) { try pool.resize(to: 0) }
            #expect(throws: PoolError.badMinimum) { try pool.resize(to: .max) }
            let taken = test.exhaust()
            #expect(throws: PoolError.outOfMemory) { try pool.resize(to: 20_000) }
            #expect(pool.minimum == 4)
            #expect(pool.reserved == 4)
            // A smaller reserve needs no memory, and gives up no more than it must.
            try pool.resize(to: 3)
            #expect(pool.minimum == 3 && pool.reserved == 3)
            test.giveBack(taken)
        }
    }

    /// KASAN's mempool_double_free, mempool_invalid_free, and frees past the pool.
    @Test(arguments: PoolKind.allCases)
    func wrongFrees(kind: PoolKind) throws {
        try with(kind) { pool, test in
            let element = try #require(pool.allocate())
            let other = try #require(pool.allocate())
            let foreign = try #require(test.kmalloc.allocate(700))
            // Within the element; of somebody else; nowhere.
            for (address, kinds) in [
                (element.address + 8, [.misalignedFree, .wildFree]), (foreign.address, [.wrongCache, .wildFree]),
                (8, [.wildFree]), (UInt.max, [.wildFree]),
            ] as [(UInt, [MemoryViolation.Kind])] {
                pool.free(UnsafeMutableRawPointer(bitPattern: address))
                let found = test.violations()
                #expect(found.count == 1 && kinds.contains(found[0].kind), "\(found)")
                #expect(found.first?.call.description == "mempool_free")
            }
            // Into the reserve, which has lost one to make room; again, and past the pool.
            try pool.resize(to: 5)
            let taken = test.exhaust()
            var last: [UnsafeMutableRawPointer] = []
            while let more = pool.allocate(.atomic | .noWarn) { last.append(more) }
            pool.free(element)
            #expect(pool.reserved == 1)
            pool.free(element)
            #expect(test.violations().map(\.kind) == [.doubleFree])
            if kind != .page, kind != .block {
                test.kmalloc.free(element)
                #expect(test.violations().map(\.kind) != [])
            }
            #expect(pool.reserved == 1)
            #expect(pool.allocate(.atomic) == element)
            for more in last { pool.free(more) }
            test.giveBack(taken)
            // To where it came from, with the reserve full; then again.
            while pool.reserved < pool.minimum { pool.free(pool.allocate()) }
            pool.free(element)
            pool.free(element)
            #expect(test.violations().map(\.kind) == [.doubleFree])
            pool.free(other)
            test.kmalloc.free(foreign)
        }
    }

    @Test func anElementInUseWhenThePoolEnds() throws {
        let test = TestMachine()
        try test.run {
            var element: UnsafeMutableRawPointer?
            do {
                let pool = PoolHandle(try TestedPool(2, elementSize: 100, in: test.kmalloc.target))
                element = pool.allocate()
            }
            #expect(test.violations().map(\.kind) == [.objectInUse])
            test.kmalloc.free(element)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func badRequestsAreRefused() {
        let test = TestMachine()
        test.run {
            let before = test.counters()
            let kmalloc = test.kmalloc.target
            for minimum in [0, -1, Int.max, TestedPool.largestMinimum + 1] {
                #expect(throws: PoolError.badMinimum) {
                    PoolHandle(try TestedPool(minimum, elementSize: 8, in: kmalloc))
                }
            }
            for size in [0, Allocator.largestByteCount + 1, UInt.max] {
                #expect(throws: PoolError.badSize) { PoolHandle(try TestedPool(1, elementSize: size, in: kmalloc)) }
            }
            for order in [-1, 11] {
                #expect(throws: PoolError.badOrder) { PoolHandle(try TestedPool(1, order: order, in: kmalloc)) }
            }
            #expect(throws: PoolError.outOfMemory) { PoolHandle(try TestedPool(100, order: 9, in: kmalloc)) }
            test.kmalloc.shrink()
            #expect(test.freeFrames == UInt(before[0]))
            #expect(test.violations().isEmpty)
        }
    }

    /// Linux's names.
    @Test func byTheirLinuxNames() throws {
        let test = TestMachine()
        test.run {
            let kmalloc = test.kmalloc.target
            if let pool = TestedPool.mempool_create_kmalloc_pool(0, 8, in: kmalloc) {
                Issue.record("a pool of no elements")
                pool.mempool_destroy()
            }
            guard let pool = TestedPool.mempool_create_kmalloc_pool(2, 64, in: kmalloc) else {
                Issue.record("no pool")
                return
            }
            let element = pool.mempool_alloc(.kernel)
            let isResized = pool.mempool_resize(3)
            #expect(element != nil && isResized)
            pool.mempool_free(element)
            pool.mempool_destroy()
            #expect(test.violations().isEmpty)
        }
    }
}
