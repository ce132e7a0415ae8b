import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// `fail_page_alloc=nth:N` on the page frames themselves.
@Suite struct FailureInjectionTests {
    @Test(arguments: [1, 2, 17] as [UInt], [0, 3, 4, 10])
    func theNthRequestFailsAndNoOther(nth: UInt, order: Int) throws {
        let machine = try CheckedMachine(mebibytes: 128, .none)
        for _ in 0..<30 { machine.free(try #require(machine.allocate())) }
        machine.run { $0.failAllocation(nth: nth) }
        #expect(machine.cachedFrames == 0, "a cached frame would come without being counted")
        for request in 1...20 as ClosedRange<UInt> {
            #expect(machine.run { $0.requestsUntilFailure } == (request <= nth ? nth - request + 1 : 0))
            let free = machine.freeFrames
            #expect((machine.allocate(order) == nil) == (request == nth))
            if request == nth { #expect(machine.freeFrames == free) }
        }
        // And the caches are back.
        machine.free(try #require(machine.allocate()))
        #expect(machine.cachedFrames > 0)
        try machine.check()
    }

    @Test func theFailureIsReportedAsAnyOther() throws {
        let machine = try CheckedMachine(.none)
        machine.run { $0.failAllocation(nth: 1) }
        #expect(machine.allocate(2, .atomic) == nil)
        let failures = machine.machine.takeFailedAllocations()
        #expect(failures.map(\.order) == [2] && failures.map(\.flags) == [AllocationFlags.atomic.rawValue])
        machine.run { $0.failAllocation(nth: 1) }
        #expect(machine.allocate(2, .atomic | .noWarn) == nil)
        #expect(machine.machine.takeFailedAllocations().isEmpty)
    }

    /// A request that cannot fail is not even counted.
    @Test func noFailDoesNotFail() throws {
        let machine = try CheckedMachine(.none)
        machine.run { $0.failAllocation(nth: 1) }
        #expect(machine.allocate(0, .kernel | .noFail) != nil)
        #expect(machine.run { $0.requestsUntilFailure } == 1)
        #expect(machine.allocate() == nil)
    }

    @Test func promisesAreRequestsAndCallsUponThemAreNot() throws {
        let machine = try CheckedMachine(.none)
        machine.run { $0.failAllocation(nth: 2) }
        #expect(machine.run { $0.promise(frames: 3) })
        #expect(machine.run { $0.allocatePromised() } != nil)
        #expect(!machine.run { $0.promise(frames: 3) })
        #expect(machine.run { $0.promisedFrames } == 2)
        #expect(machine.run { $0.allocatePromised() } != nil)
        machine.run { $0.withdrawPromise(frames: 1) }
        try machine.check()
    }

    @Test func itCanBeCalledOff() throws {
        let machine = try CheckedMachine(.none, failedRequest: 1)
        machine.run { $0.failAllocation(nth: 0) }
        #expect(machine.run { $0.requestsUntilFailure } == 0)
        #expect(machine.allocate() != nil)
        machine.free(try #require(machine.allocate()))
        #expect(machine.cachedFrames > 0)
        let other = try CheckedMachine(.none, failedRequest: 2)
        #expect(other.allocate() != nil)
        #expect(other.allocate() == nil)
        #expect(other.allocate() != nil)
    }

    /// Frame caches that were off before stay off.
    @Test func theFrameCachesAreAsTheyWere() throws {
        let machine = try CheckedMachine(.none, frameCaches: false)
        machine.run { $0.failAllocation(nth: 1) }
        #expect(machine.allocate() == nil)
        machine.free(try #require(machine.allocate()))
        #expect(machine.cachedFrames == 0)
        // What is asked for meanwhile holds afterwards.
        machine.run {
            $0.failAllocation(nth: 1)
            $0.setFrameCaches(enabled: true)
        }
        #expect(machine.allocate() == nil)
        machine.free(try #require(machine.allocate()))
        #expect(machine.cachedFrames > 0)
    }

    /// Of many CPUs' requests just one fails.
    @Test func oneOfManyCPUsFails() async throws {
        let machine = try CheckedMachine(mebibytes: 64, .none, cpuCount: 4)
        machine.run { $0.failAllocation(nth: 700) }
        let failures = await withTaskGroup(of: Int.self) { group in
            for cpu in 0..<4 {
                group.addTask {
                    var failed = 0
                    for _ in 0..<400 {
                        machine.run(onCPU: cpu) { frames in
                            if let frame = frames.allocate(order: 0, flags: .kernel | .noWarn) {
                                frames.free(frame, order: 0)
                            } else {
                                failed += 1
                            }
                        }
                    }
                    return failed
                }
            }
            return await group.reduce(0, +)
        }
        #expect(failures == 1)
        try machine.check()
    }
}
