import KernelMemory
import MemoryPrimitives
import Monitor

/// Something that goes through all commands.
protocol CommandVisitor {
    /// - Returns: false where nothing more is to be visited.
    mutating func visit<Group: CommandGroup>(_ command: Group) -> Bool
}

/// The monitor's commands.
enum CommandTable {
    /// Calls `visitor` with every command, group by group: this is the list of the groups.
    static func visit<Visitor: CommandVisitor>(_ visitor: inout Visitor) {
        guard visitGroup(GeneralCommand.self, &visitor) else { return }
        guard visitGroup(ReportCommand.self, &visitor) else { return }
        guard visitGroup(AllocationCommand.self, &visitor) else { return }
        guard visitGroup(MemoryCommand.self, &visitor) else { return }
        guard visitGroup(TestCommand.self, &visitor) else { return }
        guard visitGroup(InspectionCommand.self, &visitor) else { return }
    }

    private static func visitGroup<Group: CommandGroup, Visitor: CommandVisitor>(
        _ group: Group.Type, _ visitor: inout Visitor
    ) -> Bool {
        var number: UInt8 = 0
        while let command = Group(rawValue: number) {
            if !visitor.visit(command) { return false }
            number += 1
        }
        return true
    }

    /// The name of the command at a place in the table; nil behind the last.
    static func name(_ index: Int) -> LineText? {
        var finder = NameFinder(index: index)
        visit(&finder)
        return finder.found
    }

    /// Does what a line says; an empty one says nothing. What cannot be obeyed is said in a line.
    static func run(_ line: LineText, _ memory: Permanent<KernelMemory<X86Platform>>) {
        let words = LineWords(line)
        guard let name = words[0] else { return }
        var runner = CommandRunner(name: name, call: CommandCall(words: words, memory: memory))
        visit(&runner)
        if !runner.isFound { MonitorOutput.line("expected a command, not \"\(name)\"; `help` lists them") }
    }
}

/// Runs the command of a name.
private struct CommandRunner: CommandVisitor {
    let name: LineText
    let call: CommandCall
    var isFound = false

    mutating func visit<Group: CommandGroup>(_ command: Group) -> Bool {
        let help = command.help
        guard name == help.name else { return true }
        isFound = true
        do throws(CommandError) {
            try command.run(call)
        } catch {
            Self.explain(error, help)
        }
        return false
    }

    @inline(never)
    private static func explain(_ error: CommandError, _ help: CommandHelp) {
        if let found = error.found {
            MonitorOutput.line("\(help.name): expected \(error.expected), not \"\(found)\"")
        } else {
            MonitorOutput.line("\(help.name): expected \(error.expected)")
        }
    }
}

/// What the tab key finds: commands' names for the first word, and what the command says for the others.
struct CommandCompletion: CompletionSource {
    func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        guard let name = words[0] else { return CommandTable.name(index) }
        var finder = ArgumentFinder(index: index, words: words, name: name)
        CommandTable.visit(&finder)
        return finder.found
    }
}

/// Finds what the command of a line offers for its next argument.
private struct ArgumentFinder: CommandVisitor {
    let index: Int
    let words: LineWords
    let name: LineText
    var found: LineText?

    mutating func visit<Group: CommandGroup>(_ command: Group) -> Bool {
        guard name == command.help.name else { return true }
        found = command.candidate(index, behind: words)
        return false
    }
}

/// Finds a command's name by its place in the table.
private struct NameFinder: CommandVisitor {
    /// How many commands come before the one that is looked for.
    var index: Int
    var found: LineText?

    mutating func visit<Group: CommandGroup>(_ command: Group) -> Bool {
        if index == 0 { found = LineText(command.help.name) }
        index -= 1
        return found == nil
    }
}
