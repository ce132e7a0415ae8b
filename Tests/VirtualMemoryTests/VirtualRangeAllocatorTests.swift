import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// The allocator of ranges, against a sorted array.
@Suite struct VirtualRangeAllocatorTests {
    /// 2048 pages, so that exhaustion is near.
    static let space = VirtualRange(
        VirtualAddress(0xffff_c900_0000_0000), VirtualAddress(0xffff_c900_0000_0000 + 2048 * 4096))

    struct Model {
        var areas: [VirtualRange] = []

        /// Where an area has to go: the lowest gap with room for the slack of its alignment.
        func place(_ request: AreaRequest) -> VirtualRange? {
            let guards = UInt(request.guardPagesBelow) + UInt(request.guardPagesAbove)
            let byteCount = (request.pageCount + guards) * 4096
            var start = VirtualRangeAllocatorTests.space.start
            for end in areas.map(\.start) + [VirtualRangeAllocatorTests.space.end] {
                if end.rawValue - start.rawValue >= byteCount + request.alignment - 4096 {
                    let below = UInt(request.guardPagesBelow) * 4096
                    let usable = (start + below).roundedUp(to: request.alignment)!
                    return VirtualRange(usable - below, usable - below + byteCount)
                }
                start = areas.first { $0.start == end }?.end ?? end
            }
            return nil
        }
    }

