import Monitor

/// One of several words that an argument can be: an enumeration whose raw values count up from 0 without a gap.
protocol WordChoice: RawRepresentable where RawValue == UInt8 {
    var word: StaticString { get }
}

extension WordChoice {
    /// The choice that `text` says; nil where it says none.
    init?(_ text: LineText) {
        var value: UInt8 = 0
        while let choice = Self(rawValue: value) {
            if text == choice.word {
                self = choice
                return
            }
            value += 1
        }
        return nil
    }

    /// The word at `index`, for the tab key; nil behind the last.
    static func candidate(_ index: Int) -> LineText? {
        guard let value = UInt8(exactly: index), let choice = Self(rawValue: value) else { return nil }
        return LineText(choice.word)
    }
}
