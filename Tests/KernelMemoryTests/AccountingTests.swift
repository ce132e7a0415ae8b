import BootMemory
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import KernelMemory

/// Every byte of RAM has one owner, and what has an owner is handed out to nobody else.
@Suite struct AccountingTests {
    /// Information and modules in the middle of memory, at any byte.
    static let crowded: Configuration = {
        var configuration = Configuration()
        configuration.information = 0x30_0f40
        configuration.modules = [0x28_0123..<0x28_9457, 0x31_0000..<0x31_0000, 0x34_0ffe..<0x34_1002]
        return configuration
    }()

    @Test(arguments: AddressSpaceTests.maps, [false, true])
    func everyByteHasOneOwner(map: MachineMap, isCrowded: Bool) throws {
        let machine = try KernelMachine(map, isCrowded ? Self.crowded : Configuration())
        let memory = usableMemory(map)
        let total = memory.reduce(0) { $0 + UInt($1.count) }
        var byOwner: [RegionOwner: UInt] = [:]
        machine.run {
            machine.memory.value.boot.value.forEachReserved { range, owner in
                byOwner[owner, default: 0] += memory.reduce(0) {
                    $0 + UInt($1.clamped(to: range.addresses).count)
                }
            }
        }
        // Frames are whole pages; what the allocators' own memory leaves of a page is nobody's.
        let free = machine.observer.freeAtHandOver
        let wholePages = free.reduce(0) { $0 + ($1.wholePages()?.byteCount ?? 0) }
        let remainders = free.reduce(0) { $0 + $1.byteCount } - wholePages
        let (managed, frames) = machine.run {
            (machine.memory.value.frames.value.managedFrames, machine.memory.value.frames.value.metadataByteCount)
        }
        #expect(managed * 4096 == wholePages)
        #expect(managed * 4096 + byOwner.values.reduce(0, +) + remainders == total)
        #expect(remainders < 4096)
        #expect(machine.run { machine.memory.value.boot.value.totalMemory } == total)
        #expect(machine.observer.framesAtHandOver.managed == managed)
        #expect(machine.observer.framesAtHandOver.free == managed)

        let image = machine.configuration.image
        #expect(byOwner[.kernelImage] == image.loaded.byteCount - image.bootPart.byteCount)
        #expect(byOwner[.frameTable, default: 0] + byOwner[.zones, default: 0] == frames)
        #expect(byOwner[.pageTables] == UInt(machine.tablesOfBootMemory) * 4096)
        #expect(byOwner[.lowMemory] == memory.reduce(0) { $0 + UInt($1.clamped(to: 0..<1 << 20).count) })
        if isCrowded {
            #expect(byOwner[.module, default: 0] == 0xc000)
            #expect(byOwner[.multiboot, default: 0] >= 4096)
        }
        try machine.check()
    }

    /// A boot loader that claims more map than there is takes no memory with it: all but the pages that its information
    /// lies in stays free.
    @Test(arguments: [0x1_0000, 0x1000_0000, 0x7fff_ffff, .max] as [UInt32])
    func aMapLengthThatLiesCostsNothing(claimed: UInt32) throws {
        let map = MachineMap.pc(bytes: 64 << 20)
        var configuration = Self.crowded
        let honest = try KernelMachine(map, configuration)
        configuration.claimedMapLength = claimed
        let lied = try KernelMachine(map, configuration)
        #expect(lied.observer.freeAtHandOver == honest.observer.freeAtHandOver)
        try lied.check()
    }

