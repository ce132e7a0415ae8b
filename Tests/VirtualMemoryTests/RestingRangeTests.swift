import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Ranges that rest after they were freed, bounds, and many areas: the allocator of ranges against a plain model.
@Suite struct RestingRangeTests {
    /// 2048 pages, so that exhaustion is near.
    static let space = VirtualRangeAllocatorTests.space

    /// What is taken, by area or by what rests, and who rests, the oldest first.
    struct Model {
        let restingPages: UInt
        var areas: [VirtualRange] = []
        var resting: [VirtualRange] = []

        /// Where an area has to go; nil where there is no room.
        mutating func allocate(_ pages: UInt, _ request: AreaRequest) -> VirtualRange? {
            if request.bounds == nil, request.alignment == 4096,
                let index = resting.firstIndex(where: { $0.byteCount == pages * 4096 })
            {
                areas.append(resting.remove(at: index))
                return areas.last
            }
            var found = lowest(pages, request)
            if found == nil && !resting.isEmpty {
                resting = []
                found = lowest(pages, request)
            }
            if let found { areas.append(found) }
            return found
        }

        private func lowest(_ pages: UInt, _ request: AreaRequest) -> VirtualRange? {
            let bounds = request.bounds ?? RestingRangeTests.space
            var start = RestingRangeTests.space.start
            let taken = (areas + resting).sorted { $0.start < $1.start }
            for end in taken.map(\.start) + [RestingRangeTests.space.end] {
                let from = max(start, bounds.start)
                if from <= end, end.rawValue - from.rawValue >= pages * 4096 + request.alignment - 4096 {
                    let below = UInt(request.guardPagesBelow) * 4096
                    let usable = (from + below).roundedUp(to: request.alignment)!
                    let range = VirtualRange(usable - below, usable - below + pages * 4096)
                    return range.end <= bounds.end ? range : nil
                }
                start = taken.first { $0.start == end }?.end ?? end
            }
            return nil
        }

        mutating func free(at index: Int) -> VirtualRange {
            let range = areas.remove(at: index)
            let pages = range.byteCount / 4096
            let ofThisSize = resting.filter { $0.byteCount == range.byteCount }.count
            if pages <= 127, UInt(ofThisSize) < min(8, restingPages / pages) { resting.append(range) }
            return range
        }
    }

