import DeviceMemory
import KernelMemory
import MemoryPrimitives
import Monitor
import PageFrames
import Slab
import VirtualMemory

/// What `alloc` can be asked for.
enum AllocationKind: UInt8, WordChoice {
    case pages, kmalloc, object, vmalloc, huge, stack, dma

    var word: StaticString {
        switch self {
        case .pages: "pages"
        case .kmalloc: "kmalloc"
        case .object: "object"
        case .vmalloc: "vmalloc"
        case .huge: "huge"
        case .stack: "stack"
        case .dma: "dma"
        }
    }

    /// Whether flags can be given.
    var takesFlags: Bool {
        switch self {
        case .pages, .kmalloc, .object: true
        case .vmalloc, .huge, .stack, .dma: false
        }
    }

    /// What the size is, for who gives another.
    var expectedSize: StaticString {
        switch self {
        case .pages: "an order, 0 to 10"
        case .stack: "a size in bytes, 4K to 16M in whole pages"
        case .dma: "a size in bytes, 1 to 4M"
        case .object: "a size in bytes, 1 to 32K"
        case .kmalloc, .vmalloc, .huge: "a size in bytes, at least 1"
        }
    }

    /// Whether a size is one of those.
    func accepts(_ size: UInt) -> Bool {
        switch self {
        case .pages: size <= 10
        case .stack: size >= PageSize.byteCount && size <= 16 << 20 && size.isMultiple(of: PageSize.byteCount)
        case .dma: size >= 1 && size <= 4 << 20
        case .object: size >= 1 && size <= 32 << 10
        case .kmalloc, .vmalloc, .huge: size >= 1
        }
    }
}

/// What one `alloc` has brought, and what it takes to give it back.
struct HeldAllocation {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    let kind: AllocationKind
    /// Bytes; of pages the order.
    let size: UInt
    /// Where it is; of pages the frame's number.
    let address: UInt
    /// An object's cache, a stack's note, a buffer's address on the bus.
    let companion: UInt

    /// Where it can be touched.
    func virtualAddress(_ memory: Memory) -> VirtualAddress {
        kind == .pages
            ? memory.value.directMap.virtualAddress(of: PageFrameNumber(address).address) : VirtualAddress(address)
    }

    /// - Returns: nil, with everything as before, where there is no memory.
    @inline(never)
    static func make(_ kind: AllocationKind, _ size: UInt, _ flags: AllocationFlags, _ memory: Memory) -> Self? {
        switch kind {
        case .pages:
            guard let frame = memory.value.frames.value.allocate(order: Int(size), flags: flags) else { return nil }
            return Self(kind: kind, size: size, address: frame.rawValue, companion: 0)
        case .kmalloc:
            guard let object = unsafe memory.value.kmalloc.value.kmalloc(size, flags) else { return nil }
            return Self(kind: kind, size: size, address: UInt(bitPattern: object), companion: 0)
        case .object: return makeObject(size, flags, memory)
        case .vmalloc: return area(kind, size, memory.value.vmalloc.value.vmalloc(size))
        case .huge: return area(kind, size, memory.value.vmalloc.value.vmalloc_huge(size))
        case .stack: return makeStack(size, memory)
        case .dma: return makeBuffer(size, memory)
        }
    }

    private static func area(_ kind: AllocationKind, _ size: UInt, _ start: VirtualAddress?) -> Self? {
        guard let start else { return nil }
        return Self(kind: kind, size: size, address: start.rawValue, companion: 0)
    }

    /// An object of a cache of its own.
    private static func makeObject(_ size: UInt, _ flags: AllocationFlags, _ memory: Memory) -> Self? {
        let kmalloc = memory.value.kmalloc
        guard let cache = try? unsafe kmalloc.value.makeCache("monitor", objectSize: size, flags: .noMerge) else {
            return nil
        }
        guard let object = unsafe cache.allocate(flags: flags) else {
            kmalloc.value.destroyCache(cache)
            return nil
        }
        return Self(kind: .object, size: size, address: UInt(bitPattern: object), companion: cache.identifier)
    }

    /// A stack, whose value is kept in memory of kmalloc's: nobody runs on it.
    private static func makeStack(_ size: UInt, _ memory: Memory) -> Self? {
        let byteCount = UInt(MemoryLayout<KernelStack<X86Platform>>.size)
        guard let note = unsafe memory.value.kmalloc.value.kmalloc(byteCount, .kernel) else { return nil }
        guard
            let stack = KernelStack<X86Platform>(
                pageCount: size >> PageSize.shift, name: "monitor", from: memory.value.stacks)
        else {
            unsafe memory.value.kmalloc.value.kfree(note)
            return nil
        }
        let limit = stack.limit.rawValue
        // As many bytes as the value has, and aligned for any.
        unsafe note.bindMemory(to: KernelStack<X86Platform>.self, capacity: 1).initialize(to: stack)
        return Self(kind: .stack, size: size, address: limit, companion: UInt(bitPattern: note))
    }

    /// Whose buffers all are: what one device was given another cannot give back.
    nonisolated(unsafe) private static var device: DMADevice<X86Platform>?

    private static func makeBuffer(_ size: UInt, _ memory: Memory) -> Self? {
        if unsafe device == nil { unsafe device = try? memory.value.dma.value.makeDevice("monitor") }
        guard let device = unsafe device,
            let buffer = try? memory.value.dma.value.allocateCoherent(device, byteCount: size)
        else { return nil }
        return Self(kind: .dma, size: size, address: buffer.address.rawValue, companion: buffer.bus.rawValue)
    }

    /// Gives it back.
    @inline(never)
    func free(_ memory: Memory) {
        // What `make` returned, and nobody else's.
        let pointer = unsafe UnsafeMutableRawPointer(bitPattern: address)
        switch kind {
        case .pages: memory.value.frames.value.free(PageFrameNumber(address), order: Int(size))
        case .kmalloc: unsafe memory.value.kmalloc.value.kfree(pointer)
        case .object:
            let cache = unsafe CacheReference<X86Platform>(identifier: companion)
            unsafe cache.free(pointer)
            memory.value.kmalloc.value.destroyCache(cache)
        case .vmalloc, .huge: memory.value.vmalloc.value.vfree(VirtualAddress(address))
        case .stack: freeStack(memory)
        case .dma:
            guard let device = unsafe Self.device else { return }
            memory.value.dma.value.dma_free_coherent(device, size, VirtualAddress(address), BusAddress(companion))
        }
    }

    private func freeStack(_ memory: Memory) {
        guard let note = unsafe UnsafeMutableRawPointer(bitPattern: companion) else { return }
        // Where `makeStack` has put the value, which is taken out once.
        let stack = unsafe note.assumingMemoryBound(to: KernelStack<X86Platform>.self).move()
        stack.free()
        unsafe memory.value.kmalloc.value.kfree(note)
    }
}
