import MemoryPrimitives
import Paging

/// A random sequence of every call that changes page tables, which a seed repeats: the same on the simulated MMU and on the
/// CPU's own. After each call some pages are read, written and executed, and what came of it is compared with a flat model
/// that knows pages of 4 KiB only, and goes into a digest.
///
/// So that the two machines do the same, nothing here depends on where the memory lies, on how fast the machine is, or on
/// chance. `cases` says what the digests are: both sides are held to them.
@safe
public struct TableSequence<P: Platform, Machine: TableSequenceMachine> {
    let tables: Permanent<PageTables<P>>
    let machine: Machine
    /// `blockFrames` frames, aligned to 2 MiB, of which the pages are.
    let block: PhysicalAddress
    /// `pageCount` of them.
    let model: UnsafeMutableBufferPointer<SequencePage>
    let usesUserPages: Bool
    private var state: UInt64
    /// All that was found, in one number.
    public private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    /// How often something was not as the model says.
    public private(set) var mismatches = 0
    /// Calls that were not refused.
    public private(set) var changes = 0
    /// The step that is made, and the first at which something was not as the model says; nil for none.
    private var step = 0
    public private(set) var firstMismatch: Int?

    /// - Parameters:
    ///   - block: `TableSequenceCase.blockFrames` frames from an address that is a multiple of 2 MiB, which nobody else uses.
    ///   - model: `TableSequenceCase.pageCount` elements, which are this sequence's as long as it lives.
    @unsafe
    public init(
        _ choice: TableSequenceCase, tables: Permanent<PageTables<P>>, machine: Machine, block: PhysicalAddress,
        model: UnsafeMutableBufferPointer<SequencePage>
    ) {
        self.tables = tables
        self.machine = machine
        self.block = block
        unsafe self.model = model
        usesUserPages = choice.usesUserPages
        state = choice.seed
        unsafe model.update(repeating: SequencePage())
        for frame in 0..<TableSequenceCase.blockFrames {
            write(0xc3, frame, 0)
            write(Self.mark(frame), frame, 8)
        }
    }

    /// Makes `count` steps, and takes everything away again.
    public mutating func run(_ count: Int, using source: inout some TableFrameSource & ~Copyable) {
        while step < count {
            makeStep(&source)
            step &+= 1
        }
        for page in 0..<TableSequenceCase.pageCount { probe(page) }
        let all = range(0, TableSequenceCase.pageCount)
        do throws(PagingError) { try tables.value.clear(all, using: &source) { _, _ in } } catch { expect(false) }
    }

    // MARK: Numbers

