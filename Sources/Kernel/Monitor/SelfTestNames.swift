import KernelMemory
import Monitor

/// The self tests' names, for the tab key: word by word, as they are typed.
enum SelfTestNames {
    /// More than there are.
    private static var capacity: Int { 128 }

    nonisolated(unsafe) private static var names = InlineArray<128, StaticString>(repeating: "")
    nonisolated(unsafe) private static var count = 0
    /// What is typed already: the command, and the first words of a name.
    nonisolated(unsafe) private static var typed: LineWords?

    /// How many words can come next, of those that were looked for last.
    static var found: Int { unsafe count }

    /// The `index`th word that can come next in a name. They are looked for when the first is asked for.
    @inline(never)
    static func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        if index == 0 { collect(words) }
        if unsafe index >= count { return nil }
        return unsafe LineWords(LineText(name(index).pointee))[words.count - 1]
    }

    /// The tests are gone through, and none is run.
    private static func collect(_ words: LineWords) {
        unsafe (count, typed) = (0, words)
        guard let memory = unsafe Quarry.memory, SelfTests.canRun(memory) else { return }
        unsafe SelfTest.filter = RowFilter(isForNames: true)
        SelfTests.run(memory)
        unsafe SelfTest.filter = RowFilter()
    }

    /// Notes a test's name down where its next word is one that none has yet.
    @inline(never)
    static func note(_ text: StaticString) {
        guard let typed = unsafe typed, unsafe count < capacity else { return }
        let words = LineWords(LineText(text))
        let place = typed.count - 1
        for index in 0..<place {
            guard let word = words[index], let other = typed[index + 1], word == other else { return }
        }
        guard let next = words[place] else { return }
        for index in unsafe 0..<count {
            if let word = unsafe LineWords(LineText(name(index).pointee))[place], word == next { return }
        }
        unsafe name(count).pointee = text
        unsafe count += 1
    }

    /// A global's address does not change. `index` is one of 0..<capacity.
    private static func name(_ index: Int) -> UnsafeMutablePointer<StaticString> {
        unsafe withUnsafeMutablePointer(to: &names) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: StaticString.self) + index
    }
}
