/// The order in which a batch is given back.
@safe
package struct FreeOrder {
    package enum Kind { case firstInFirstOut, lastInFirstOut, random }

    private let positions: UnsafeMutablePointer<UInt32>

    package init(_ kind: Kind, count: Int) {
        unsafe positions = UnsafeMutablePointer.allocate(capacity: count)
        // Indices are below count throughout.
        for index in 0..<count {
            unsafe positions[index] = UInt32(kind == .lastInFirstOut ? count - 1 - index : index)
        }
        guard kind == .random else { return }
        var generator = Generator()
        for index in stride(from: count - 1, to: 0, by: -1) {
            let other = generator.below(index + 1)
            let kept = unsafe positions[index]
            unsafe positions[index] = positions[other]
            unsafe positions[other] = kept
        }
    }

    @inline(__always)
    package subscript(index: Int) -> Int { Int(unsafe positions[index]) }

    package func deallocate() { unsafe positions.deallocate() }
}
