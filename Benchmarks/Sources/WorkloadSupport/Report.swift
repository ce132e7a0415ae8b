import HostSupport

// Lines for Tools/host_bench.py, fields separated by tabs.

/// Ends the program where `condition` is false: figures of another workload, or of a broken allocator, are worth nothing.
package func expect(_ condition: Bool, _ what: StaticString) {
    if condition { return }
    print("error\t\(what)")
    host_exit(1)
}

/// Measures `body`, which does `operations` operations: nanoseconds, and instructions where valgrind counts them.
@inline(__always)
package func measure(_ label: StaticString, operations: Int, _ body: () -> Void) {
    host_count_start()
    let start = host_nanoseconds()
    body()
    let end = host_nanoseconds()
    // A StaticString's bytes end with NUL and live as long as the program.
    unsafe host_count_stop(label.utf8Start)
    print("measured\t\(label)\t\(operations)\t\(end - start)")
}

/// True where instructions are counted: fifty times as slow, and repetitions add nothing.
package var countsInstructions: Bool { host_counts() != 0 }
