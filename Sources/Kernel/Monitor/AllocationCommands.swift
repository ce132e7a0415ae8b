import KernelMemory
import MemoryPrimitives
import Monitor
import PageFrames

/// `alloc` and `free`: memory that is held by a name.
enum AllocationCommand: UInt8, CommandGroup {
    case alloc
    case free

    var help: CommandHelp {
        switch self {
        case .alloc:
            CommandHelp(
                name: "alloc", summary: "allocate memory and hold it by a name; alone: list what is held",
                arguments: "[pages|kmalloc|object|vmalloc|huge|stack|dma NAME SIZE|ORDER [FLAG ...]]",
                example: "alloc kmalloc buffer 192 atomic zero")
        case .free:
            CommandHelp(
                name: "free", summary: "give back what is held by a name, or all of it", arguments: "NAME|*",
                example: "free buffer")
        }
    }

    func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        switch self {
        case .alloc:
            if words.count == 1 { return AllocationKind.candidate(index) }
            guard words.count >= 4, let kind = words[1].flatMap({ AllocationKind($0) }), kind.takesFlags else {
                return nil
            }
            return FlagWord.candidate(index)
        case .free: return words.count == 1 ? HeldTable.candidate(index) : nil
        }
    }

    func run(_ call: CommandCall) throws(CommandError) {
        switch self {
        case .alloc: try call[1] == nil ? Self.list(call) : Self.allocate(call)
        case .free: try Self.free(call)
        }
    }

    private static func allocate(_ call: CommandCall) throws(CommandError) {
        let word = try call.text(1, "pages, kmalloc, object, vmalloc, huge, stack or dma")
        guard let kind = AllocationKind(word) else {
            throw CommandError(expected: "pages, kmalloc, object, vmalloc, huge, stack or dma", found: word)
        }
        let name = try call.text(2, "a name to hold it by")
        guard name.count <= HeldTable.longestName, !(name == "*") else {
            throw CommandError(expected: "a name of at most 15 characters", found: name)
        }
        if HeldTable.index(of: name) != nil {
            throw CommandError(expected: "a name by which nothing is held", found: name)
        }
        let size = try call.size(3, kind.expectedSize)
        guard kind.accepts(size) else { throw CommandError(expected: kind.expectedSize, found: call[3]) }
        let flags = try FlagWord.flags(call, from: 4, areTaken: kind.takesFlags)
        guard let place = HeldTable.freeIndex else {
            return MonitorOutput.line("alloc: \(HeldTable.capacity) allocations are held, which is all there can be")
        }
        guard let held = HeldAllocation.make(kind, size, flags, call.memory) else {
            return MonitorOutput.line("alloc: no memory for that; nothing has changed")
        }
        HeldTable.set(place, name, held)
        Self.list(place, call.memory)
    }

    /// Takes flags only after all else has been read, so that a wrong line changes nothing.
    private static func list(_ call: CommandCall) {
        var count = 0
        for place in 0..<HeldTable.capacity where HeldTable.name(place) != nil {
            list(place, call.memory)
            count += 1
        }
        if count == 0 { MonitorOutput.line("nothing is held") }
    }

    @inline(never)
    private static func list(_ place: Int, _ memory: Permanent<KernelMemory<X86Platform>>) {
        guard let name = HeldTable.name(place) else { return }
        let held = HeldTable.held(place)
        let bytes = held.kind == .pages ? PageSize.byteCount << held.size : held.size
        MonitorOutput.line("\(name): \(held.kind.word), \(bytes: bytes) at \(held.virtualAddress(memory))")
    }

    private static func free(_ call: CommandCall) throws(CommandError) {
        let name = try call.text(1, "a name that something is held by, or *")
        try call.expectNoMore(than: 1)
        if name == "*" {
            for place in 0..<HeldTable.capacity where HeldTable.name(place) != nil { free(place, call.memory) }
            return
        }
        guard let place = HeldTable.index(of: name) else {
            throw CommandError(expected: "a name that something is held by, or *", found: name)
        }
        free(place, call.memory)
    }

    private static func free(_ place: Int, _ memory: Permanent<KernelMemory<X86Platform>>) {
        let held = HeldTable.held(place)
        HeldTable.clear(place)
        held.free(memory)
    }
}

/// Flags of an allocation, as they are typed.
enum FlagWord: UInt8, WordChoice {
    case atomic, nowait, dma, dma32, movable, reclaimable, zero

    var word: StaticString {
        switch self {
        case .atomic: "atomic"
        case .nowait: "nowait"
        case .dma: "dma"
        case .dma32: "dma32"
        case .movable: "movable"
        case .reclaimable: "reclaimable"
        case .zero: "zero"
        }
    }

    /// The flags that the arguments from `index` on say; `.kernel` where they do not say how to wait.
    static func flags(
        _ call: CommandCall, from index: Int, areTaken: Bool
    ) throws(CommandError) -> AllocationFlags {
        if !areTaken {
            try call.expectNoMore(than: index - 1)
            return .kernel
        }
        var context: AllocationFlags = .kernel
        var others: AllocationFlags = .none
        var index = index
        while let word = call[index] {
            switch FlagWord(word) {
            case .atomic: context = .atomic
            case .nowait: context = .noWait
            case .dma: others.formUnion(.dma)
            case .dma32: others.formUnion(.dma32)
            case .movable: others.formUnion(.movable)
            case .reclaimable: others.formUnion(.reclaimable)
            case .zero: others.formUnion(.zero)
            case nil:
                throw CommandError(
                    expected: "atomic, nowait, dma, dma32, movable, reclaimable or zero", found: word)
            }
            index += 1
        }
        return context | others
    }
}
