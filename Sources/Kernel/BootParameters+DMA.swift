import BootMemory
import DeviceMemory

// The words for memory that devices get; Linux's names.
extension BootParameters {
    mutating func applyToDMA(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("swiotlb") {
            if !word.hasValue { throw CommandLineError(kind: .valueMissing, word: word) }
            for item in word.items { try applySwiotlb(item, of: word) }
        } else if word.hasKey("dma_debug") {
            // Linux's only value is off, since there it is on.
            dma.isDebugging = try word.flag()
        } else {
            return false
        }
        return true
    }

    /// `SLOTS`, `force` or `noforce`.
    private mutating func applySwiotlb(_ item: Word, of word: Word) throws(CommandLineError) {
        if item.hasKey("force") {
            dma.bouncing = .always
        } else if item.hasKey("noforce") {
            dma.bouncing = .never
        } else {
            // The command line stays where it is.
            var scanner = unsafe ByteScanner(item.bytes)
            guard let number = scanner.number(), scanner.isAtEnd, number > 0 else {
                throw CommandLineError(kind: .notAChoice, word: word)
            }
            dma.slotCount = number
        }
    }
}
