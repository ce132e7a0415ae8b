import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import VirtualMemory

// What is read and written through the CPU, copied out, allowed and forbidden; and addresses that are wrong.
extension AreaOperationsFuzz {
    /// What a page's place should hold; nil where nobody knows.
    private func expected(_ index: Int, _ page: Int) -> UInt64? {
        let area = areas[index]
        if case .map(let indices) = area.kind { return ownWords[indices[page]][page & 511] }
        switch area.pages[page] {
        case .untouched: return 0
        case .ofGrowth: return KernelStack<Platform>.paint
        case .unknown: return nil
        case .word(let word): return word
        }
    }

    private func note(_ index: Int, _ page: Int, _ word: UInt64?) {
        if case .map(let indices) = areas[index].kind {
            if let word { ownWords[indices[page]][page & 511] = word }
        } else {
            areas[index].pages[page] = word.map { .word($0) } ?? .unknown
        }
    }

    /// Reads the edges of an area, or all of it, and what lies beside it.
    func checkContents(of index: Int, everything: Bool) throws {
        let area = areas[index]
        try require((try? machine.load(area.end)) as UInt64? == nil, "the page behind \(area.address) can be read")
        try require((try? machine.store(UInt64(1), to: area.end)) == nil, "the page behind it can be written")
        if area.kind == .stack {
            try require((try? machine.load(area.address - 8)) as UInt64? == nil, "the page below a stack can be read")
        }
        // Edges are touched, which makes them present; the rest stays as it is unless everything is asked for.
        if everything { for page in area.pages.indices { try read(index, page) } }
    }

    private func read(_ index: Int, _ page: Int) throws {
        let place = areas[index].place(page)
        guard let found = (try? machine.load(place)) as UInt64? else { throw Finding("\(place) cannot be read") }
        // Stacks that nothing runs on grow one after the other here.
        stacks.value.refillReserve()
        if let word = expected(index, page) {
            try require(found == word, "\(place) holds \(found), and not \(word)")
        }
        note(index, page, found)
    }

    /// Notes down the pages that came with one that was touched: they lie in its window, and hold zeros.
    func noteNeighbours(_ index: Int) throws {
        func window(_ page: Int) -> UInt { areas[index].page(page).rawValue >> 12 / touchedAtOnce }
        let touched = Set(areas[index].pages.indices.filter { areas[index].pages[$0] != .untouched }.map(window))
        for page in areas[index].pages.indices where areas[index].pages[page] == .untouched {
            if tables.value.translate(areas[index].page(page)) == nil { continue }
            try require(touched.contains(window(page)), "page \(page) is there, and none beside it was touched")
            note(index, page, 0)
        }
    }

    func touch(_ which: UInt8, _ page: UInt8, isWrite: Bool) throws {
        if areas.isEmpty { return }
        let index = Int(which) % areas.count
        let page = Int(page) % areas[index].pages.count
        try read(index, page)
        if !isWrite { return }
        let place = areas[index].place(page)
        let isWritten = (try? machine.store(nextWord, to: place)) != nil
        try require(isWritten != areas[index].isReadOnly[page], "\(place) can be written: \(isWritten)")
        if isWritten {
            note(index, page, nextWord)
            nextWord += 1
        }
        try require((try? machine.fetch(place)) == nil, "\(place) can be executed")
    }

    func readOutside(_ which: UInt8) throws {
        let address = space.start + UInt(which) * 5 << 12
        if areas.contains(where: { $0.address <= address && address < $0.end }) { return }
        try require((try? machine.load(address)) as UInt64? == nil, "\(address) is in no area and can be read")
    }

    /// As set_memory_ro and set_memory_rw, of pages that are there.
    func changePermissions(_ which: UInt8, _ first: UInt8, _ count: UInt8, isReadOnly: Bool) throws {
        let candidates = areas.indices.filter { areas[$0].kind == .vmalloc }
        guard !candidates.isEmpty else { return }
        let index = candidates[Int(which) % candidates.count]
        let start = Int(first) % areas[index].pages.count
        let end = min(areas[index].pages.count, start + Int(count & 7) + 1)
        let range = VirtualRange(areas[index].page(start), areas[index].page(end))
        var source = BuddyTableSource<Platform>(frames: frames)
        vmalloc.value.notePermissionChange(in: range)
        do throws(PagingError) {
            try tables.value.adjustRange(
                range, adding: isReadOnly ? .none : .write, removing: isReadOnly ? .write : .none, using: &source)
        } catch {
            throw Finding("the permissions of \(range) cannot be changed: \(error)")
        }
        for page in start..<end { areas[index].isReadOnly[page] = isReadOnly }
    }

