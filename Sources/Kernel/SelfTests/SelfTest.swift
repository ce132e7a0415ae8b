/// Self tests at boot: each step of bring-up, exercised on the real machine.
///
/// A test is named on the log before it runs, so that a hang has a name, and after it with what it found.
enum SelfTest {
    nonisolated(unsafe) static var passed = 0
    nonisolated(unsafe) static var failed = 0
    nonisolated(unsafe) private static var currentFailures = 0

    /// Which tests are run: all, unless the monitor says otherwise.
    nonisolated(unsafe) static var filter = RowFilter()

    /// Runs one test.
    static func run(_ name: StaticString, _ body: () -> Void) {
        if unsafe !filter.lets(name) { return }
        Log.info("test \(name) ...")
        unsafe currentFailures = 0
        let start = Log.now
        body()
        let ticks = Log.now &- start
        LeakCheck.poll()
        if unsafe currentFailures == 0 {
            unsafe passed += 1
            Log.info("test \(name): ok (\(ticks) ticks)")
        } else {
            unsafe failed += 1
            unsafe Log.error("test \(name): FAILED, \(currentFailures) expectations did not hold")
        }
    }

    /// Notes a failure of the test that runs where `condition` is false.
    static func expect(_ condition: Bool, _ rule: StaticString) {
        if condition { return }
        unsafe currentFailures += 1
        Log.error("  expected: \(rule)")
    }

    /// Notes a failure where two numbers differ, and says both.
    static func expect(_ found: UInt, equals expected: UInt, _ rule: StaticString) {
        if found == expected { return }
        unsafe currentFailures += 1
        Log.error("  expected: \(rule): found \(found), expected \(expected)")
    }

    static func expect(_ found: Int, equals expected: Int, _ rule: StaticString) {
        if found == expected { return }
        unsafe currentFailures += 1
        Log.error("  expected: \(rule): found \(found), expected \(expected)")
    }

    /// The value, or a noted failure and nil.
    static func require<Value>(_ value: Value?, _ rule: StaticString) -> Value? {
        expect(value != nil, rule)
        return value
    }

    /// The last line of every boot that got this far.
    static func summarise() -> ExitCode {
        unsafe Log.plain("quarry: \(passed) passed, \(failed) failed")
        return unsafe failed == 0 && passed > 0 ? .success : .selfTestsFailed
    }
}
