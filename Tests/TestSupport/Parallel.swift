import Foundation
import SimulatedMachine
import Synchronization

/// Runs `body` with each number below `count`, on a thread for each, and waits for all of them.
public func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let done = DispatchSemaphore(value: 0)
    for number in 0..<count {
        let thread = Thread {
            body(number)
            done.signal()
        }
        thread.start()
    }
    for _ in 0..<count { done.wait() }
}

extension SimulatedMachine {
    /// Runs `body` on all CPUs at once, a thread for each, and waits for all of them.
    public func onAllCPUs(_ body: @escaping @Sendable (Int) -> Void) {
        inParallel(cpuCount) { cpu in self.run(onCPU: cpu) { body(cpu) } }
    }
}

/// A number that several threads raise.
public final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    public init() {}
    public func add() { count.add(1, ordering: .relaxed) }
    public var value: Int { count.load(ordering: .relaxed) }
}
