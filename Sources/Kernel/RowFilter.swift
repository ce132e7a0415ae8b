import Monitor

/// Which of the self tests, or of the benchmarks' rows, are run: the monitor runs those whose names contain what was typed.
struct RowFilter {
    /// What a name must contain; nil for all.
    var wanted: LineText?
    /// Whether names are only listed.
    var lists = false
    /// Whether names are only noted down, for the tab key.
    var isForNames = false
    /// How many names have been let through, or listed.
    private(set) var found = 0

    /// Whether what has this name is to be run.
    @inline(never)
    mutating func lets(_ name: StaticString) -> Bool {
        if isForNames {
            SelfTestNames.note(name)
            return false
        }
        if let wanted, !LineText(name).contains(wanted) { return false }
        found += 1
        if lists { MonitorOutput.line("  \(name)") }
        return !lists
    }
}
