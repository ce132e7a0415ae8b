/// The lines that were entered last, in memory that its owner has given it.
///
/// Slots of equal size make a ring: a byte with the line's length, and the line. The last slot keeps the line that was
/// being typed while others are looked at.
@safe
struct LineHistory: ~Copyable {
    private let memory: UnsafeMutablePointer<UInt8>
    private let slotSize: Int
    private let slotCount: Int
    /// How many lines were ever kept.
    private var entered = 0
    /// Which line is looked at: 0 for the one that is being typed, 1 for the one entered last.
    private(set) var age = 0

    /// - Parameters:
    ///   - memory: this history's alone, for as long as it is used.
    ///   - lineCapacity: how long a line can be, at most 255 bytes.
    @unsafe
    init(_ memory: UnsafeMutableBufferPointer<UInt8>, lineCapacity: Int) {
        slotSize = lineCapacity + 1
        guard let start = memory.baseAddress, memory.count >= 2 * slotSize else {
            preconditionFailure("a history needs memory for two lines")
        }
        unsafe self.memory = start
        slotCount = memory.count / slotSize - 1
    }

    /// How many lines can be looked at.
    var count: Int { min(entered, slotCount) }

    /// The line entered `age` lines ago, 1 being the last one; nil where none is kept.
    func line(ofAge age: Int) -> LineText? {
        if age < 1 || age > count { return nil }
        return text(inSlot: (entered - age) % slotCount)
    }

    /// Keeps a line that was entered, unless it is empty or that before it again; the newest is next to be looked at.
    mutating func add(_ line: LineText) {
        age = 0
        if line.isEmpty { return }
        if let last = self.line(ofAge: 1), last == line { return }
        set(slot: entered % slotCount, to: line)
        entered += 1
    }

    /// Goes to an older line. - Returns: that line; nil where there is none.
    mutating func older(than current: LineText) -> LineText? {
        guard let line = line(ofAge: age + 1) else { return nil }
        if age == 0 { set(slot: slotCount, to: current) }
        age += 1
        return line
    }

    /// Goes to a newer line, at last the one that was being typed. - Returns: that line; nil where there is none.
    mutating func newer() -> LineText? {
        if age == 0 { return nil }
        age -= 1
        return age == 0 ? text(inSlot: slotCount) : line(ofAge: age)
    }

    /// The next line is a new one.
    mutating func leave() { age = 0 }

    private func text(inSlot slot: Int) -> LineText {
        // slot <= slotCount, and each slot holds no more than the length in its first byte.
        let start = unsafe memory + slot * slotSize
        return unsafe LineText(UnsafeRawBufferPointer(start: start + 1, count: Int(start.pointee)))
    }

    private func set(slot: Int, to line: LineText) {
        let start = unsafe memory + slot * slotSize
        // As above.
        let count = min(line.count, slotSize - 1)
        unsafe start.pointee = UInt8(count)
        for index in 0..<count { unsafe start[index + 1] = line[index] }
    }
}
