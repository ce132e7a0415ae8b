import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import VirtualMemory

// Each call, and what it does to the record.
extension AreaOperationsFuzz {
    func make(_ call: Call) throws {
        let (first, second, third) = (input.byte(), input.byte(), input.byte())
        let pages = Int(first & 63) + 1
        switch call {
        case .vmalloc, .vzalloc:
            let size = UInt(pages) << 12 - UInt(second) * 16
            let flags: AllocationFlags = call == .vmalloc ? .kernel : .kernel | .zero
            try made(vmalloc.value.allocate(size, flags: flags), .vmalloc, .untouched, (Int(size) + 4095) >> 12)
        case .allocatePopulated:
            let isZero = second & 1 != 0
            let address = vmalloc.value.allocate(
                UInt(pages) << 12, flags: isZero ? .kernel | .zero : .kernel, populate: true)
            try made(address, .vmalloc, isZero ? .word(0) : .unknown, pages)
        case .allocateAligned, .allocateBounded: try allocateByRequest(call, pages, second, third)
        case .makeStack:
            let count = Int(first & 7) + 1
            let stack = KernelStack<Platform>(pageCount: UInt(count), name: "fuzz", from: stacks)
            try made(stack, count)
        case .vfree, .vfreeLatest:
            if areas.isEmpty { return }
            let area = areas.remove(at: call == .vfree ? Int(first) % areas.count : areas.count - 1)
            release(area)
            lastFreed = area.kind == .vmalloc ? area.address : nil
            try require((try? machine.load(area.address)) as UInt64? == nil, "freed memory can be read")
        case .reallocate: try reallocate(first, UInt(second) << 8 + UInt(third))
        case .map, .mapRAM: try map(call, first, second, third)
        case .read, .write: try touch(first, second, isWrite: call == .write)
        case .readOutside: try readOutside(first)
        case .setReadOnly, .setWritable: try changePermissions(first, second, third, isReadOnly: call == .setReadOnly)
        case .vread: try copyOut(first, UInt(second) << 8 + UInt(third))
        case .populate: try populate(first, second, third)
        case .describe: try describe(first, second)
        case .freeInside, .freeUnaligned, .freeWild, .freeOther, .freeTwice, .unmapWrongCount:
            try freeWrongly(call, first, second)
        case .takeFrames:
            for _ in 0..<(UInt(first) + 1) * 8 {
                guard let frame = frames.value.allocate(order: 0, flags: .kernel | .noWarn) else { break }
                taken.append(frame)
            }
        case .giveFrames:
            for _ in 0..<min(taken.count, (Int(first) + 1) * 8) { frames.value.free(taken.removeLast(), order: 0) }
        case .failFrames:
            frames.value.failAllocation(nth: UInt(first & 15))
            isArmed = first & 15 != 0
        }
    }

    func release(_ area: LiveArea) {
        switch area.kind {
        case .vmalloc: vmalloc.value.vfree(area.address)
        case .map: vmalloc.value.vunmap(area.address)
        case .stack:
            area.stack?.free()
            // None is kept ready: the model knows areas that are in use.
            stacks.value.shrink()
        }
    }

    /// Notes a new area down, or checks that there is a reason for none.
    private func made(
        _ address: VirtualAddress?, _ kind: LiveArea.Kind, _ contents: PageContents, _ count: Int,
        alignment: UInt = 4096, isFree: Bool = true
    ) throws {
        guard let address else {
            // Where a request was made to fail that is the reason.
            if !isArmed, isFree { try justify(count, alignment) }
            isArmed = frames.value.requestsUntilFailure > 0
            return
        }
        let area = LiveArea(address, kind, contents, count: count)
        try add(area, alignment)
    }

    private func made(_ stack: consuming KernelStack<Platform>?, _ count: Int) throws {
        guard let stack = stack.take() else { return }
        var area = LiveArea(stack.limit, .stack, .word(KernelStack<Platform>.paint), count: count)
        // The top page is there, and what a stack has more than the usual one.
        for page in 0..<min(count, Int(stacks.value.options.pageCount)) - 1 { area.pages[page] = .ofGrowth }
        try require(stack.top == area.end, "the stack's top is \(stack.top)")
        area.stack = FuzzStack(stack)
        try add(area, 4096)
    }

