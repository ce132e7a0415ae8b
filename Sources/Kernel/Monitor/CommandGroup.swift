import KernelMemory
import MemoryPrimitives
import Monitor

/// What `help` says of a command.
struct CommandHelp {
    let name: StaticString
    /// What it does, in a line.
    let summary: StaticString
    /// Its arguments: words in capitals stand for what is put there, and brackets around what can be left out.
    var arguments: StaticString = ""
    /// A line that can be typed as it is.
    let example: StaticString
}

/// A group of the monitor's commands: an enumeration whose raw values count up from 0 without a gap.
///
/// A group has a file of its own and a line in `CommandTable.visit`; `help` and the tab key know its commands by that.
protocol CommandGroup: RawRepresentable where RawValue == UInt8 {
    var help: CommandHelp { get }

    /// The `index`th text that the tab key offers for the next argument, of which `words`, the command's name first, stand
    /// there already; nil behind the last.
    func candidate(_ index: Int, behind words: LineWords) -> LineText?

    /// Does it.
    func run(_ call: CommandCall) throws(CommandError)
}

extension CommandGroup {
    func candidate(_ index: Int, behind words: LineWords) -> LineText? { nil }
}

/// Why a line cannot be obeyed: what was expected, and what stands there instead; nil where nothing does.
struct CommandError: Error {
    let expected: StaticString
    let found: LineText?

    init(expected: StaticString, found: LineText?) {
        self.expected = expected
        self.found = found
    }
}

/// A command with its arguments, and what it works on.
struct CommandCall {
    let words: LineWords
    let memory: Permanent<KernelMemory<X86Platform>>

    /// The argument at `index`, from 1 on; nil where there are not so many.
    subscript(index: Int) -> LineText? { words[index] }

    /// The argument at `index`; throws where it is missing.
    func text(_ index: Int, _ expected: StaticString) throws(CommandError) -> LineText {
        guard let word = words[index] else { throw CommandError(expected: expected, found: nil) }
        return word
    }

    /// The argument at `index` as a number, decimal or hexadecimal.
    func number(_ index: Int, _ expected: StaticString) throws(CommandError) -> UInt {
        let word = try text(index, expected)
        guard let number = word.number else { throw CommandError(expected: expected, found: word) }
        return number
    }

    /// The argument at `index` as a number of bytes: a number, and K, M, G and so on behind it.
    func size(_ index: Int, _ expected: StaticString) throws(CommandError) -> UInt {
        let word = try text(index, expected)
        guard let size = word.size else { throw CommandError(expected: expected, found: word) }
        return size
    }

    /// Throws where there are more than `count` arguments.
    func expectNoMore(than count: Int) throws(CommandError) {
        if let word = words[count + 1] { throw CommandError(expected: "no more arguments", found: word) }
    }
}
