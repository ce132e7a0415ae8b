import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Linux's test_meminit: after garbage and free, what is promised to be zero is zero, and what a constructor wrote stays.
@Suite struct InitialContentsTests {
    @Test(arguments: 0...10)
    func pages(order: Int) throws {
        let test = TestMachine(memory: 16 << 20)
        try test.run {
            for flags in [AllocationFlags.kernel, .kernel | .zero] {
                let frame = try #require(test.frames.allocate(order: order, flags: flags))
                let memory = test.directMap.pointer(to: frame)
                if flags.contains(.zero) { #expect(memory.isZero(4096 << UInt(order))) }
                memory.fill(4096 << UInt(order), seed: 0xbad)
                test.frames.free(frame, order: order)
            }
        }
    }

    @Test func kmallocOfEverySize() {
        let test = TestMachine(memory: 16 << 20)
        test.run {
            for shift in 0...19 {
                let size = UInt(1) << UInt(shift)
                for flags in [AllocationFlags.kernel, .kernel | .zero] {
                    let objects = (0..<3).compactMap { _ in test.kmalloc.allocate(size, flags: flags) }
                    #expect(objects.count == 3)
                    for object in objects {
                        let whole = test.kmalloc.size(of: object)
                        if flags.contains(.zero) { #expect(object.isZero(whole)) }
                        object.fill(whole, seed: 0xbad)
                    }
                    for object in objects { test.kmalloc.free(object) }
                }
            }
            #expect(test.violations().isEmpty)
        }
    }

    /// Constructor or none, zeroed or not, one by one or many at once; with garbage behind what the constructor wrote.
    @Test(arguments: [8, 16, 32, 96, 256, 1024, 4096] as [UInt], [false, true])
    func objectsOfCaches(size: UInt, isConstructed: Bool) throws {
        let test = TestMachine()
        try test.run {
            let constructor: ObjectConstructor? =
                isConstructed ? { $0.storeBytes(of: 0x41_42_43_44_45_46_47_48, as: UInt64.self) } : nil
            let cache = try test.kmalloc.makeCache("meminit", size, .none, constructor)
            for round in 0..<4 {
                for flags in [AllocationFlags.kernel, .kernel | .zero] {
                    let objects =
                        round % 2 == 0
                        ? (0..<100).compactMap { _ in cache.allocate(flags: flags) }
                        : try #require(cache.allocateAll(100, flags: flags))
                    #expect(Set(objects).count == 100)
                    for object in objects {
                        if isConstructed {
                            #expect(object.load(as: UInt64.self) == 0x41_42_43_44_45_46_47_48)
                        } else if flags.contains(.zero) {
                            #expect(object.isZero(size))
                        }
                        let start = isConstructed ? 8 : 0
                        (object + start).fill(size - UInt(start), seed: 0xbad)
                    }
                    if round < 2 { cache.freeAll(objects) } else { for object in objects { cache.free(object) } }
                }
            }
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.violations().isEmpty)
        }
    }
}
