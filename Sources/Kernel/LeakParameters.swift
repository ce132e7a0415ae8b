import BootMemory
import LeakDetection
import MemoryPrimitives

/// What `kmemleak=ITEM,ITEM` asks for: `on` has allocations noted down, and the other items, which stand for `on` as well,
/// are done in order at the end of the boot.
struct LeakParameters {
    private(set) var isOn = false
    /// The word, whose bytes stay.
    private(set) var word: Word?

    mutating func read(_ word: Word) throws(CommandLineError) {
        if !word.hasValue { throw CommandLineError(kind: .valueMissing, word: word) }
        isOn = false
        self.word = word
        for item in word.items where !item.hasKey("off") {
            if try Item(item) != nil {
                isOn = true
            } else {
                unsafe Log.warning("kmemleak: unknown item \"\(item.bytes)\"")
            }
        }
    }

    /// A part of the word.
    enum Item {
        case on
        /// Loses memory on purpose, to see what a report looks like.
        case plant
        case command(LeakCommand)

        init?(_ word: Word) throws(CommandLineError) {
            if word.hasKey("on") {
                self = .on
            } else if word.hasKey("plant") {
                self = .plant
            } else {
                guard let command = try LeakCommand(word) else { return nil }
                self = .command(command)
            }
        }
    }
}
