import MemoryPrimitives

/// A failure that does not come again when the same events are replayed.
public struct ShrinkError: Error, Equatable, CustomStringConvertible {
    /// What the trace failed with.
    public let signature: String
    /// The events that failed once.
    public let events: Int

    public var description: String {
        "\(events) events failed with \"\(signature)\", and do not fail so when they are replayed again: nothing to shrink by"
    }
}

/// Makes a trace that fails smaller, as long as it fails alike: delta debugging (Zeller).
///
///     drop what follows the failure -> drop halves, quarters ... single events, until none can go -> simpler sizes and flags
public struct TraceShrinker {
    /// Whether a candidate fails, and how; nil where it does not.
    public typealias Attempt = (Trace) throws -> ReplayFailure?

    private let attempt: Attempt
    private let signature: String
    /// How many candidates have been tried.
    public private(set) var attempts = 0

    /// - Parameters:
    ///   - signature: how the trace fails, and is to fail still.
    ///   - attempt: tries a candidate.
    public init(signature: String, attempt: @escaping Attempt) {
        self.signature = signature
        self.attempt = attempt
    }

    /// - Parameter failure: what the trace fails with.
    /// - Returns: the smallest trace that was found, which failed when it was tried last.
    /// - Throws: `ShrinkError` where the trace, or what is left of it, does not fail alike each time; what an attempt does.
    /// - Complexity: O(n²) attempts at worst, O(m log n) for m events that matter.
    public mutating func shrink(_ trace: Trace, _ failure: ReplayFailure) throws -> Trace {
        var best = trace
        var prefix = trace
        prefix.steps = Array(trace.steps.prefix(failure.step + 1))
        if try fails(prefix) {
            best = prefix
        } else if try !fails(trace) {
            throw ShrinkError(signature: signature, events: trace.steps.count)
        }
        best = try withFewerEvents(best)
        best = try withSimplerEvents(best)
        // What has become simpler may not be needed any more.
        best = try withFewerEvents(best)
        var gapless = best
        for index in gapless.steps.indices { gapless.steps[index].followsLoss = false }
        if gapless.steps != best.steps, try fails(gapless) { best = gapless }
        if try !fails(best) { throw ShrinkError(signature: signature, events: best.steps.count) }
        return best
    }

    private mutating func fails(_ trace: Trace) throws -> Bool {
        attempts += 1
        return try attempt(trace)?.signature == signature
    }

    private mutating func withFewerEvents(_ trace: Trace) throws -> Trace {
        var best = trace
        var size = max(1, best.steps.count / 2)
        while true {
            var hasChanged = false
            // From the end: what uses memory goes before what allocates it.
            var end = best.steps.count
            while end > 0 {
                let start = max(0, end - size)
                var candidate = best
                candidate.steps.removeSubrange(start..<end)
                if candidate.steps.count < best.steps.count, try fails(candidate) {
                    best = candidate
                    hasChanged = true
                }
                end = start
            }
            if size > 1 {
                size /= 2
            } else if !hasChanged {
                return best
            }
        }
    }

    private mutating func withSimplerEvents(_ trace: Trace) throws -> Trace {
        var best = trace
        for index in best.steps.indices {
            for simpler in Self.simpler(best.steps[index].event) {
                var candidate = best
                candidate.steps[index].event = simpler
                if try fails(candidate) { best = candidate }
            }
        }
        return best
    }

    /// Changes worth trying, each of the event as it is.
    private static func simpler(_ event: TraceEvent) -> [TraceEvent] {
        var candidates: [TraceEvent] = []
        func with(_ change: (inout TraceEvent) -> Void) {
            var changed = event
            change(&changed)
            if changed != event { candidates.append(changed) }
        }
        switch event.kind {
        case .kmalloc, .cacheAllocation:
            with {
                $0.size = 8; $0.extent = 8; $0.flags = Self.kernelFlags
            }
            with { $0.flags = Self.kernelFlags }
            with {
                $0.size = 8; $0.extent = 8
            }
        case .pageAllocation:
            with { $0.flags = Self.kernelFlags }
        case .vmalloc, .map:
            with { $0.size = 4096 }
        default: break
        }
        return candidates
    }

    /// `GFP_KERNEL`.
    private static let kernelFlags: UInt32 = 0xcc0
}