    @Test(arguments: [UInt64(21), 22, 23], [UInt(0), 16, 80])
    func agreesWithAPlainModel(seed: UInt64, restingPages: UInt) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        let machine = VmallocMachine(space: Self.space, restingPages: restingPages)
        var model = Model(restingPages: restingPages)
        try machine.run {
            machine.vmalloc.value.ranges.giveUpResting()
            for step in 0..<2000 {
                let grows = Int.random(in: 0..<10, using: &random) < (step < 1000 ? 7 : 4)
                if grows {
                    let request = Self.request(&random)
                    let guards = UInt(request.guardPagesBelow) + UInt(request.guardPagesAbove)
                    let area = machine.ranges.allocate(request)
                    #expect(area?.range == model.allocate(request.pageCount + guards, request))
                    if let area { machine.ranges.publish(area, presentPages: 0) }
                } else if let index = model.areas.indices.randomElement(using: &random) {
                    let range = model.free(at: index)
                    let found = try #require(machine.ranges.area(containing: range.start))
                    #expect(found.range == range)
                    #expect(machine.vmalloc.value.ranges.free(found.usable.start, kind: .stack) == nil)
                    #expect(machine.ranges.area(containing: range.start) == nil, "what rests is no area")
                }
                try machine.ranges.checkInvariants()
            }
            #expect(machine.statistics.areas.areas == UInt(model.areas.count))
        }
        #expect(machine.takeKinds() == [])
    }

    static func request(_ random: inout SeededGenerator) -> AreaRequest {
        var request = AreaRequest(
            .stack, pageCount: UInt.random(in: 1...30, using: &random),
            guardPagesBelow: UInt16.random(in: 0...1, using: &random),
            guardPagesAbove: UInt16.random(in: 0...1, using: &random), name: "model")
        if Int.random(in: 0..<3, using: &random) == 0 {
            request.alignment = 8192 << UInt.random(in: 0...4, using: &random)
        }
        if Int.random(in: 0..<3, using: &random) == 0 {
            let first = UInt.random(in: 0..<2048, using: &random)
            let last = UInt.random(in: first...2048, using: &random)
            request.bounds = VirtualRange(space.start + first * 4096, space.start + last * 4096)
        }
        return request
    }

    @Test func aSecondFreeOfWhatRestsIsADoubleFree() throws {
        let machine = VmallocMachine(restingPages: 80)
        let address = try #require(machine.allocate(8192, populate: true))
        machine.free(address)
        #expect(machine.takeKinds() == [])
        machine.free(address)
        #expect(machine.takeKinds() == [.doubleFree])
        machine.free(address + 4096)
        #expect(machine.takeKinds() == [.wildFree])
        machine.run {
            let place = machine.vmalloc.value.describe(address + 5)
            #expect(place.place == .freed)
            #expect(place.area?.usable.start == address)
        }
        #expect(throws: (any Error).self) { try machine.load(address) }
        // The same range, with pages of its own.
        #expect(machine.allocate(8192, populate: true) == address)
        #expect(try machine.load(address + 4096) == machine.load(address + 4096))
        machine.free(address)
        try machine.checkAll()
    }

    @Test func boundsOutsideTheSpaceAreRefused() {
        let machine = VmallocMachine(space: Self.space)
        let before = machine.snapshot()
        machine.run {
            var request = AreaRequest(.device, pageCount: 1, name: "bounds")
            request.bounds = VirtualRange(VirtualAddress(4096), VirtualAddress(1 << 30))
            #expect(machine.ranges.allocate(request) == nil)
            request.bounds = VirtualRange(Self.space.start + 8192, Self.space.start + 12288)
            #expect(machine.ranges.allocate(request) == nil, "no room for the guard page")
            request.bounds = VirtualRange(Self.space.start + 8192, Self.space.start + 16384)
            let area = machine.ranges.allocate(request)
            #expect(area?.range == request.bounds)
            if let area { machine.ranges.abandon(area) }
        }
        #expect(machine.snapshot() == before)
    }

    /// Linux's `long_busy_list`, and the exact height of the tree that it makes.
    @Test func fifteenThousandAreasKeepTheTreeLow() throws {
        let machine = VmallocMachine(mebibytes: 16, restingPages: 80)
        var random = SeededGenerator.fromEnvironment(default: 31)
        try machine.run {
            let ranges = machine.ranges
            var starts: [VirtualAddress] = []
            for _ in 0..<15_000 {
                var request = AreaRequest(.vmalloc, pageCount: UInt.random(in: 1...64, using: &random), name: "busy")
                request.isLiveAtOnce = true
                starts.append(try #require(ranges.allocate(request)).usable.start)
            }
            let allocator = machine.vmalloc
            #expect(try #require(allocator.value.ranges.unlockedState.tree.tree.root).height <= 20)
            for index in stride(from: 0, to: 15_000, by: 2) {
                #expect(allocator.value.ranges.free(starts[index]) == nil)
            }
            try ranges.checkInvariants()
            for index in stride(from: 1, to: 15_000, by: 2) {
                #expect(ranges.area(containing: starts[index] + 4095)?.usable.start == starts[index])
            }
            for index in stride(from: 1, to: 15_000, by: 2) {
                #expect(allocator.value.ranges.free(starts[index]) == nil)
            }
            try ranges.checkInvariants()
            #expect(ranges.statistics == AreaStatistics())
        }
        #expect(machine.takeKinds() == [])
    }

    @Test func worksBeforeThereAreSlabCaches() throws {
        let machine = VmallocMachine(space: Self.space)
        try machine.run {
            typealias Allocator = VirtualRangeAllocator<SimulatedPlatform>
            guard let frame = machine.frames.value.allocate(order: 1) else {
                Issue.record("no memory for an allocator")
                return
            }
            #expect(Allocator.byteCount <= 8192)
            let ranges = Allocator(
                space: Self.space, frames: machine.frames, memory: machine.frames.value.directMap.pointer(to: frame),
                restingPages: 0)
            var areas: [Area] = []
            while let area = ranges.allocate(AreaRequest(.vmalloc, pageCount: 1, name: "early")) { areas.append(area) }
            #expect(areas.count == 12)
            let last = areas.removeLast()
            ranges.abandon(last)
            ranges.useCache(try Allocator.makeCache(in: machine.kmalloc))
            for _ in 0..<100 {
                let area = ranges.allocate(AreaRequest(.vmalloc, pageCount: 1, name: "late"))
                areas.append(try #require(area))
            }
            try ranges.checkInvariants()
            for area in areas { ranges.abandon(area) }
            #expect(ranges.statistics == AreaStatistics())
            try ranges.checkInvariants()
        }
        #expect(machine.takeKinds() == [])
    }
}
