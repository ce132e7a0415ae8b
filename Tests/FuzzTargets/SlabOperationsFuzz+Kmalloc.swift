import MemoryPrimitives
import PageFrames
import Slab

// kmalloc's calls that are right.
extension SlabOperationsFuzz {
    mutating func allocate(_ size: UInt, _ flags: AllocationFlags) throws {
        try unsafe note(size, flags) { kmalloc in
            unsafe flags.contains(.zero)
                ? kmalloc.kzalloc(size, flags.subtracting(.zero)) : kmalloc.kmalloc(size, flags)
        }
    }

    /// The product of two numbers, one of which may be so large that it overflows.
    mutating func allocateArray(_ argument: Int) throws {
        let size = UInt(input.byte())
        let count = argument >= 250 ? .max / 2 - UInt(input.byte()) : UInt(argument)
        let flags = anyFlags()
        let (product, overflow) = count.multipliedReportingOverflow(by: size)
        if overflow {
            let isRefused = unsafe kmalloc.value.kmalloc_array(count, size, flags) == nil
            return try require(isRefused, "\(count) times \(size) bytes")
        }
        try unsafe note(product, flags) { kmalloc in
            unsafe flags.contains(.zero)
                ? kmalloc.kcalloc(count, size, flags.subtracting(.zero)) : kmalloc.kmalloc_array(count, size, flags)
        }
    }

    /// Makes a call for `size` bytes, looks at its answer, and notes down what it has given.
    private mutating func note(
        _ size: UInt, _ flags: AllocationFlags, _ call: (borrowing Allocator) -> UnsafeMutableRawPointer?
    ) throws {
        let marks = marks()
        guard let pointer = unsafe call(kmalloc.value) else {
            try require(size > 0, "no bytes are always to be had")
            return try requireRefusal(size, flags, since: marks)
        }
        if size == 0 {
            return try require(UInt(bitPattern: pointer) == Allocator.zeroSizeAddress, "an address for no bytes")
        }
        try require(size <= Allocator.largestByteCount, "\(size) bytes are too many")
        let object = unsafe LiveObject(
            pointer: pointer, size: size, seed: input.byte(), owner: .kmalloc, isZeroed: flags.contains(.zero))
        if flags.contains(.zero) || options.zeroOnAllocation && size <= 8192 && !poisons(object) {
            try object.checkZero()
        }
        try requireZone(object, flags)
        if size & (size - 1) == 0, !hasRedZones(object) {
            try require(object.address & (min(size, 4096) - 1) == 0, "\(object) is not aligned to its size")
        }
        try add(object)
    }

    /// Notes down an object that was handed out: it must be nobody's yet.
    mutating func add(_ object: LiveObject) throws {
        try requireNew(object)
        object.fill()
        objects.append(object)
    }

    func requireNew(_ object: LiveObject) throws {
        func overlaps(_ other: LiveObject) -> Bool {
            object.address < other.address + other.size && other.address < object.address + object.size
        }
        if let other = objects.first(where: overlaps) ?? pools.lazy.flatMap(\.elements).first(where: overlaps) {
            throw Finding("\(object) is part of \(other)")
        }
    }

    func requireZone(_ object: LiveObject, _ flags: AllocationFlags) throws {
        let end: UInt =
            flags.contains(.dma)
            ? ZoneKind.dma.endFrame.address.rawValue
            : flags.contains(.dma32) ? ZoneKind.dma32.endFrame.address.rawValue : .max
        let physical = Self.machine.arena.directMap.physicalAddress(of: VirtualAddress(object.address)).rawValue
        try require(physical < end, "\(object) for a device that cannot reach it")
    }