    @Test(arguments: [UInt64(11), 12])
    func agreesWithASortedArray(seed: UInt64) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        let machine = VmallocMachine(space: Self.space)
        var model = Model()
        try machine.run {
            let before = machine.snapshot()
            for step in 0..<1500 {
                let grows = Int.random(in: 0..<10, using: &random) < (step < 750 ? 7 : 4)
                if grows {
                    allocate(on: machine, &model, &random)
                } else if let index = model.areas.indices.randomElement(using: &random) {
                    try free(model.areas.remove(at: index), on: machine)
                }
                try machine.ranges.checkInvariants()
                compareLookups(machine, model, &random)
            }
            for range in model.areas { try free(range, on: machine) }
            #expect(machine.snapshot().areas == before.areas)
        }
        #expect(machine.takeKinds() == [])
    }

    /// Asks for an area of any shape, which must go where the model says or be refused.
    func allocate(on machine: VmallocMachine, _ model: inout Model, _ random: inout SeededGenerator) {
        let request = AreaRequest(
            .stack, pageCount: UInt.random(in: 1...40, using: &random),
            guardPagesBelow: UInt16.random(in: 0...2, using: &random),
            guardPagesAbove: UInt16.random(in: 0...2, using: &random),
            alignment: 4096 << UInt.random(in: 0...5, using: &random), name: "model")
        let area = machine.ranges.allocate(request)
        #expect(area?.range == model.place(request))
        guard let area else { return }
        #expect(area.usable.start.isAligned(to: request.alignment))
        #expect(area.reservedPages == request.pageCount)
        machine.ranges.publish(area, presentPages: 0)
        model.areas.append(area.range)
        model.areas.sort { $0.start < $1.start }
    }

    func free(_ range: VirtualRange, on machine: VmallocMachine) throws {
        let found = try #require(machine.ranges.area(containing: range.start))
        guard case .begun(let area) = machine.ranges.beginFree(found.usable.start, kind: found.kind) else {
            Issue.record("an area that is there was not found")
            return
        }
        machine.ranges.finishFree(area)
    }

    /// Looks an address up in each way there is.
    func compareLookups(_ machine: VmallocMachine, _ model: Model, _ random: inout SeededGenerator) {
        let address = Self.space.start + UInt.random(in: 0..<Self.space.byteCount, using: &random)
        let holder = model.areas.first { $0.contains(address) }
        #expect(machine.ranges.area(containing: address)?.range == holder)
        // The walk without the lock finds the same when nothing changes meanwhile.
        let nearest = machine.ranges.nearestArea(to: address)?.range
        let unlocked = machine.ranges.nearestAreaUnlocked(to: address)?.range
        if holder != nil { #expect(nearest == holder) }
        #expect(unlocked.map { distance($0, address) } == nearest.map { distance($0, address) })
    }

    func distance(_ range: VirtualRange, _ address: VirtualAddress) -> UInt {
        if address < range.start { return range.start.rawValue - address.rawValue }
        return address < range.end ? 0 : address.rawValue - range.end.rawValue
    }

    @Test func refusesWhatCannotBe() {
        let machine = VmallocMachine(space: Self.space)
        let before = machine.snapshot()
        machine.run {
            func isRefused(_ request: AreaRequest) -> Bool {
                machine.ranges.allocate(request) == nil
            }
            #expect(isRefused(AreaRequest(.vmalloc, pageCount: 0, name: "none")))
            #expect(isRefused(AreaRequest(.vmalloc, pageCount: 2048, name: "no room for the guard page")))
            #expect(isRefused(AreaRequest(.vmalloc, pageCount: .max, name: "overflow of pages")))
            #expect(isRefused(AreaRequest(.vmalloc, pageCount: .max >> 12, name: "overflow of bytes")))
            #expect(isRefused(AreaRequest(.vmalloc, pageCount: 1, alignment: 3 << 12, name: "no power of two")))
            #expect(isRefused(AreaRequest(.vmalloc, pageCount: 1, alignment: 2048, name: "less than a page")))
            #expect(isRefused(AreaRequest(.vmalloc, pageCount: 1, alignment: 1 << 63, name: "more than all")))
        }
        #expect(machine.snapshot() == before)
        machine.run {
            let all = machine.ranges.allocate(AreaRequest(.vmalloc, pageCount: 2047, name: "all"))
            #expect(all?.range == Self.space)
            machine.ranges.abandon(all!)
        }
        #expect(machine.snapshot() == before)
    }

    @Test func statesAreKept() throws {
        let machine = VmallocMachine(space: Self.space)
        try machine.run {
            var request = AreaRequest(.vmalloc, pageCount: 2, name: "states")
            request.isOnDemand = true
            let area = try #require(machine.ranges.allocate(request))
            // Not published: nobody frees it, and no page comes into it.
            guard case .notAStart = machine.ranges.beginFree(area.usable.start) else {
                Issue.record("an area was freed that is being set up")
                return
            }
            #expect(!machine.ranges.notePresentPage(at: area.usable.start))
            machine.ranges.publish(area, presentPages: 0)
            #expect(machine.ranges.notePresentPage(at: area.usable.start))
            #expect(!machine.ranges.notePresentPage(at: area.usable.end))
            guard case .begun(let dying) = machine.ranges.beginFree(area.usable.start) else {
                Issue.record("a live area was not freed")
                return
            }
            #expect(dying.presentPages == 1)
            #expect(!machine.ranges.notePresentPage(at: area.usable.start))
            guard case .freedAlready = machine.ranges.beginFree(area.usable.start) else {
                Issue.record("an area was freed twice")
                return
            }
            #expect(machine.takeKinds() == [])
            machine.ranges.publish(area, presentPages: 0)
            machine.ranges.abandon(area)
            #expect(machine.takeKinds() == [.corruption, .corruption])
            machine.ranges.finishFree(dying)
            #expect(machine.ranges.statistics == AreaStatistics())
            machine.ranges.finishFree(dying)
            #expect(machine.takeKinds() == [.corruption])
        }
    }

    @Test func reportsDoNotWaitForTheLock() throws {
        let machine = VmallocMachine(space: Self.space)
        try machine.run {
            for _ in 0..<20 {
                let area = try #require(
                    machine.ranges.allocate(AreaRequest(.vmalloc, pageCount: 2, name: "report")))
                machine.ranges.publish(area, presentPages: 0)
            }
            let address = Self.space.start + 7 * 3 * 4096 + 100
            let found = machine.ranges.withLockHeld { machine.vmalloc.value.describe(address) }
            #expect(found.place == .usable)
            #expect(found.area?.range.start == Self.space.start + 7 * 3 * 4096)
            #expect(machine.takeKinds() == [])
        }
    }

    @Test func describesWhereAnAddressLies() throws {
        let machine = VmallocMachine(space: Self.space)
        try machine.run {
            func describe(_ address: VirtualAddress) -> AddressDescription {
                machine.vmalloc.value.describe(address)
            }
            #expect(describe(Self.space.start + (1 << 20)).place == .noAreas)
            #expect(describe(VirtualAddress(0)).place == .outsideSpace)
            #expect(describe(Self.space.end).place == .outsideSpace)
            let area = try #require(
                machine.ranges.allocate(
                    AreaRequest(
                        .stack, pageCount: 3, guardPagesBelow: 1, guardPagesAbove: 1, alignment: 1 << 16, name: "here"))
            )
            machine.ranges.publish(area, presentPages: 0)
            let usable = area.usable
            func expect(_ address: VirtualAddress, _ place: AddressDescription.Place, _ distance: UInt) {
                let found = describe(address)
                #expect(found.place == place)
                #expect(found.distance == distance)
                #expect(found.area?.range == area.range)
            }
            expect(usable.start, .usable, 0)
            expect(usable.end - 1, .usable, 0)
            expect(usable.start - 1, .guardBelow, 1)
            expect(usable.start - 4096, .guardBelow, 4096)
            expect(usable.start - 4097, .belowArea, 4097)
            expect(usable.end, .guardAbove, 1)
            expect(usable.end + 4095, .guardAbove, 4096)
            expect(usable.end + 4096, .aboveArea, 4097)
            // As another kind it is left alone, whatever its start.
            guard case .otherKind = machine.ranges.beginFree(usable.start, kind: .device) else {
                Issue.record("an area was freed as one of another kind")
                return
            }
            guard case .begun(let dying) = machine.ranges.beginFree(usable.start, kind: .stack) else {
                Issue.record("a live area was not freed")
                return
            }
            machine.ranges.finishFree(dying)
            expect(usable.start + 5, .freed, 0)
        }
    }
}
