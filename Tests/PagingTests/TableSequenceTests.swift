import MemoryPrimitives
import Paging
import SimulatedMachine
import TableSequence
import Testing

/// The sequences that the kernel's self tests make on the CPU's own MMU, on the simulated one: with the same digests.
@Suite struct TableSequenceTests {
    private struct Machine: TableSequenceMachine {
        let machine: SimulatedMachine

        func load(_ address: VirtualAddress) -> UInt64? { try? machine.load(address) }
        func store(_ word: UInt64, to address: VirtualAddress) -> Bool {
            (try? machine.store(word, to: address)) != nil
        }
        func fetch(_ address: VirtualAddress) -> Bool { (try? machine.fetch(address)) != nil }
    }

    private func run(_ choice: TableSequenceCase, _ features: PagingFeatures, change: (Bench) -> Void = { _ in }) -> (
        digest: UInt64, mismatches: Int, first: Int?
    ) {
        let bench = Bench(features: features)
        bench.machine.pagingControl.forbidsUserAccess = true
        bench.machine.pagingControl.forbidsUserFetch = true
        change(bench)
        let model = UnsafeMutableBufferPointer<SequencePage>.allocate(capacity: Int(TableSequenceCase.pageCount))
        model.initialize(repeating: SequencePage())
        defer { model.deallocate() }
        return bench.machine.run {
            var sequence = TableSequence(
                choice, tables: bench.tables, machine: Machine(machine: bench.machine), block: memory(gib), model: model
            )
            sequence.run(TableSequenceCase.steps, using: &bench.source)
            #expect(bench.pool.inUse == 1)
            #expect(sequence.changes > TableSequenceCase.steps / 3, "most calls should not be refused")
            #expect(sequence.changes < TableSequenceCase.steps, "and some should")
            #expect(bench.machine.takeStaleTranslations() == [])
            return (sequence.digest, sequence.mismatches, sequence.firstMismatch)
        }
    }

    /// Neither pages of 1 GiB nor a fifth level make a difference.
    @Test(arguments: 0..<TableSequenceCase.count, [(true, false), (false, false), (true, true)])
    func eachDigestIsTheKernels(number: Int, has: (gigabytePages: Bool, fiveLevels: Bool)) {
        var features = PagingFeatures.all
        features.gigabytePages = has.gigabytePages
        features.fiveLevels = has.fiveLevels
        let choice = TableSequenceCase(number)
        let found = run(choice, features)
        #expect(found.mismatches == 0, "the first at step \(found.first ?? -1)")
        #expect(found.digest == choice.digest, "0x\(String(found.digest, radix: 16))")
    }

    /// An MMU that does not obey shows in the digest and in the comparison with the model.
    @Test func anotherMMUIsNoticed() {
        let choice = TableSequenceCase(2)
        for number in 0..<3 {
            let found = run(choice, .all) { bench in
                switch number {
                case 0: bench.machine.pagingControl.writeProtect = false
                case 1: bench.machine.pagingControl.forbidsUserAccess = false
                default: bench.machine.pagingControl.forbidsUserFetch = false
                }
            }
            #expect(found.mismatches > 0 && found.digest != choice.digest)
        }
    }
}
