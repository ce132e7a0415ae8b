import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import TableSequence
import X86

/// The sequences of changes that Tests/PagingTests makes on the simulated MMU, on the CPU's own: with the same digests.
enum TableSequenceTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("page tables: random changes are what the simulated MMU makes of them") {
            for number in 0..<TableSequenceCase.count { run(TableSequenceCase(number), memory) }
        }
    }

    @inline(never)
    private static func run(_ choice: TableSequenceCase, _ memory: Memory) {
        guard let features = unsafe Quarry.features, features.noExecute else { return }
        // Without these the kernel may use user pages, and nothing is the same.
        let keepsFromUserPages = features.supervisorAccessPrevention && features.supervisorExecutionPrevention
        if choice.usesUserPages && !keepsFromUserPages { return }
        let frames = memory.value.frames
        let free = frames.value.freeFrames
        let byteCount = TableSequenceCase.pageCount * UInt(MemoryLayout<SequencePage>.stride)
        guard let block = frames.value.allocate(order: TableSequenceCase.blockOrder, flags: .kernel | .noWarn),
            let model = unsafe memory.value.kmalloc.value.kmalloc(byteCount, .kernel)
        else { return SelfTest.expect(false, "4 MiB, and the model's memory") }
        unsafe make(choice, memory, block, model)
        unsafe memory.value.kmalloc.value.kfree(model)
        frames.value.free(block, order: TableSequenceCase.blockOrder)
        SelfTest.expect(frames.value.freeFrames, equals: free, "all tables are freed")
    }

    @inline(never)
    private static func make(
        _ choice: TableSequenceCase, _ memory: Memory, _ block: PageFrameNumber, _ model: UnsafeMutableRawPointer
    ) {
        // So many elements, of a trivial type.
        let count = Int(TableSequenceCase.pageCount)
        let pages = unsafe model.bindMemory(to: SequencePage.self, capacity: count)
        var sequence = unsafe TableSequence(
            choice, tables: memory.value.pageTables, machine: FaultProbe.here, block: block.address,
            model: UnsafeMutableBufferPointer(start: pages, count: count))
        var source = BuddyTableSource<X86Platform>(frames: memory.value.frames)
        sequence.run(TableSequenceCase.steps, using: &source)
        SelfTest.expect(sequence.mismatches, equals: 0, "every access comes out as the flat model says")
        SelfTest.expect(
            UInt(sequence.digest), equals: UInt(choice.digest), "the digest is the simulated MMU's")
        let digest = UInt(sequence.digest)
        Log.info("sequence \(choice.seed): digest \(hex: digest, digits: 16), \(sequence.mismatches) mismatches")
    }
}
