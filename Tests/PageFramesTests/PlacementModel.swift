import MemoryPrimitives

@testable import PageFrames

/// Where a zone must place each block: the rules of `BuddyAllocator` and `ZoneState`, told with lists and searches.
///
/// 0. The first block that was freed after an allocation, if it is of the order and mobility, and does not lie beyond the
///    page block chosen last. Until another allocation, or a look at the zone, it is not merged.
/// 1. A block of just the order, in the lowest page block of the request's mobility that has one.
/// 2. Else of the lowest page block of that mobility with a larger block the smallest that fits, its lower end.
/// 3. Else the lowest section that nobody has used yet, which is of that mobility from then on.
/// 4. Else a page block of another mobility, of which half, if it is free, changes sides.
struct PlacementModel {
    private var frames: ReferenceModel
    /// Of each page block.
    private(set) var mobility: [Mobility]
    /// Sections that nobody has used yet, ascending. Their frames are free in `frames`.
    private var unused: [Int]
    /// The free blocks of each page block in use; one of a whole section is its first page block's.
    private var blocks: [[(frame: Int, order: Int)]]
    /// The zone's page blocks.
    private let range: Range<Int>

    /// The block that is held, and the end of the page block that was chosen last.
    private(set) var held: (frame: Int, order: Int)?
    private var heldLimit = 0

    var freeFrames: Int { frames.freeFrames + (held.map { 1 << $0.order } ?? 0) }

    /// - Parameters:
    ///   - frameCount: where the frames end.
    ///   - free: what is free at first.
    ///   - span: the zone, whose ends are multiples of 1024.
    init(frameCount: Int, free: [Range<UInt>], span: Range<Int>) {
        let inZone = free.map { $0.clamped(to: UInt(span.lowerBound)..<UInt(span.upperBound)) }.filter { !$0.isEmpty }
        frames = ReferenceModel(frameCount: frameCount, free: inZone)
        let sections = (frameCount + 1023) / 1024
        range = span.lowerBound / 512..<min(span.upperBound / 512, sections * 2)
        // What is not whole begins as movable, and what is whole as unused.
        mobility = Array(repeating: .movable, count: sections * 2)
        unused = []
        blocks = Array(repeating: [], count: sections * 2)
        for section in range.lowerBound / 2..<max(range.lowerBound, range.upperBound) / 2 {
            if frames.isFree(section * 1024, order: 10) { unused.append(section) } else { update(section) }
        }
    }

    /// The number of free blocks of each order.
    var freeBlocks: [UInt] { frames.freeBlocks(in: range.lowerBound * 512..<range.upperBound * 512) }

    func isFree(_ frame: Int, order: Int) -> Bool { frames.isFree(frame, order: order) }

    private mutating func update(_ section: Int) {
        for half in 0..<2 {
            blocks[section * 2 + half] = frames.freeBlocks(within: section * 1024 + half * 512, order: 9)
        }
        if frames.isFree(section * 1024, order: 10) {
            blocks[section * 2] = [(section * 1024, 10)]
            blocks[section * 2 + 1] = []
        }
    }

    // MARK: Taking and putting back

    /// Whether the block that is held is the one to take.
    func isHeld(order: Int, _ wanted: Mobility) -> Bool {
        held.map { $0.order == order && mobility[$0.frame / 512] == wanted } ?? false
    }

    mutating func takeHeld() -> Int? {
        defer { held = nil }
        return held?.frame
    }

    /// What any look at the zone does.
    mutating func settle() {
        guard let block = held else { return }
        held = nil
        merge(block.frame, order: block.order)
    }

    /// Takes a block where the rules from the first on say; nil where they give none.
    mutating func take(order: Int, _ wanted: Mobility) -> Int? {
        settle()
        guard let frame = choose(order, wanted) else { return nil }
        heldLimit = (frame / 512 + 1) * 512
        return frame
    }

    private mutating func choose(_ order: Int, _ wanted: Mobility) -> Int? {
        if let frame = takeOwn(order, wanted) { return frame }
        if !unused.isEmpty {
            let section = unused.removeFirst()
            setMobility(wanted, section * 2, andNext: true)
            update(section)
            return takeOwn(order, wanted)
        }
        return takeForeign(order, wanted)
    }

    /// Puts a block back.
    mutating func put(_ frame: Int, order: Int) {
        if held == nil, frame < heldLimit { held = (frame, order) } else { merge(frame, order: order) }
    }

    /// Makes a block free; with it its section may become whole.
    private mutating func merge(_ frame: Int, order: Int) {
        let section = frame / 1024
        frames.set(UInt(frame), order: order, free: true)
        update(section)
        if frames.isFree(section * 1024, order: 10) { setMobility(mobility[frame / 512], section * 2, andNext: true) }
    }

    private mutating func takeOwn(_ order: Int, _ wanted: Mobility) -> Int? {
        let exact = range.first { has($0, wanted) { $0 == order } }
        guard let block = exact ?? range.first(where: { has($0, wanted) { $0 >= order } }) else { return nil }
        let fitting = blocks[block].filter { $0.order >= order }.map(\.order).min()
        guard let found = blocks[block].first(where: { $0.order == fitting }) else { return nil }
        frames.set(UInt(found.frame), order: order, free: false)
        update(found.frame / 1024)
        return found.frame
    }

    private func has(_ block: Int, _ wanted: Mobility, _ isFitting: (Int) -> Bool) -> Bool {
        mobility[block] == wanted && blocks[block].contains { isFitting($0.order) }
    }

    // MARK: Other mobilities

    private mutating func takeForeign(_ order: Int, _ wanted: Mobility) -> Int? {
        func helper(of order: Int) -> Mobility? {
            let helpers: [Mobility] =
                switch wanted {
                case .unmovable: [.reclaimable, .movable]
                case .movable: [.reclaimable, .unmovable]
                default: [.unmovable, .movable]
                }
            return helpers.first { helper in range.contains { has($0, helper) { $0 == order } } }
        }
        guard let largest = (order...10).last(where: { helper(of: $0) != nil }) else { return nil }
        if wanted == .movable, largest < 9 {
            // What can be moved fills gaps: the smallest that fit.
            guard let smallest = (order...10).first(where: { helper(of: $0) != nil }) else { return nil }
            return takeOwn(order, helper(of: smallest)!)
        }
        let from = helper(of: largest)!
        let block = range.first { has($0, from) { $0 == largest } }!
        let free = blocks[block].reduce(0) { $0 + 1 << $1.order }
        guard largest >= 9 || free >= 256 else { return takeOwn(order, from) }
        setMobility(wanted, block, andNext: largest == 10)
        return takeOwn(order, wanted)
    }

    private mutating func setMobility(_ new: Mobility, _ block: Int, andNext: Bool) {
        mobility[block] = new
        if andNext { mobility[block + 1] = new }
    }
}