    /// The next random number below `bound`: SplitMix64 (Steele, Lea and Flood 2014).
    private mutating func random(_ bound: UInt) -> UInt {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z &>> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z &>> 27) &* 0x94d0_49bb_1331_11eb
        return UInt(z ^ z &>> 31) % bound
    }

    /// FNV-1a, a word at a time.
    private mutating func note(_ value: UInt) { digest = (digest ^ UInt64(value)) &* 0x0000_0100_0000_01b3 }

    private mutating func expect(_ condition: Bool) {
        if condition { return }
        mismatches &+= 1
        if firstMismatch == nil { firstMismatch = step }
    }

    // MARK: Memory

    private static func mark(_ frame: UInt) -> UInt64 { 0x5eed_0000_0000_0000 | UInt64(frame) }

    private func word(_ frame: UInt, _ offset: Int) -> UnsafeMutablePointer<UInt64> {
        let page = unsafe tables.value.directMap.pointer(to: block + frame << PageSize.shift)
        // In a frame of the block, which the direct map shows.
        return unsafe (page + offset).assumingMemoryBound(to: UInt64.self)
    }

    private func write(_ value: UInt64, _ frame: UInt, _ offset: Int) { unsafe word(frame, offset).pointee = value }

    func address(_ page: UInt) -> VirtualAddress { TableSequenceCase.window + page << PageSize.shift }

    func range(_ first: UInt, _ count: UInt) -> VirtualRange { VirtualRange(address(first), address(first + count)) }

    // MARK: Steps

    private mutating func makeStep(_ source: inout some TableFrameSource & ~Copyable) {
        var first = random(TableSequenceCase.pageCount)
        var count = random(40) + 1
        // A third of them fit large pages.
        if random(3) == 0 {
            first &= ~511
            count = (random(2) + 1) * 512
        }
        count = min(count, TableSequenceCase.pageCount - first)
        let call = random(12)
        let permissions = choosePermissions()
        // Where the page lies in a large page, so that those fit, or anywhere.
        let frame =
            random(2) == 0
            ? (first & 511) + 512 * random(2) : random(TableSequenceCase.blockFrames)
        let error = change(call, first, min(count, TableSequenceCase.blockFrames - frame), frame, permissions, &source)
        note(call &<< 8 | (error.map { UInt($0.rawValue) + 1 } ?? 0))
        if error == nil { changes &+= 1 }
        probe(first)
        probe(first + count - 1)
        if first > 0 { probe(first - 1) }
        if first + count < TableSequenceCase.pageCount { probe(first + count) }
        probe(random(TableSequenceCase.pageCount))
    }

    private mutating func choosePermissions() -> PagePermissions {
        let chosen = random(5)
        let permissions: PagePermissions =
            chosen < 2 ? .read | .write : chosen == 2 ? .read : chosen == 3 ? .read | .execute : .readWrite
        return usesUserPages && random(4) == 0 ? permissions | .user : permissions
    }

    /// Makes a call, and the same change of the model where it succeeds.
    @inline(never)
    private mutating func change(
        _ call: UInt, _ first: UInt, _ count: UInt, _ frame: UInt, _ permissions: PagePermissions,
        _ source: inout some TableFrameSource & ~Copyable
    ) -> PagingError? {
        let range = range(first, count)
        let start = block + frame << PageSize.shift
        do throws(PagingError) {
            switch call {
            case 0, 1, 2:
                try tables.value.mapRange(range, to: start, permissions: permissions, using: &source)
                for index in 0..<count { set(first + index, SequencePage(.mapped, frame: frame + index, permissions)) }
            case 3:
                try tables.value.map(address(first), to: start, permissions: permissions, using: &source)
                set(first, SequencePage(.mapped, frame: frame, permissions))
            case 4:
                try tables.value.unmapRange(range, splitting: true, using: &source)
                for index in 0..<count { set(first + index, SequencePage()) }
            case 5:
                try tables.value.protectRange(range, permissions: permissions, splitting: true, using: &source)
                for index in 0..<count { allow(first + index) { _ in permissions } }
            case 6:
                let isAdding = frame & 1 != 0
                try tables.value.adjustRange(
                    range, adding: isAdding ? .write : .none, removing: isAdding ? .execute : .write, using: &source)
                for index in 0..<count {
                    allow(first + index) {
                        isAdding ? $0.subtracting(.execute).union(.write) : $0.subtracting(.write)
                    }
                }
            case 7: note(UInt(bitPattern: try tables.value.collapse(range, using: &source)))
            case 8:
                try tables.value.reserveDemand(range, permissions: permissions, using: &source)
                for index in 0..<count { set(first + index, SequencePage(.demand, permissions)) }
            case 9:
                try tables.value.reserveGuard(range, using: &source)
                for index in 0..<count { set(first + index, SequencePage(.guardPage)) }
            case 10:
                let isDue = page(first).kind == .demand
                let isResolved = tables.value.resolveDemand(at: address(first) + 5, frame: start)
                expect(isResolved == isDue)
                if isResolved { set(first, SequencePage(.mapped, frame: frame, page(first).permissions)) }
            default:
                if frame & 1 == 0 {
                    try tables.value.clearUsage(.accessed | .dirty, in: range)
                } else {
                    try tables.value.clear(range, using: &source) { _, _ in }
                    for index in 0..<count { set(first + index, SequencePage()) }
                }
            }
            return nil
        } catch {
            return error
        }
    }

    // MARK: The model

    private func page(_ index: UInt) -> SequencePage { unsafe model[Int(index)] }

    private func set(_ index: UInt, _ page: SequencePage) { unsafe model[Int(index)] = page }

    private func allow(_ index: UInt, _ change: (PagePermissions) -> PagePermissions) {
        let old = page(index)
        if old.kind == .mapped || old.kind == .demand {
            set(index, SequencePage(old.kind, frame: UInt(old.frame), change(old.permissions)))
        }
    }

    // MARK: What is there

    /// Asks the tables for a page, reads it, writes it and executes it.
    @inline(never)
    private mutating func probe(_ index: UInt) {
        let expected = page(index)
        expect(isAsExpected(tables.value.lookup(address(index)), expected))
        let frame = UInt(expected.frame)
        let read = machine.load(address(index) + 8)
        expect(read == (expected.allows(.read) ? Self.mark(frame) : nil))
        let word = UInt64(step) &<< 16 | UInt64(index)
        let isWritten = machine.store(word, to: address(index) + 16)
        expect(isWritten == expected.allows(.write))
        // By the way of another mapping.
        if isWritten { expect(unsafe self.word(frame, 16).pointee == word) }
        let isExecuted = machine.fetch(address(index))
        expect(isExecuted == expected.allows(.execute))
        note(UInt(truncatingIfNeeded: read ?? 0) &<< 2 | (isWritten ? 2 : 0) | (isExecuted ? 1 : 0))
    }

    private func isAsExpected(_ found: PageLookup, _ page: SequencePage) -> Bool {
        switch found {
        case .none: page.kind == .none
        case .guardPage: page.kind == .guardPage
        case .demand(let permissions): page.kind == .demand && permissions == page.permissions
        case .mapped(let at):
            page.kind == .mapped && at.permissions == page.permissions
                && at.physical == block + UInt(page.frame) << PageSize.shift
        }
    }
}