    /// What a memory test finds bad is reserved before the page frames take over, the boot part of the image included.
    @Test func badMemoryReachesNobody() throws {
        var configuration = Self.crowded
        // In the boot part, twice in one page, in a page of its own, and in the image, which is not tested.
        configuration.badWords = [0x10_2008, 0x180_0000, 0x180_0ff8, 0x18_0000, 0x200_0008]
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        let bad: [UInt] = [0x10_2000, 0x180_0000, 0x200_0000]
        #expect(
            machine.run {
                bad.map { machine.memory.value.boot.value.owner(of: PhysicalAddress($0)) }
            } == [.badMemory, .badMemory, .badMemory])
        let total = machine.run { machine.memory.value.boot.value.totalReserved(by: .badMemory) }
        #expect(total == 3 * 4096)
        #expect(machine.observer.freeAtHandOver.allSatisfy { free in bad.allSatisfy { !free.addresses.contains($0) } })
        var taken: Set<UInt> = []
        machine.run {
            let frames = machine.memory.value.frames
            while let frame = frames.value.allocate(order: 0) { taken.insert(frame.address.rawValue) }
        }
        #expect(taken.count > 10_000 && taken.isDisjoint(with: bad))
    }

    /// Takes all memory that there is to have, in blocks as large as can be had.
    @Test(arguments: [MachineMap.pc(bytes: 64 << 20), .pc(bytes: 512 << 20), .large(gibibytes: 5), .oddEnds])
    func nothingThatIsInUseIsHandedOut(map: MachineMap) throws {
        let machine = try KernelMachine(map, Self.crowded)
        let before = machine.freeBlocks()
        let image = machine.configuration.image
        var forbidden: [Range<UInt>] = [
            0..<1 << 20, image.code.physical.addresses, image.constants.physical.addresses,
            image.data.physical.addresses, machine.information,
        ]
        forbidden += machine.configuration.modules.filter { !$0.isEmpty }
        let reserved = machine.reservedRanges()
        let memory = usableMemory(map)

        var taken: [(frame: PageFrameNumber, order: Int)] = []
        machine.run {
            let frames = machine.memory.value.frames
            for order in (0...10).reversed() {
                while let frame = frames.value.allocate(order: order) { taken.append((frame, order)) }
            }
        }
        #expect(machine.run { machine.memory.value.frames.value.freeFrames } == 0)
        let blocks = taken.map { block in
            block.frame.address.rawValue..<block.frame.address.rawValue + 4096 << UInt(block.order)
        }.sorted { $0.lowerBound < $1.lowerBound }
        #expect(zip(blocks, blocks.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
        #expect(blocks.allSatisfy { block in memory.contains { $0.clamped(to: block) == block } })
        #expect(blocks.allSatisfy { block in !(forbidden + reserved).contains { $0.overlaps(block) } })
        #expect(blocks.reduce(0) { $0 + $1.count } == before.reduce(0) { $0 + $1.bytes })
        // The boot part is memory like any other now.
        let bootPart = image.bootPart.addresses
        let ofBootPart = blocks.reduce(0) { $0 + $1.clamped(to: bootPart).count }
        #expect(ofBootPart == bootPart.count)

        machine.run { for block in taken { machine.memory.value.frames.value.free(block.frame, order: block.order) } }
        #expect(machine.freeBlocks() == before)
        try machine.check()
    }
}

/// The free blocks of one order in one zone.
struct FreeBlocks: Equatable {
    var zone: ZoneKind
    var order: Int
    var count: UInt

    var bytes: Int { Int(count) * 4096 << order }
}

extension KernelMachine {
    /// The numbers of free blocks, zone by zone and order by order.
    func freeBlocks() -> [FreeBlocks] {
        run {
            [ZoneKind.dma, .dma32, .normal].flatMap { zone in
                let figures = memory.value.frames.value.statistics(of: zone)
                return (0...10).map { FreeBlocks(zone: zone, order: $0, count: figures.freeBlocks[$0]) }
            }
        }
    }

    /// What the boot allocator gave away for good.
    func reservedRanges() -> [Range<UInt>] {
        var ranges: [Range<UInt>] = []
        run { memory.value.boot.value.forEachReserved { range, _ in ranges.append(range.addresses) } }
        return ranges
    }
}
