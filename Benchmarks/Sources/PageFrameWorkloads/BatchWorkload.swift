import HostSupport

/// The order in which a batch is given back.
@safe
struct FreeOrder {
    enum Kind { case firstInFirstOut, lastInFirstOut, random }

    private let positions: UnsafeMutablePointer<UInt32>

    init(_ kind: Kind, count: Int) {
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
    subscript(index: Int) -> Int { Int(unsafe positions[index]) }

    func deallocate() { unsafe positions.deallocate() }
}

/// 100000 allocations, then as many frees, twice; the second round is measured.
enum BatchWorkload {
    static let count = 100_000

    struct Labels {
        let allocations: StaticString
        let frees: StaticString
    }

    @inline(never)
    static func run(_ labels: Labels, _ kind: FreeOrder.Kind, _ source: some FrameSource) {
        let order = Int(bitPattern: host_hide(0))
        let freeOrder = FreeOrder(kind, count: count)
        // Written by the allocations of a round before its frees read it; indices are below count.
        let frames = UnsafeMutablePointer<UInt>.allocate(capacity: count)
        for index in 0..<count { unsafe frames[index] = source.allocate(order: order) }
        for index in 0..<count { unsafe source.free(frames[freeOrder[index]], order: order) }
        measure(labels.allocations, operations: count) {
            for index in 0..<count { unsafe frames[index] = source.allocate(order: order) }
        }
        measure(labels.frees, operations: count) {
            for index in 0..<count { unsafe source.free(frames[freeOrder[index]], order: order) }
        }
        unsafe frames.deallocate()
        freeOrder.deallocate()
    }
}
