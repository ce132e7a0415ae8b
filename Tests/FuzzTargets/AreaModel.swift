import MemoryPrimitives
import PageFrames
import VirtualMemory

/// What a page of an area should hold, as far as it is known.
enum PageContents: Equatable {
    /// Due at its first touch, which finds zeros.
    case untouched
    /// Due when the stack grows, which finds paint.
    case ofGrowth
    /// There, and nobody knows what is in it.
    case unknown
    /// There, with this word at the place that the model writes to, and zeros or words of the model's elsewhere.
    case word(UInt64)

    /// True where there is no frame yet.
    var isDue: Bool { self == .untouched || self == .ofGrowth }
}

/// An area in use, as its owner sees it.
struct LiveArea {
    enum Kind: Equatable {
        case vmalloc
        /// Frames of the fuzz target's own, by their index.
        case map([Int])
        case stack
    }

    var address: VirtualAddress
    var kind: Kind
    var pages: [PageContents]
    var isReadOnly: [Bool]
    /// The stack that the area is, for its end.
    var stack: FuzzStack?

    init(_ address: VirtualAddress, _ kind: Kind, _ contents: PageContents, count: Int) {
        self.address = address
        self.kind = kind
        pages = Array(repeating: contents, count: count)
        isReadOnly = Array(repeating: false, count: count)
    }

    func page(_ index: Int) -> VirtualAddress { address + UInt(index) << 12 }

    /// Where the model reads and writes in a page: another place in each.
    func place(_ index: Int) -> VirtualAddress { page(index) + UInt(index * 8 & 4088) }

    var end: VirtualAddress { page(pages.count) }

    /// With its guard pages.
    var taken: Range<UInt> { (kind == .stack ? address - 4096 : address).rawValue..<end.rawValue + 4096 }

    var isOnDemand: Bool { pages.contains(.untouched) }
}

/// A kernel stack, which cannot be copied, in an array's element.
final class FuzzStack {
    private var stack: KernelStack<AreaOperationsFuzz.Platform>?

    init(_ stack: consuming KernelStack<AreaOperationsFuzz.Platform>) { self.stack = consume stack }

    func free() { stack.take()?.free() }
}
