import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import Slab

typealias TestedPartition = FixedPartition<SimulatedPlatform>

@Suite struct FixedPartitionTests {
    /// A partition that can stand in `#expect`.
    private final class Handle {
        let partition: TestedPartition

        init(_ storage: UnsafeMutableRawBufferPointer, _ blockSize: UInt, _ blockCount: Int) throws(PartitionError) {
            partition = try TestedPartition(in: storage, blockSize: blockSize, blockCount: blockCount)
        }

        func get() -> UnsafeMutableRawPointer? { partition.get() }
        func put(_ block: UnsafeMutableRawPointer?) -> Bool { partition.put(block) }
        var freeCount: Int { partition.freeCount }
    }

    private func with(
        _ blockSize: UInt, _ blockCount: Int, _ body: (Handle, UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        let machine = SimulatedMachine(memory: 1 << 20)
        let byteCount = TestedPartition.byteCount(blockSize: blockSize, blockCount: blockCount)
        // What lies beside the storage stays as it is.
        let all = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(byteCount) + 128, alignment: 64)
        defer { all.deallocate() }
        all.initializeMemory(as: UInt8.self, repeating: 0xa5)
        let storage = UnsafeMutableRawBufferPointer(rebasing: all[64..<(64 + Int(byteCount))])
        try machine.run { try body(Handle(storage, blockSize, blockCount), storage) }
        #expect(all[..<64].allSatisfy { $0 == 0xa5 } && all[(64 + Int(byteCount))...].allSatisfy { $0 == 0xa5 })
        #expect(machine.takeViolations().isEmpty)
    }

    @Test(arguments: [(8, 1), (8, 100), (24, 7), (64, 33), (4096, 3)] as [(UInt, Int)])
    func everyBlockCanBeHad(blockSize: UInt, blockCount: Int) throws {
        try with(blockSize, blockCount) { partition, storage in
            for round in 0..<3 {
                #expect(partition.freeCount == blockCount)
                let blocks = (0..<blockCount).compactMap { _ in partition.get() }
                #expect(Set(blocks).count == blockCount)
                #expect(partition.freeCount == 0)
                #expect(partition.get() == nil)
                for (seed, block) in blocks.enumerated() { block.fill(blockSize, seed: UInt64(seed + round)) }
                for (seed, block) in blocks.enumerated() {
                    #expect(block.isFilled(blockSize, seed: UInt64(seed + round), checked: blockSize))
                    #expect(partition.put(block))
                    // A late write does no harm.
                    block.fill(blockSize, seed: 0xbad)
                }
            }
        }
    }

    @Test func wrongPutsAreRefused() throws {
        let machine = SimulatedMachine(memory: 1 << 20)
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 64)
        defer { storage.deallocate() }
        try machine.run {
            let partition = try Handle(storage, 48, 10)
            let block = try #require(partition.get())
            let start = storage.baseAddress!
            let cases: [(UnsafeMutableRawPointer?, MemoryViolation.Kind)] = [
                (nil, .wildFree), (start - 48, .wildFree), (start + 480, .wildFree), (block + 1, .misalignedFree),
                (block + 47, .misalignedFree), (start + 9 * 48, .doubleFree), (start + 9 * 48 + 8, .misalignedFree),
                (UnsafeMutableRawPointer(bitPattern: UInt.max), .wildFree),
            ]
            for (address, kind) in cases {
                #expect(!partition.put(address))
                #expect(machine.takeViolations().map(\.kind) == [kind])
                #expect(partition.freeCount == 9)
            }
            #expect(partition.put(block))
            #expect(!partition.put(block))
            #expect(machine.takeViolations().map(\.kind) == [.doubleFree])
            #expect(partition.freeCount == 10)
        }
    }

    @Test func badStorageIsRefused() throws {
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 64)
        defer { storage.deallocate() }
        func refused(_ error: PartitionError, _ storage: UnsafeMutableRawBufferPointer, _ size: UInt, _ count: Int) {
            #expect(throws: error) { try Handle(storage, size, count) }
        }
        refused(.badBlockSize, storage, 0, 1)
        refused(.badBlockSize, storage, 12, 1)
        refused(.badBlockSize, storage, 1 << 63, 2)
        refused(.badBlockCount, storage, 8, 0)
        refused(.badBlockCount, storage, 8, -1)
        refused(.badBlockCount, storage, 8, .max)
        refused(.storageTooSmall, storage, 4096, 1)
        refused(.storageTooSmall, UnsafeMutableRawBufferPointer(start: nil, count: 0), 8, 1)
        refused(.misalignedStorage, UnsafeMutableRawBufferPointer(rebasing: storage[4...]), 8, 1)
        #expect(TestedPartition.byteCount(blockSize: 12, blockCount: 1) == 0)
        #expect(TestedPartition.byteCount(blockSize: 8, blockCount: 0) == 0)
    }
}
