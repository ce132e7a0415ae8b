import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Synchronization
import Testing

@testable import Slab

/// Caches that come and go, beside kmalloc, against a model of who has what.
@Suite struct CacheModelTests {
    private struct Kept {
        var cache: TestedCache
        var size: UInt
        var objects: [(pointer: UnsafeMutableRawPointer, seed: UInt64)] = []
    }

    private struct Run {
        let test: TestMachine
        var generator: SeededGenerator
        var caches: [Kept] = []

        mutating func step() throws {
            switch UInt.random(in: 0..<24, using: &generator) {
            case 0 where caches.count < 12: try make()
            case 1 where !caches.isEmpty: try destroy(.random(in: 0..<caches.count, using: &generator))
            case 2: test.kmalloc.shrink()
            case 3...5: useKmalloc()
            case 6...9 where !caches.isEmpty: allocateMany(.random(in: 0..<caches.count, using: &generator))
            case 10...13 where !caches.isEmpty: freeMany(.random(in: 0..<caches.count, using: &generator))
            case _ where !caches.isEmpty: allocate(.random(in: 0..<caches.count, using: &generator))
            default: try make()
            }
        }

        mutating func make() throws {
            let size = UInt.random(in: 1...(Bool.random(using: &generator) ? 200 : 9000), using: &generator)
            let flags: CacheFlags = [.none, .noMerge, .hardwareCacheAlign, .reclaimable].randomElement(
                using: &generator)!
            let alignment = [0, 8, 32, 256].randomElement(using: &generator)! as UInt
            caches.append(
                Kept(cache: try test.kmalloc.makeCache("model", size, alignment: alignment, flags), size: size))
        }

        /// A cache with objects stays, and says how many are in which slabs; but where others share it, only this user leaves.
        mutating func destroy(_ index: Int) throws {
            let kept = caches[index]
            let isShared =
                caches.contains { $0.cache == kept.cache } && caches.filter { $0.cache == kept.cache }.count > 1
            if kept.objects.isEmpty || !isShared {
                let isGone = test.kmalloc.destroyCache(kept.cache)
                #expect(isGone == kept.objects.isEmpty)
                var expected: [UInt: UInt] = [:]
                for object in kept.objects {
                    expected[try #require(test.kmalloc.slab(of: object.pointer.address)).base, default: 0] += 1
                }
                let found = test.violations()
                #expect(found.allSatisfy { $0.kind == .objectInUse } && found.count == expected.count)
                #expect(Dictionary(uniqueKeysWithValues: found.map { ($0.address, $0.value) }) == expected)
                if isGone { caches.remove(at: index) }
            }
        }

        mutating func note(_ index: Int, _ pointer: UnsafeMutableRawPointer) {
            let seed = generator.next()
            pointer.fill(caches[index].size, seed: seed)
            caches[index].objects.append((pointer, seed))
        }

        mutating func allocate(_ index: Int) {
            let zero = Bool.random(using: &generator)
            guard let pointer = caches[index].cache.allocate(flags: zero ? .kernel | .zero : .kernel) else { return }
            if zero { #expect(pointer.isZero(caches[index].size)) }
            note(index, pointer)
        }

        mutating func allocateMany(_ index: Int) {
            let count = Int.random(in: 0...40, using: &generator)
            for pointer in caches[index].cache.allocateAll(count) ?? [] { note(index, pointer) }
        }

        mutating func freeMany(_ index: Int) {
            let count = min(caches[index].objects.count, .random(in: 0...60, using: &generator))
            caches[index].objects.shuffle(using: &generator)
            let freed = caches[index].objects.suffix(count)
            caches[index].objects.removeLast(count)
            for object in freed {
                #expect(object.pointer.isFilled(caches[index].size, seed: object.seed, checked: caches[index].size))
            }
            if Bool.random(using: &generator) {
                caches[index].cache.freeAll(freed.map(\.pointer))
            } else {
                for object in freed { caches[index].cache.free(object.pointer) }
            }
        }

        mutating func useKmalloc() {
            let size = UInt.random(in: 1...9000, using: &generator)
            guard let pointer = test.kmalloc.allocate(size) else { return }
            pointer.fill(size, seed: UInt64(size))
            #expect(pointer.isFilled(size, seed: UInt64(size), checked: size))
            test.kmalloc.free(pointer)
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func sequencesAgreeWithTheModel(round: UInt64) throws {
        let options = TestMachine.combinations[Int(round) - 1]
        let test = TestMachine(memory: 8 << 20, cpuCount: 2, options: options)
        var run = Run(test: test, generator: SeededGenerator.fromEnvironment(default: 0xcac4_e000 + round))
        let before = test.run { test.freeFrames }
        for _ in 0..<1500 {
            try test.run(onCPU: .random(in: 0..<2, using: &run.generator)) {
                try run.step()
                try test.kmalloc.checkInvariants()
            }
        }
        try test.run {
            for kept in run.caches { kept.cache.freeAll(kept.objects.map(\.pointer)) }
            for kept in run.caches { #expect(test.kmalloc.destroyCache(kept.cache)) }
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try test.kmalloc.checkInvariants()
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }
}
