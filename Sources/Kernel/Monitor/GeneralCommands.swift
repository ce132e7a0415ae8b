import KernelMemory
import MemoryPrimitives
import Monitor

/// Commands about the monitor and the machine as a whole.
enum GeneralCommand: UInt8, CommandGroup {
    case help
    case dmesg
    case reboot
    case poweroff

    var help: CommandHelp {
        switch self {
        case .help:
            CommandHelp(
                name: "help", summary: "list the commands, or say how one is used", arguments: "[COMMAND]",
                example: "help alloc")
        case .dmesg: CommandHelp(name: "dmesg", summary: "print what has been logged", example: "dmesg")
        case .reboot: CommandHelp(name: "reboot", summary: "start the machine afresh", example: "reboot")
        case .poweroff: CommandHelp(name: "poweroff", summary: "switch the machine off", example: "poweroff")
        }
    }

    func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        guard self == .help, words.count == 1 else { return nil }
        return CommandTable.name(index)
    }

    func run(_ call: CommandCall) throws(CommandError) {
        try call.expectNoMore(than: self == .help ? 1 : 0)
        switch self {
        case .help: try HelpCommand.run(call)
        case .dmesg: DmesgCommand.run()
        case .reboot: PowerControl.reboot()
        case .poweroff: PowerControl.powerOff()
        }
    }
}

/// `dmesg`: the ring of the log, as it was written.
enum DmesgCommand {
    static func run() {
        var writer = SerialReportWriter()
        // What comes while it is printed comes next time.
        let end = LogRing.end
        var place = LogRing.start
        while place < end {
            writer.write(LogRing.byte(at: place))
            place += 1
        }
    }
}

/// `help`: a line for each command, or all of one.
enum HelpCommand {
    static func run(_ call: CommandCall) throws(CommandError) {
        guard let name = call[1] else {
            var lister = CommandLister()
            CommandTable.visit(&lister)
            MonitorOutput.line("`help COMMAND` says how one is used; the tab key completes names")
            return
        }
        var explainer = CommandExplainer(name: name)
        CommandTable.visit(&explainer)
        if !explainer.isFound { throw CommandError(expected: "the name of a command", found: name) }
    }
}

private struct CommandLister: CommandVisitor {
    mutating func visit<Group: CommandGroup>(_ command: Group) -> Bool {
        Self.list(command.help)
        return true
    }

    @inline(never)
    private static func list(_ help: CommandHelp) {
        var writer = SerialReportWriter()
        writer.write("  ")
        writer.write(help.name)
        for _ in help.name.utf8CodeUnitCount..<max(14, help.name.utf8CodeUnitCount + 1) {
            writer.write(UInt8(ascii: " "))
        }
        writer.write(help.summary)
        writer.endLine()
    }
}

private struct CommandExplainer: CommandVisitor {
    let name: LineText
    var isFound = false

    mutating func visit<Group: CommandGroup>(_ command: Group) -> Bool {
        let help = command.help
        guard name == help.name else { return true }
        isFound = true
        Self.explain(help)
        return false
    }

    @inline(never)
    private static func explain(_ help: CommandHelp) {
        MonitorOutput.line("\(help.name) \(help.arguments)")
        MonitorOutput.line("    \(help.summary)")
        MonitorOutput.line("    example: \(help.example)")
    }
}
