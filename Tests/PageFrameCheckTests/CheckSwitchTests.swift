import Foundation
import MemoryPrimitives
import SimulatedMachine
import Synchronization
import Testing

@testable import PageFrames

/// Checks become active, and frame caches are turned on and off, by several CPUs at once.
@Suite struct CheckSwitchTests {
    /// Two threads that begin each round together.
    private final class Pace: Sendable {
        private let arrived = Atomic<Int>(0)

        func meet(_ round: Int) {
            arrived.add(1, ordering: .acquiringAndReleasing)
            while arrived.load(ordering: .acquiring) < 2 * (round + 1) { sched_yield() }
        }
    }

    /// Runs both at once, and then `check`, again and again.
    private func race(
        _ rounds: Int, _ first: @escaping @Sendable () -> Void, _ second: @escaping @Sendable () -> Void,
        check: () -> Bool
    ) -> Int {
        let pace = Pace()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            for round in 0..<rounds {
                pace.meet(2 * round)
                second()
                pace.meet(2 * round + 1)
            }
            done.signal()
        }
        thread.start()
        var failures = 0
        for round in 0..<rounds {
            pace.meet(2 * round)
            first()
            pace.meet(2 * round + 1)
            if !check() { failures += 1 }
        }
        done.wait()
        return failures
    }

    /// Whether what is freed goes past the frame caches of all CPUs.
    private func areCachesOff(_ machine: CheckedMachine) -> Bool {
        for cpu in 0..<4 {
            machine.run(onCPU: cpu) { frames in
                if let frame = frames.allocate(order: 0) { frames.free(frame, order: 0) }
            }
        }
        return machine.cachedFrames == 0 && !machine.run { $0.hasFrameCaches.load(ordering: .relaxed) }
    }

    @Test func cachesStayOffWhileACheckIsActive() throws {
        let machine = try CheckedMachine(.none, cpuCount: 4)
        let failures = race(
            4000,
            {
                machine.run { frames in
                    frames.failAllocation(nth: 0)
                    frames.failAllocation(nth: 1_000_000)
                }
            },
            { machine.run(onCPU: 1) { $0.setFrameCaches(enabled: true) } },
            check: { areCachesOff(machine) })
        #expect(failures == 0)
        machine.run { $0.failAllocation(nth: 0) }
        #expect(!areCachesOff(machine))
        try machine.check()
    }
}
