import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing
import VirtualMemory

@testable import KernelMemory

/// Memory for code: written, then run, and by no address both at any moment.
@Suite struct CodeDraftTests {
    typealias Draft = CodeDraft<SimulatedPlatform>

    private func machine(_ failing: Failing? = nil) throws -> KernelMachine {
        var configuration = Configuration()
        if failing == .objects { configuration.slab.failures = .init() }
        return try KernelMachine(.pc(bytes: 64 << 20), configuration)
    }

    /// A draft, which cannot be copied, for closures.
    final class DraftBox {
        private var draft: Draft?
        let writable: VirtualRange
        let destination: VirtualRange

        init(_ draft: consuming Draft) {
            writable = draft.writable
            destination = draft.destination
            self.draft = consume draft
        }

        func seal() -> VirtualAddress? { draft.take()?.seal() }

        func drop() { draft = nil }
    }

    private func makeDraft(_ machine: KernelMachine, _ byteCount: UInt) -> DraftBox? {
        machine.run {
            guard let draft = machine.memory.value.vmalloc.vmalloc_exec(byteCount) else { return nil }
            return DraftBox(draft)
        }
    }

    /// Both audits, and that no CPU remembers how to write to what the tables let it execute.
    private func audit(_ machine: KernelMachine) -> Bool {
        let root = machine.memory.value.pageTables.value.root
        let features = machine.configuration.features
        let permissions = PermissionAudit(root: root, directMap: machine.directMap, features: features)
        let aliases = AliasAudit(root: root, directMap: machine.directMap, features: features)
        return permissions.passes && aliases.passes
    }

    private func canWrite(_ machine: KernelMachine, _ address: VirtualAddress) -> Bool {
        (try? machine.store(9, address)) != nil
    }

    private func canRun(_ machine: KernelMachine, _ address: VirtualAddress) -> Bool {
        (try? machine.fetch(address)) != nil
    }