    /// `vread`, from any address on, over whatever is there.
    func copyOut(_ which: UInt8, _ byteCount: UInt) throws {
        let start = areas.isEmpty ? space.start : areas[Int(which) % areas.count].address - 4096 + UInt(which) * 8
        var buffer = [UInt8](repeating: 0xee, count: Int(byteCount) & ~7)
        let known = unsafe buffer.withUnsafeMutableBytes { unsafe vmalloc.value.vread($0, start) }
        var expectedKnown = 0
        for area in areas {
            let low = max(area.address.rawValue, start.rawValue)
            let high = min(area.end.rawValue, start.rawValue + UInt(buffer.count))
            if low < high { expectedKnown += Int(high - low) }
        }
        try require(known == expectedKnown, "vread finds \(known) bytes in areas, and not \(expectedKnown)")
        for offset in stride(from: 0, to: buffer.count, by: 8) {
            let found = (0..<8).reduce(UInt64(0)) { $0 | UInt64(buffer[offset + $1]) << (8 * UInt64($1)) }
            let address = start + UInt(offset)
            guard let index = areas.firstIndex(where: { $0.address <= address && address < $0.end }) else {
                try require(found == 0, "vread finds \(found) at \(address), where nothing is")
                continue
            }
            let page = Int(address.distance(from: areas[index].address) >> 12)
            if areas[index].pages[page].isDue {
                try require(found == 0, "an untouched page is not zero")
                continue
            }
            if areas[index].place(page) == address, let word = expected(index, page) {
                try require(found == word, "vread finds \(found) at \(address), and not \(word)")
            }
        }
    }

    func populate(_ which: UInt8, _ first: UInt8, _ count: UInt8) throws {
        let candidates = areas.indices.filter { areas[$0].isOnDemand }
        guard !candidates.isEmpty else { return }
        let index = candidates[Int(which) % candidates.count]
        let start = Int(first) % areas[index].pages.count
        let end = min(areas[index].pages.count, start + Int(count) + 1)
        // Writes to read-only pages are refused, populated ones or not.
        if areas[index].isReadOnly[start..<end].contains(true) { return }
        let isDone = vmalloc.value.populate(VirtualRange(areas[index].page(start), areas[index].page(end)))
        try require(isDone, "promised pages are not there")
        for page in start..<end where areas[index].pages[page] == .untouched { note(index, page, 0) }
    }

    func describe(_ which: UInt8, _ offset: UInt8) throws {
        guard !areas.isEmpty else { return }
        let area = areas[Int(which) % areas.count]
        let address = area.page(Int(offset) % (area.pages.count + 1)) + UInt(offset)
        let description = vmalloc.value.describe(address)
        let place: AddressDescription.Place = address < area.end ? .usable : .guardAbove
        try require(
            description.place == place && description.area?.usable.start == area.address,
            "\(address) is \(description.place), and not \(place) of \(area.address)")
        try require(vmalloc.value.contains(address) == (address < area.end), "contains(\(address)) is wrong")
    }

    /// Each is reported as what it is, and changes nothing.
    func freeWrongly(_ call: Call, _ which: UInt8, _ page: UInt8) throws {
        guard !areas.isEmpty else { return }
        let area = areas[Int(which) % areas.count]
        var expected = MemoryViolation.Kind.misalignedFree
        func free(_ address: VirtualAddress) {
            if case .map = area.kind { vmalloc.value.vunmap(address) } else { vmalloc.value.vfree(address) }
        }
        switch call {
        case .freeInside where area.pages.count > 1 && area.kind != .stack:
            free(area.page(Int(page) % (area.pages.count - 1) + 1))
        case .freeUnaligned where area.kind != .stack: free(area.address + UInt(page | 1))
        case .freeWild:
            expected = .wildFree
            vmalloc.value.vfree(space.end + UInt(page) << 12)
        case .freeOther:
            expected = .wildFree
            if area.kind == .vmalloc { vmalloc.value.vunmap(area.address) } else { vmalloc.value.vfree(area.address) }
        case .freeTwice:
            guard let lastFreed else { return }
            expected = .doubleFree
            vmalloc.value.vfree(lastFreed)
        case .unmapWrongCount:
            guard case .map = area.kind else { return }
            expected = .wildFree
            vmalloc.value.vm_unmap_ram(area.address, area.pages.count + 1 + Int(page))
        default: return
        }
        let kinds = machine.takeViolations().map(\.kind)
        try require(kinds == [expected], "\(call) of \(area.address) is reported as \(kinds), and not as \(expected)")
    }
}