    mutating func free(at index: Int, sensitively: Bool = false) throws {
        guard !objects.isEmpty else { return }
        let object = objects.remove(at: index % objects.count)
        try object.check()
        // The object is ours, and nobody has it any more afterwards.
        switch object.owner {
        case .kmalloc where sensitively: unsafe kmalloc.value.kfree_sensitive(object.pointer)
        case .cache(let identifier) where index & 1 == 0:
            unsafe CacheReference<Platform>(identifier: identifier).free(object.pointer)
        case .kmalloc, .cache: unsafe kmalloc.value.kfree(object.pointer)
        case .pages(let order): frames.value.free(frame(of: object), order: order)
        }
        try expectReports([], "free of \(object)")
    }

    func frame(of object: LiveObject) -> PageFrameNumber {
        PageFrameNumber(
            containing: Self.machine.arena.directMap.physicalAddress(of: VirtualAddress(object.address)))
    }

    /// The contents stay, in the new place or, where there is none, in the old one.
    mutating func reallocate(at position: Int, _ argument: Int) throws {
        let size = anySize(argument)
        let flags = anyFlags()
        guard !objects.isEmpty else { return }
        let index = position % objects.count
        var object = objects[index]
        guard object.kept == 0, object.owner == .kmalloc || size > 0 else { return }
        if case .pages = object.owner { return }
        let marks = marks()
        let array = argument & 0x10 != 0 && size & 1 == 0
        let result =
            unsafe array
            ? kmalloc.value.krealloc_array(object.pointer, 2, size / 2, flags)
            : kmalloc.value.krealloc(object.pointer, size, flags)
        try expectReports([], "krealloc of \(object) to \(size)")
        guard let result = unsafe result else {
            try object.check()
            return try requireRefusal(size, flags, since: marks)
        }
        objects.remove(at: index)
        if size == 0 {
            return try require(UInt(bitPattern: result) == Allocator.zeroSizeAddress, "krealloc to no bytes")
        }
        let old = object
        let isMoved = unsafe result != old.pointer
        object = unsafe LiveObject(
            pointer: result, size: old.size, seed: old.seed, owner: isMoved ? .kmalloc : old.owner,
            isZeroed: old.isZeroed && flags.contains(.zero))
        try object.check(first: min(old.size, size))
        object.size = size
        object.isBlock = isMoved ? size > 8192 : old.isBlock
        if object.isZeroed, size > old.size { try object.checkZero(from: old.size) }
        try requireZone(object, flags)
        try add(object)
    }

    /// Who asks how large his object is may use all of it.
    mutating func lookAtSize(at position: Int) throws {
        guard !objects.isEmpty else { return }
        let index = position % objects.count
        if case .pages = objects[index].owner { return }
        let object = objects[index]
        let size =
            unsafe position & 1 == 0 ? kmalloc.value.size(of: object.pointer) : kmalloc.value.ksize(object.pointer)
        try expectReports([], "ksize of \(object)")
        try require(size >= object.size, "\(object) has \(size) bytes")
        objects[index].size = size
        objects[index].isZeroed = false
        objects[index].fill()
    }

    mutating func copy(_ argument: Int) throws {
        let flags = anyFlags().subtracting(.zero)
        let marks = marks()
        let size = UInt(argument) + 1
        let text = [CChar](repeating: 65, count: argument) + [0]
        // The array's bytes, up to the zero at its end.
        let copy = unsafe text.withUnsafeBytes { bytes in
            unsafe argument & 1 == 0
                ? kmalloc.value.kmemdup(bytes.baseAddress!, size, flags)
                : UnsafeMutableRawPointer(
                    kmalloc.value.kstrdup(bytes.assumingMemoryBound(to: CChar.self).baseAddress!, flags))
        }
        guard let copy = unsafe copy else { return try requireRefusal(size, flags, since: marks) }
        for offset in text.indices {
            let byte = unsafe copy.load(fromByteOffset: offset, as: CChar.self)
            try require(byte == text[offset], "byte \(offset) of a copy is \(byte)")
        }
        try unsafe add(LiveObject(pointer: copy, size: size, seed: input.byte(), owner: .kmalloc))
    }
}
