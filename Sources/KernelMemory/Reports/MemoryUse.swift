import MemoryPrimitives

/// What a frame is used for, as maps of memory tell uses apart.
///
/// Raw values count up from 0 without a gap.
enum MemoryUse: UInt8, Sendable {
    /// In a zone, for whoever asks.
    case free
    /// In a CPU's frame cache.
    case cached
    case slab
    /// What kmalloc knows of its slabs, and its magazines and caches.
    case slabBookkeeping
    /// A block of more than 8192 bytes that kmalloc gave out.
    case kmalloc
    case pageTable
    case vmalloc
    /// A page of a kernel stack, or waiting to become one.
    case stack
    /// A page of guarded objects.
    case guarded
    /// A buffer that a device has.
    case dma
    /// A block of somebody who asked the page frames for it.
    case allocated
    /// Kept from everybody, to catch an overrun (`debug_guardpage`).
    case guardPage
    /// Never given to the allocators.
    case reserved
    /// In a state that there is none of.
    case damaged

    /// The number of uses.
    static var count: Int { 14 }

    /// The use in one word, for reports.
    var name: StaticString {
        switch self {
        case .free: "free"
        case .cached: "cached"
        case .slab: "slab"
        case .slabBookkeeping: "slab-bookkeeping"
        case .kmalloc: "kmalloc"
        case .pageTable: "page-table"
        case .vmalloc: "vmalloc"
        case .stack: "stack"
        case .guarded: "guarded"
        case .dma: "dma"
        case .allocated: "allocated"
        case .guardPage: "guard-page"
        case .reserved: "reserved"
        case .damaged: "damaged"
        }
    }

    /// The letter that stands for the use in a map of text, where nothing else is in its place.
    var letter: UInt8 {
        switch self {
        case .free: UInt8(ascii: ".")
        case .cached: UInt8(ascii: "C")
        case .slab: UInt8(ascii: "S")
        case .slabBookkeeping: UInt8(ascii: "B")
        case .kmalloc: UInt8(ascii: "K")
        case .pageTable: UInt8(ascii: "T")
        case .vmalloc: UInt8(ascii: "V")
        case .stack: UInt8(ascii: "P")
        case .guarded: UInt8(ascii: "G")
        case .dma: UInt8(ascii: "D")
        case .allocated: UInt8(ascii: "A")
        case .guardPage: UInt8(ascii: "X")
        case .reserved: UInt8(ascii: "R")
        case .damaged: UInt8(ascii: "?")
        }
    }

    /// The colours of foreground and background in a terminal of 16 colours: ANSI's numbers.
    var colours: (foreground: UInt, background: UInt) {
        switch self {
        case .free: (90, 49)
        case .cached: (30, 107)
        case .slab: (97, 44)
        case .slabBookkeeping: (30, 104)
        case .kmalloc: (30, 106)
        case .pageTable: (97, 41)
        case .vmalloc: (30, 43)
        case .stack: (97, 45)
        case .guarded: (30, 105)
        case .dma: (30, 102)
        case .allocated: (30, 42)
        case .guardPage: (30, 101)
        case .reserved: (97, 100)
        case .damaged: (93, 41)
        }
    }
}

/// Frames that follow each other and are used alike.
struct MemoryUseRun: Equatable, Sendable {
    var first: PageFrameNumber
    /// Frames, at least one.
    var count: UInt
    var use: MemoryUse
    /// log2 of the frames of each block; 0 where they are no blocks.
    var order: Int
    /// Whether the descriptors of these free frames have not been written yet.
    var isDeferred = false
    /// Of slabs the cache's identifier; of what is reserved the owner's raw value; else 0.
    var detail: UInt = 0

    /// The first frame after the run.
    var end: PageFrameNumber { first + count }

    /// Adds `next` where it goes on with the same use.
    mutating func extend(by next: MemoryUseRun) -> Bool {
        guard next.first == end, next.use == use, next.order == order, next.isDeferred == isDeferred,
            next.detail == detail
        else { return false }
        count &+= next.count
        return true
    }
}
