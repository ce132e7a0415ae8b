import Foundation
import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import VirtualMemory

/// What to do besides replaying.
public struct ReplayOptions: Sendable {
    /// Bytes of the machine's memory.
    public var memory: UInt = 512 << 20
    /// All invariants are checked after so many events, and at the end; 0 for only at the end.
    public var checkEvery = 0
    /// Whether wrong frees that the allocators report are counted, and not the end.
    public var keepsGoing = false
    /// How often what is in use is looked at: samples in all, at most.
    public var sampleCount = 400
    /// Ends the process at the free of an object of so many bytes, as an allocator that crashes would; 0 for none. For tests of
    /// what is done then.
    public var crashAtFreeOf: UInt = 0

    public init() {}
}

/// Why a replay ended early: what the allocators said, or what was found out about them.
public struct ReplayFailure: Error, Sendable, Equatable, Codable, CustomStringConvertible {
    /// What went wrong, without what differs from one trace to the next: two traces with the same fail alike.
    public var signature: String
    /// The same with numbers.
    public var detail: String
    /// The step at which it was found, counted from 0, and its line.
    public var step: Int
    public var line: Int

    public init(signature: String, detail: String, step: Int, line: Int) {
        self.signature = signature
        self.detail = detail
        self.step = step
        self.line = line
    }

    public var description: String { "line \(line): \(detail)" }
}

/// Runs the events of a trace, as far as users of the allocators made them, on a simulated machine.
///
/// A nested event is not repeated: what it is nested in brings its own. What was allocated before the trace began, or by a nested
/// event, is nobody's here, and its frees are passed over. What was freed and is freed again is freed again.
public final class Replay {
    let machine: ReplayMachine
    let options: ReplayOptions
    public internal(set) var statistics = ReplayStatistics()
    var objects: [UInt: LiveObject] = [:]
    /// Where what was freed was: for frees that come again.
    var freedObjects: [UInt: LiveObject] = [:]
    var blocks: [UInt: LiveBlock] = [:]
    var freedBlocks: [UInt: LiveBlock] = [:]
    /// The blocks' first frames as the trace has them, ascending, for frees of a part of one.
    var areas: [UInt: LiveArea] = [:]
    var freedAreas: [UInt: LiveArea] = [:]
    var caches: [CacheKey: CacheReference<SimulatedPlatform>] = [:]
    var nextTag: UInt64 = 0x5175_6172_7279_0001

    /// - Returns: nil where the machine has too little memory.
    public init?(_ options: ReplayOptions = ReplayOptions()) {
        guard let machine = ReplayMachine(memory: options.memory) else { return nil }
        self.machine = machine
        self.options = options
    }

    /// Replays a trace from its beginning. - Throws: the first failure.
    public func run(_ trace: Trace) throws(ReplayFailure) {
        do {
            try machine.machine.run { try steps(of: trace) }
        } catch let failure as ReplayFailure {
            throw failure
        } catch {
            fatalError("\(error)")
        }
    }

    private func steps(of trace: Trace) throws {
        let interval = max(1, trace.steps.count / max(1, options.sampleCount))
        let clock = ContinuousClock()
        for (index, step) in trace.steps.enumerated() {
            if step.followsLoss { forgetFreed() }
            let start = clock.now
            let outcome = make(step.event)
            statistics.count(step.event.kind, outcome, clock.now - start)
            try lookForViolations(index, step)
            if options.checkEvery > 0, (index + 1) % options.checkEvery == 0 { try check(index, step) }
            sample(step.event, isDue: index % interval == 0)
        }
        guard let last = trace.steps.last else { return }
        try check(trace.steps.count - 1, last)
        sample(last.event, isDue: true)
    }

    /// What was freed may have been handed out again by events that were lost.
    private func forgetFreed() {
        freedObjects = [:]
        freedBlocks = [:]
        freedAreas = [:]
    }

    private func lookForViolations(_ index: Int, _ step: Trace.Step) throws {
        if let damaged = damage {
            throw ReplayFailure(
                signature: "contents changed", detail: damaged, step: index, line: step.line)
        }
        let violations = machine.machine.takeViolations()
        statistics.violations += violations.count
        if let violation = violations.first, !options.keepsGoing {
            throw ReplayFailure(
                signature: "\(violation.kind) in \(violation.call)",
                detail: "\(violation.call): \(violation.kind): \(violation.detail)", step: index, line: step.line)
        }
        if let stale = machine.machine.takeStaleTranslations().first {
            throw ReplayFailure(
                signature: "stale translation", detail: "a stale translation was used: \(stale)", step: index,
                line: step.line)
        }
    }

    private func check(_ index: Int, _ step: Trace.Step) throws {
        statistics.checks += 1
        do throws(InvariantViolation) {
            try machine.check()
        } catch {
            throw ReplayFailure(
                signature: "invariant: \(error.rule)",
                detail:
                    "invariant: \(error.rule) (at \(error.location), found \(error.found), expected \(error.expected))",
                step: index, line: step.line)
        }
    }

    /// What was found to be overwritten in an object that was freed.
    var damage: String?

    private func sample(_ event: TraceEvent, isDue: Bool) {
        let frames = machine.frames
        let used = frames.value.managedFrames - frames.value.freeFrames
        statistics.note(used: used)
        if isDue {
            statistics.samples.append(ReplaySample(time: event.time, frames: frames.value, liveBytes: liveBytes))
        }
    }

    private var liveBytes: UInt { statistics.liveBytes }
}
