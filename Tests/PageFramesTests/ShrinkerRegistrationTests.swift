import Foundation
import MemoryPrimitives
import SimulatedMachine
import Synchronization
import Testing

@testable import PageFrames

/// A shrinker that comes and goes, and takes note of calls that it should not get.
private final class Guest: @unchecked Sendable {
    struct Door: Shrinker, ~Copyable {
        let isOpen = Atomic<Bool>(false)
        let inside = Atomic<Int>(0)
        let calls = Atomic<Int>(0)
        let errors = Atomic<Int>(0)

        borrowing func count(for flags: AllocationFlags) -> UInt { enter() }
        borrowing func scan(_ target: UInt, for flags: AllocationFlags) -> UInt { enter() }

        private borrowing func enter() -> UInt {
            calls.add(1, ordering: .relaxed)
            if inside.add(1, ordering: .relaxed).newValue != 1 { errors.add(1, ordering: .relaxed) }
            if !isOpen.load(ordering: .relaxed) { errors.add(1, ordering: .relaxed) }
            inside.subtract(1, ordering: .relaxed)
            return 1
        }
    }

    private let place = UnsafeMutablePointer<Door>.allocate(capacity: 1)
    private let door: Permanent<Door>

    init() { door = Permanent(placing: Door(), at: place) }

    deinit {
        door.destroy()
        place.deallocate()
    }

    var errorCount: Int { door.value.errors.load(ordering: .relaxed) }
    var callCount: Int { door.value.calls.load(ordering: .relaxed) }

    func comeAndGo(_ list: borrowing TestedShrinkers) {
        door.value.isOpen.store(true, ordering: .relaxed)
        let registration = list.register(door)!
        _ = list.shrink(target: 3, flags: .kernel)
        var removal = list.unregister(registration)
        while removal == .busy { removal = list.unregister(registration) }
        door.value.isOpen.store(false, ordering: .relaxed)
        if removal != .removed { door.value.errors.add(1, ordering: .relaxed) }
    }
}

@Suite struct ShrinkerRegistrationTests {
    @Test func thereIsRoomForSixteen() throws {
        let test = ShrinkerMachine()
        let caches = (0..<17).map { _ in test.place(Cache(1)) }
        let registrations = caches.map { test.register($0) }
        #expect(registrations.prefix(16).allSatisfy { $0 != nil })
        #expect(registrations[16] == nil)
        #expect(test.count == 16)
        #expect(test.shrink(100) == 16)
        #expect(test.unregister(try #require(registrations[3])) == .removed)
        #expect(test.register(caches[16]) != nil)
        #expect(test.shrink(100) == 1)
    }

    @Test func unregisteredShrinkersAreNotAsked() throws {
        let test = ShrinkerMachine()
        let cache = test.place(Cache(10))
        let registration = try #require(test.register(cache))
        #expect(test.unregister(registration) == .removed)
        #expect(test.shrink(5) == 0)
        #expect(cache.asked.isEmpty)
    }

    @Test func staleRegistrationsAreRefused() throws {
        let test = ShrinkerMachine()
        let first = try #require(test.register(test.place(Cache(10))))
        #expect(test.unregister(first) == .removed)
        #expect(test.unregister(first) == .unknown)
        let second = try #require(test.register(test.place(Cache(10))))
        #expect(second.index == first.index)
        #expect(test.unregister(first) == .unknown, "the place belongs to another")
        #expect(test.count == 1)
        #expect(test.unregister(ShrinkerRegistration(index: 99, generation: 1)) == .unknown)
        #expect(test.unregister(ShrinkerRegistration(index: 5, generation: 0)) == .unknown)
    }

    @Test func aShrinkerThatRunsIsNotEnteredAgain() {
        let test = ShrinkerMachine()
        let nested = Mutex<[UInt]>([])
        let outer = test.add(10) { cache in
            cache.whileScanned = { [unowned test] _ in
                let returned = test.list.value.shrink(target: 4, flags: .atomic)
                nested.withLock { $0.append(returned) }
            }
        }
        let other = test.add(2)
        #expect(test.shrink(6) == 6)
        #expect(nested.withLock { $0 } == [2, 0], "only the other one was asked, while it had something")
        #expect(outer.asked == [5, 1])
        #expect(outer.left == 4 && other.left == 0)
    }

    @Test func aShrinkerThatRunsIsNotRemovedUnderItself() throws {
        let test = ShrinkerMachine()
        let results = Mutex<[CallbackRemoval]>([])
        let registration = Mutex<ShrinkerRegistration?>(nil)
        var cache = Cache(10)
        cache.whileScanned = { [unowned test] _ in
            let removal = test.list.value.unregister(registration.withLock { $0! })
            results.withLock { $0.append(removal) }
        }
        let placed = test.place(cache)
        registration.withLock { $0 = test.register(placed) }
        #expect(test.shrink(4) == 4)
        #expect(results.withLock { $0 } == [.busy])
        #expect(test.shrink(4) == 0, "it is on its way out")
        #expect(test.count == 1)
        #expect(test.unregister(registration.withLock { $0! }) == .removed)
        #expect(test.count == 0)
        #expect(test.unregister(registration.withLock { $0! }) == .unknown)
    }

    /// CPUs shrink while others register and unregister: no call begins or goes on after the removal.
    @Test func removalHoldsAgainstOtherCPUs() {
        let cpuCount = 4
        let test = ShrinkerMachine(cpuCount: cpuCount)
        let guests = (0..<cpuCount).map { _ in Guest() }
        let done = DispatchSemaphore(value: 0)
        for cpu in 0..<cpuCount {
            Thread {
                test.machine.run(onCPU: cpu) {
                    for _ in 0..<1500 { guests[cpu].comeAndGo(test.list.value) }
                }
                done.signal()
            }.start()
        }
        for _ in 0..<cpuCount { done.wait() }
        #expect(guests.allSatisfy { $0.errorCount == 0 })
        #expect(guests.allSatisfy { $0.callCount > 0 })
        #expect(test.count == 0)
        #expect(test.machine.takeViolations().isEmpty)
    }

    /// No lock is held, and interrupts are as they were, while a shrinker runs.
    @Test func shrinkersRunWithoutTheLock() {
        let test = ShrinkerMachine()
        let seen = Mutex<[UInt]>([])
        _ = test.add(10) { cache in
            cache.whileScanned = { [unowned test] _ in
                let state = SimulatedPlatform.disableInterrupts()
                SimulatedPlatform.restoreInterrupts(state)
                seen.withLock { $0.append(UInt(test.list.value.count)) }
            }
        }
        #expect(test.shrink(1) == 1)
        #expect(seen.withLock { $0 } == [1])
        #expect(test.machine.takeViolations().isEmpty)
    }
}
