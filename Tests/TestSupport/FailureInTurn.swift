/// Something that can be told to fail once: requests for page frames, or allocations of objects.
public struct FailurePoint {
    /// Lets the nth from now on fail; 0 for none.
    let arm: (UInt) -> Void
    /// How many are to come until one fails; 0 where none is to.
    let left: () -> UInt

    public init(arm: @escaping (UInt) -> Void, left: @escaping () -> UInt) {
        self.arm = arm
        self.left = left
    }
}

/// What making each step of a call fail has shown.
public struct StepsInTurn {
    /// Steps that were made to fail.
    public var failed = 0
    /// Those of them that the call did without.
    public var survived = 0
}

/// A rule that a call has broken after one of its steps failed.
public struct FailureInTurn: Error, CustomStringConvertible {
    public let description: String
}

/// Runs a call with its first step failing, then its second, and so on until it makes fewer steps.
///
/// - Parameters:
///   - point: whose steps fail.
///   - counters: all that must be as before each time, with nothing left in caches on the way.
///   - call: returns what undoes it, or nil where it failed.
///   - check: is run each time after the call, and again after that was undone.
/// - Throws: what `check` does; `FailureInTurn` where a counter has changed, or where the call failed although no step did.
public func failEachInTurn<Counters: Equatable>(
    _ point: FailurePoint, counters: () -> Counters, check: () throws -> Void, _ call: () throws -> (() -> Void)?
) throws -> StepsInTurn {
    var steps = StepsInTurn()
    for nth in 1...1000 as ClosedRange<UInt> {
        let before = counters()
        point.arm(nth)
        var undo = try call()
        let isSpent = point.left() == 0
        point.arm(0)
        try check()
        if isSpent, undo != nil { steps.survived += 1 }
        if !isSpent, undo == nil { throw FailureInTurn(description: "it failed, but not at its step \(nth)") }
        undo?()
        // What it holds ends.
        undo = nil
        let after = counters()
        if after != before {
            throw FailureInTurn(description: "step \(nth): \(after), where \(before) was before")
        }
        try check()
        if !isSpent {
            steps.failed = Int(nth) - 1
            return steps
        }
    }
    throw FailureInTurn(description: "the call makes steps without end")
}