    /// Where the kernel's direct map shows the page at an address.
    private func direct(_ machine: KernelMachine, _ address: VirtualAddress) throws -> VirtualAddress {
        let page = machine.run { machine.memory.value.pageTables.value.translate(address) }
        return machine.direct(try #require(page).physical.rawValue)
    }

    @Test(arguments: [1, 4096, 5 * 4096, 700 * 4096] as [UInt]) func writtenThenRun(byteCount: UInt) throws {
        let machine = try machine()
        machine.run { machine.drain() }
        // The direct map's large pages stay split, for which tables were taken; frames count apart from those.
        let free = machine.run { machine.memory.value.frames.value.freeFrames }
        let tables = machine.run { machine.memory.value.pageTables.value.tableCount }
        var audits = 0
        var failures = 0
        machine.machine.flushHandler = { [unowned machine] in
            audits += 1
            if !audit(machine) { failures += 1 }
        }
        let draft = try #require(makeDraft(machine, byteCount))
        let pages = (byteCount + 4095) / 4096
        #expect(draft.writable.byteCount == pages * 4096 && draft.destination.byteCount == pages * 4096)
        var aliases: [VirtualAddress] = []
        for page in 0..<pages {
            let (from, to) = (draft.writable.start + page * 4096, draft.destination.start + page * 4096)
            let alias = try direct(machine, to)
            aliases.append(alias)
            #expect(canWrite(machine, from) && !canWrite(machine, to) && !canWrite(machine, alias))
            try machine.store(UInt64(page), from + 8)
            #expect(try machine.load(to + 8) == UInt64(page) && machine.load(alias + 8) == UInt64(page))
            #expect(!canRun(machine, from) && !canRun(machine, to) && !canRun(machine, alias))
        }
        // Nobody frees what is not finished.
        machine.run { machine.memory.value.vmalloc.value.vfree(draft.destination.start) }
        #expect(machine.machine.takeViolations().map(\.kind) == [.misalignedFree])
        let code = try #require(machine.run { draft.seal() })
        #expect(code == draft.destination.start)
        for page in 0..<pages {
            let alias = aliases[Int(page)]
            #expect(!canWrite(machine, draft.writable.start + page * 4096))
            #expect(canRun(machine, code + page * 4096) && !canWrite(machine, code + page * 4096))
            #expect(!canWrite(machine, alias) && !canRun(machine, alias))
            #expect(try machine.load(code + page * 4096 + 8) == UInt64(page))
        }
        #expect(machine.run { audit(machine) })
        try machine.check()
        machine.run { machine.memory.value.vmalloc.value.vfree(code) }
        #expect(!canRun(machine, code))
        // The frames' next owner can write to them.
        for alias in aliases { #expect(canWrite(machine, alias)) }
        #expect(failures == 0 && audits > 3, "\(failures) of \(audits) audits failed")
        machine.machine.flushHandler = nil
        try machine.check()
        machine.run { machine.drain() }
        let moreTables = machine.run { machine.memory.value.pageTables.value.tableCount } - tables
        let freeNow = machine.run { machine.memory.value.frames.value.freeFrames }
        #expect(moreTables >= 0 && moreTables <= 16)
        #expect(free - freeNow == UInt(moreTables))
    }

    /// A draft that is given up leaves nothing, and its frames writable.
    @Test func givenUp() throws {
        let machine = try machine()
        let draft = try #require(makeDraft(machine, 3 * 4096))
        let alias = try direct(machine, draft.destination.start)
        try machine.store(1, draft.writable.start)
        machine.run { draft.drop() }
        #expect(throws: SimulatedFault.self) { try machine.load(draft.writable.start) }
        #expect(throws: SimulatedFault.self) { try machine.load(draft.destination.start) }
        #expect(canWrite(machine, alias))
        #expect(machine.run { machine.memory.value.vmalloc.value.statistics.areas.areas } == 0)
        try machine.check()
    }

    /// The writable alias is nobody's to free, and neither is anything of nothing.
    @Test func badRequests() throws {
        let machine = try machine()
        #expect(makeDraft(machine, 0) == nil)
        #expect(makeDraft(machine, .max) == nil)
        #expect(makeDraft(machine, 1 << 40) == nil)
        _ = machine.machine.takeFailedAllocations()
        let draft = try #require(makeDraft(machine, 4096))
        machine.run { machine.memory.value.vmalloc.value.vunmap(draft.writable.start) }
        #expect(machine.machine.takeViolations().map(\.kind) == [.misalignedFree])
        try machine.store(1, draft.writable.start)
        let code = try #require(machine.run { draft.seal() })
        machine.run { machine.memory.value.vmalloc.value.vunmap(code) }
        #expect(machine.machine.takeViolations().map(\.kind) == [.wildFree])
        machine.run { machine.memory.value.vmalloc.value.vfree(code) }
        machine.run { machine.memory.value.vmalloc.value.vfree(code) }
        #expect(machine.machine.takeViolations().map(\.kind) == [.doubleFree])
        try machine.check()
    }

    /// Each allocation on the way fails in turn.
    @Test(arguments: [Failing.frames, .objects]) func eachStepFailing(failing: Failing) throws {
        let machine = try machine(failing)
        // The pages of the direct map that it uses are small from here on.
        for _ in 0..<3 {
            let draft = makeDraft(machine, 600 * 4096)
            machine.run { draft?.drop() }
        }
        let steps = try machine.failEach(failing) {
            guard let draft = machine.memory.value.vmalloc.vmalloc_exec(600 * 4096) else { return nil }
            let code = draft.seal()
            return { machine.memory.value.vmalloc.value.vfree(code) }
        }
        #expect(steps >= (failing == .objects ? 2 : 600))
    }

    /// With no memory for the direct map's tables nothing is left read-only.
    @Test func withoutMemory() throws {
        let machine = try machine()
        for left in 0...24 as ClosedRange<UInt> {
            machine.withFramesLeft(left) {
                let draft = makeDraft(machine, 12 * 4096)
                machine.run { draft?.drop() }
            }
            #expect(machine.run { machine.memory.value.vmalloc.value.statistics.areas.areas } == 0)
            try machine.check()
        }
        _ = machine.machine.takeFailedAllocations()
        // Every frame of RAM that is free can be written to by its direct address.
        let frames = machine.run { (0..<4000).compactMap { _ in machine.allocateFrames(0) } }
        for frame in frames { #expect(canWrite(machine, machine.direct(frame.address.rawValue))) }
        machine.run { for frame in frames { machine.freeFrames(frame, 0) } }
    }

    @Test func onSeveralCPUs() throws {
        var configuration = Configuration()
        configuration.cpuCount = 4
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        for cpu in 0..<4 { machine.machine.loadRoot(machine.memory.value.pageTables.value.root, onCPU: cpu) }
        machine.machine.onAllCPUs { cpu in
            for round in 0..<20 as Range<UInt> {
                guard let draft = machine.memory.value.vmalloc.vmalloc_exec((1 + round % 5) * 4096) else { continue }
                let writable = draft.writable.start
                try? machine.machine.store(UInt64(cpu) << 32 | UInt64(round), to: writable)
                let code = draft.seal()
                let found: UInt64? = try? machine.machine.load(code)
                if found != UInt64(cpu) << 32 | UInt64(round) { fatalError("the code is not what was written") }
                if (try? machine.machine.store(1 as UInt64, to: code)) != nil { fatalError("code was written to") }
                machine.memory.value.vmalloc.value.vfree(code)
            }
        }
        #expect(machine.run { audit(machine) })
        try machine.check()
    }
}
