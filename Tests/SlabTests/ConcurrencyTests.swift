import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Synchronization
import TestSupport
import Testing

@testable import Slab

@Suite struct ConcurrencyTests {
    /// Four CPUs allocate, stamp what they have, and leave it for another CPU to check and free.
    @Test func objectsFreedByOtherCPUs() throws {
        let test = TestMachine(cpuCount: 4, options: PageFrameOptions())
        let before = test.run { test.freeFrames }
        let exchange = HostLock<[(address: UInt, size: UInt, stamp: UInt64)]>([])
        let damaged = Atomic<Int>(0)
        let seeded = SeededGenerator.fromEnvironment(default: 77)
        test.machine.onAllCPUs { cpu in
            var generator = seeded.forCPU(cpu)
            for _ in 0..<6000 {
                if Bool.random(using: &generator) {
                    let size = UInt.random(in: 8...1200, using: &generator)
                    guard let pointer = test.kmalloc.allocate(size) else { continue }
                    let stamp = generator.next()
                    pointer.storeBytes(of: stamp, as: UInt64.self)
                    let address = pointer.address
                    exchange.withLock { $0.append((address, size, stamp)) }
                } else {
                    let pick = generator.next()
                    let block = exchange.withLock { blocks -> (address: UInt, size: UInt, stamp: UInt64)? in
                        blocks.isEmpty ? nil : blocks.remove(at: Int(pick % UInt64(blocks.count)))
                    }
                    guard let block, let pointer = UnsafeMutableRawPointer(bitPattern: block.address) else { continue }
                    if pointer.load(as: UInt64.self) != block.stamp { damaged.add(1, ordering: .relaxed) }
                    test.kmalloc.free(pointer)
                }
            }
        }
        #expect(damaged.load(ordering: .relaxed) == 0)
        try test.run {
            try test.kmalloc.checkInvariants()
            for block in exchange.withLock({ $0 }) {
                test.kmalloc.free(UnsafeMutableRawPointer(bitPattern: block.address))
            }
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try test.kmalloc.checkInvariants()
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// All CPUs free the same objects and blocks at once: one each succeeds, three are reported.
    @Test(arguments: [64, 4096, 20000] as [UInt])
    func racingDoubleFreesAreCaught(size: UInt) throws {
        let test = TestMachine(cpuCount: 4, options: PageFrameOptions())
        for _ in 0..<20 {
            // Fewer than a magazine drains, so that no slab goes back while others still free into it.
            let addresses = try test.run {
                try (0..<8).map { _ in try #require(test.kmalloc.allocate(size)).address }
            }
            let start = Atomic<Int>(0)
            test.machine.onAllCPUs { _ in
                start.add(1, ordering: .sequentiallyConsistent)
                while start.load(ordering: .sequentiallyConsistent) < 4 {}
                for address in addresses { test.kmalloc.free(UnsafeMutableRawPointer(bitPattern: address)) }
            }
            let violations = test.violations()
            #expect(violations.count == 3 * addresses.count)
            // Above 8192 bytes the tag may be gone before the block is: then it is nobody's for a moment.
            #expect(violations.allSatisfy { $0.kind == .doubleFree || (size > 8192 && $0.kind == .wildFree) })
            // One that gets past the tag would be found by the buddy, too late for the counts.
            #expect(violations.allSatisfy { $0.call.description == "kfree" })
            #expect(test.kmalloc.largeBlockCount == 0)
            try test.run { try test.kmalloc.checkInvariants() }
        }
    }
}