    private func add(_ area: LiveArea, _ alignment: UInt) throws {
        let taken = area.taken
        try require(area.address.rawValue & (alignment - 1) == 0, "\(area.address) is not aligned to \(alignment)")
        try require(
            space.start.rawValue <= taken.lowerBound && taken.upperBound <= space.end.rawValue,
            "\(area.address) is outside of the space")
        for other in areas { try require(!other.taken.overlaps(taken), "\(area.address) overlaps \(other.address)") }
        if let freed = lastFreed, taken.contains(freed.rawValue) { lastFreed = nil }
        areas.append(area)
        try checkContents(of: areas.count - 1, everything: false)
    }

    /// There were not so many frames, or there is no such gap.
    private func justify(_ count: Int, _ alignment: UInt) throws {
        let available = Int(frames.value.freeFrames) - Int(frames.value.promisedFrames)
        if available < count + 24 { return }
        var gap: UInt = 0
        var start = space.start.rawValue
        for range in areas.map(\.taken).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            gap = max(gap, range.lowerBound - start)
            start = range.upperBound
        }
        gap = max(gap, space.end.rawValue - start)
        try require(
            gap < UInt(count + 1) << 12 + alignment - 4096,
            "\(count) pages are refused, with \(available) frames and a gap of \(gap) bytes")
    }

    private func allocateByRequest(_ call: Call, _ pages: Int, _ second: UInt8, _ third: UInt8) throws {
        let alignment: UInt = 1 << (12 + UInt(second & 7))
        var request = AreaRequest(.vmalloc, pageCount: UInt(pages), alignment: alignment, name: "fuzz")
        if call == .allocateBounded {
            let start = space.start + UInt(third) << 12
            request.bounds = VirtualRange(start, start + UInt(second) << 13)
        }
        let isPopulated = second & 0x80 != 0
        let area =
            isPopulated
            ? vmalloc.value.allocatePopulated(request, flags: .kernel | .zero) { _ in }
            : vmalloc.value.allocateOnDemand(request)
        if let bounds = request.bounds, let area {
            try require(
                bounds.start <= area.range.start && area.range.end <= bounds.end, "\(area.range) is not in \(bounds)")
        }
        try made(
            area?.usable.start, .vmalloc, isPopulated ? .word(0) : .untouched, pages, alignment: alignment,
            isFree: request.bounds == nil)
    }

    private func reallocate(_ which: UInt8, _ size: UInt) throws {
        let candidates = areas.indices.filter { areas[$0].kind == .vmalloc }
        guard !candidates.isEmpty else { return }
        let index = candidates[Int(which) % candidates.count]
        let old = areas[index]
        let count = Int(size + 4095) >> 12
        let address = vmalloc.value.reallocate(old.address, size)
        lastFreed = nil
        if size == 0 {
            try require(address == nil, "no bytes are at \(address!)")
            areas.remove(at: index)
            return
        }
        if count <= old.pages.count { return try require(address == old.address, "a smaller area has moved") }
        // Where there is no memory for it the old area is as it was.
        guard let address else { return }
        areas.remove(at: index)
        var new = LiveArea(address, .vmalloc, .unknown, count: count)
        for page in old.pages.indices {
            // What was not touched is zeros, and is there now.
            new.pages[page] = old.pages[page] == .untouched ? .word(0) : old.pages[page]
        }
        try add(new, 4096)
    }

    private func map(_ call: Call, _ first: UInt8, _ second: UInt8, _ third: UInt8) throws {
        let indices = (0...Int(first & 7)).map { ($0 * Int(second | 1) + Int(third)) % ownFrames.count }
        let numbers = indices.map { ownFrames[$0] }
        let address = unsafe numbers.withUnsafeBufferPointer { buffer in
            unsafe call == .map ? vmalloc.value.vmap(buffer) : vmalloc.value.vm_map_ram(buffer)
        }
        try made(address, .map(indices), .unknown, indices.count)
    }
}
