/// Who knows what can stand in a line, for the tab key.
public protocol CompletionSource {
    /// The `index`th text that can stand as a word behind `words`; nil behind the last one. The order is that in which they
    /// are listed; the text stays valid until the line is finished.
    func candidate(_ index: Int, behind words: LineWords) -> LineText?
}

/// What the tab key finds for a beginning of a word.
struct Completion {
    /// How many candidates begin so.
    private(set) var count = 0
    /// The first of them.
    private(set) var first: LineText?
    /// How many bytes all of them have alike.
    private(set) var commonLength = 0

    init<Source: CompletionSource>(of beginning: LineText, behind words: LineWords, from source: borrowing Source) {
        var index = 0
        while let candidate = source.candidate(index, behind: words) {
            index += 1
            if !candidate.hasPrefix(beginning) { continue }
            if let first {
                commonLength = min(commonLength, first.commonPrefix(with: candidate))
            } else {
                first = candidate
                commonLength = candidate.count
            }
            count += 1
        }
    }
}
