import Testing

@testable import PageFrames

/// What shrinkers and frame movers have in common.
@Suite struct CallbackTableTests {
    private static let capacity = 3

    /// Runs `body` on an empty table of numbers in place of calls.
    private func withTable(_ body: (CallbackTable<Int>) throws -> Void) rethrows {
        let byteCount = MemoryLayout<CallbackTable<Int>.Entry>.stride * Self.capacity
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
        defer { memory.deallocate() }
        // Whatever was there before.
        memory.initializeMemory(as: UInt8.self, repeating: 0xff, count: byteCount)
        try body(CallbackTable(in: memory, capacity: Self.capacity))
    }

    @Test func severalCallsAtOnce() throws {
        try withTable { table in
            let place = try #require(table.register(7))
            #expect(table.begin(0, alone: false) == 7)
            #expect(table.begin(0, alone: false) == 7)
            #expect(table.begin(0, alone: true) == nil, "it is being called")
            #expect(table.retire(place) == .busy)
            #expect(table.begin(0, alone: false) == nil, "it is on its way out")
            table.end(0)
            #expect(table.retire(place) == .busy, "one call is still under way")
            table.end(0)
            #expect(table.registeredCount == 1, "its owner has not been told yet")
            #expect(table.retire(place) == .removed)
            #expect(table.retire(place) == .unknown)
            #expect(table.registeredCount == 0)
        }
    }

    @Test func aPlaceIsUsedAgainAndStaleRegistrationsAreNot() throws {
        try withTable { table in
            let places = try (1...3).map { try #require(table.register($0)) }
            #expect(table.register(4) == nil)
            #expect(table.retire(places[1]) == .removed)
            let place = try #require(table.register(4))
            #expect(place.index == 1 && place.generation == places[1].generation + 1)
            #expect(table.retire(places[1]) == .unknown)
            #expect((0..<3).map { table.begin($0, alone: true) } == [1, 4, 3])
            #expect(table.retire(CallbackRegistration(index: 3, generation: 1)) == .unknown)
        }
    }
}
