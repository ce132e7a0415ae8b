/// Makes keys of the bytes that a terminal sends.
///
///     ground --ESC--> escape --[--> sequence --@...~--> ground, a key where the sequence is known
///                       |----O--> single --any--> ground
///                       '--any other--> ground: nothing, as for Alt and a key
///
/// A control character within a sequence ends it and counts for itself, so that no broken sequence swallows what comes
/// after it. CR, LF and CR LF are one `enter`.
public struct KeyDecoder: Sendable {
    private enum State: Sendable {
        case ground
        case escape
        /// Behind `ESC [`, with the first number so far and whether the sequence has more than one.
        case sequence(parameter: UInt8, isFirst: Bool)
        /// Behind `ESC O`.
        case single
    }

    private var state = State.ground
    private var lastWasReturn = false

    public init() {}

    /// Takes a byte. - Returns: the key that it completes; nil where it completes none.
    public mutating func decode(_ byte: UInt8) -> Key? {
        let followsReturn = lastWasReturn
        lastWasReturn = byte == 13
        if byte < 0x20 || byte == 0x7f {
            state = byte == 27 ? .escape : .ground
            return byte == 10 && followsReturn ? nil : Self.control(byte)
        }
        switch state {
        case .ground: return byte < 0x7f ? .character(byte) : .unknown
        case .escape:
            switch byte {
            case UInt8(ascii: "["): state = .sequence(parameter: 0, isFirst: true)
            case UInt8(ascii: "O"): state = .single
            default: state = .ground
            }
            return nil
        case .single:
            state = .ground
            return Self.final(byte, parameter: 0)
        case .sequence(let parameter, let isFirst): return next(byte, parameter, isFirst)
        }
    }

    /// A byte of a control sequence (ECMA-48, 5.4): numbers and signs up to a final byte.
    private mutating func next(_ byte: UInt8, _ parameter: UInt8, _ isFirst: Bool) -> Key? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            // Numbers that do not fit are none that is known.
            let digit = byte - UInt8(ascii: "0")
            let value = isFirst ? parameter > 24 ? 255 : parameter * 10 + digit : parameter
            state = .sequence(parameter: value, isFirst: isFirst)
            return nil
        case 0x20...0x3f:
            state = .sequence(parameter: parameter, isFirst: false)
            return nil
        default:
            state = .ground
            return Self.final(byte, parameter: parameter)
        }
    }

    private static func final(_ byte: UInt8, parameter: UInt8) -> Key? {
        switch byte {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): .right
        case UInt8(ascii: "D"): .left
        case UInt8(ascii: "H"): .home
        case UInt8(ascii: "F"): .end
        case UInt8(ascii: "~"):
            switch parameter {
            case 1, 7: .home
            case 3: .delete
            case 4, 8: .end
            default: nil
            }
        default: nil
        }
    }

    /// What a control character means; nil for those that only begin something.
    private static func control(_ byte: UInt8) -> Key? {
        switch byte {
        case 1: .home
        case 2: .left
        case 3: .interrupt
        case 4: .endOfInput
        case 5: .end
        case 6: .right
        case 8, 0x7f: .backspace
        case 9: .tab
        case 10, 13: .enter
        case 11: .killToEnd
        case 12: .clearScreen
        case 14: .down
        case 16: .up
        case 21: .killToStart
        case 23: .killWord
        case 27, 0: nil
        default: .unknown
        }
    }
}
