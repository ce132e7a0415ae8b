/// What a few page frames must be like, in the simplest words there are: what each frame is used for.
struct SmallModel: Hashable {
    enum Use: Hashable {
        case free
        /// The first frame of a block.
        case head(order: Int)
        /// Another frame of a block.
        case tail
    }

    /// The frames that there are.
    let frames: Range<UInt>
    private var uses: [Use]

    /// - Parameter frames: all free.
    init(frames: Range<UInt>) {
        self.frames = frames
        uses = frames.map { _ in .free }
    }

    subscript(frame: UInt) -> Use {
        get { uses[Int(frame - frames.lowerBound)] }
        set { uses[Int(frame - frames.lowerBound)] = newValue }
    }

    /// The frames of the block of `order` that `frame` lies in.
    func block(around frame: UInt, order: Int) -> Range<UInt> {
        let size: UInt = 1 << UInt(order)
        let start = frame / size * size
        return start..<start + size
    }

    /// True when there are all these frames and all of them are free.
    func isFree(_ block: Range<UInt>) -> Bool {
        block.lowerBound >= frames.lowerBound && block.upperBound <= frames.upperBound
            && block.allSatisfy { self[$0] == .free }
    }

    /// The order of the free block that `frame` lies in: the largest one, because buddies merge. Nil for a frame in use.
    func freeOrder(of frame: UInt) -> Int? {
        guard self[frame] == .free else { return nil }
        var order = 0
        while order < 10, isFree(block(around: frame, order: order + 1)) { order += 1 }
        return order
    }

    /// The number of free blocks of each order.
    var freeBlocks: [UInt] {
        var counts = Array(repeating: UInt(0), count: 11)
        var frame = frames.lowerBound
        while frame < frames.upperBound {
            let order = freeOrder(of: frame)
            if let order { counts[order] += 1 }
            frame += 1 << UInt(order ?? 0)
        }
        return counts
    }

    /// The blocks in use.
    var live: [(frame: UInt, order: Int)] {
        frames.compactMap { frame in
            if case .head(let order) = self[frame] { (frame, order) } else { nil }
        }
    }

    mutating func allocate(_ frame: UInt, order: Int) {
        for index in block(around: frame, order: order) { self[index] = .tail }
        self[frame] = .head(order: order)
    }

    mutating func free(_ frame: UInt, order: Int) {
        for index in block(around: frame, order: order) { self[index] = .free }
    }
}
