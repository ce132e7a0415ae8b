import MemoryPrimitives
import Testing

@testable import LeakDetection

/// What happens to a record whose memory is freed, or cut, while a scan has it in its hands.
@Suite struct LeakStateTests {
    /// A state with room for some records, for as long as `body` runs.
    private func with(_ body: (inout LeakState) throws -> Void) rethrows {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { memory.deallocate() }
        var state = LeakState()
        state.pool.add(memory, order: 0)
        try body(&state)
    }

    private func record(_ start: UInt, _ byteCount: UInt) -> LeakRecord {
        LeakRecord(start, byteCount: byteCount, .object, cpu: 0, time: 0, minimumCount: 1, trace: StackTrace())
    }

    @Test func aRecordFreedWhileHeldComesBackWhenItIsLetGo() throws {
        try with { state in
            let all = state.pool.available
            for start in [0x1000, 0x2000] as [UInt] { state.insert(record(start, 64)) }
            for (start, isFreed) in [(0x1000, true), (0x2000, false)] as [(UInt, Bool)] {
                let reference = try #require(state.tree.find(containing: start))
                let before = state.pool.available
                state.enqueue(reference)
                let found = isFreed && state.remove(start, byteCount: 64)
                #expect(found == isFreed && (state.tree.find(containing: start) == nil) == isFreed)
                // The scan still looks at it, so that nobody else may have it.
                #expect(state.pool.available == before)
                let held = state.dequeue()
                #expect(held == reference && state.dequeue() == nil)
                state.release(reference)
                #expect(state.pool.available == (isFreed ? before + 1 : before))
            }
            #expect(state.pool.available == all - 1 && state.tree.count == 1)
        }
    }

    /// What is left of memory that is not scanned is not scanned either, and has no checksum of the whole.
    @Test func partsAreAsTheWholeWas() throws {
        try with { state in
            state.insert(record(0x1000, 256))
            let whole = try #require(state.tree.find(containing: 0x1000))
            whole.set(.noScan)
            whole.set(.hasChecksum)
            let found = state.remove(0x1040, byteCount: 64)
            #expect(found && state.tree.count == 2)
            let front = try #require(state.tree.find(containing: 0x103f))
            let tail = try #require(state.tree.find(containing: 0x10ff))
            #expect(front.record.byteCount == 64 && tail.record.start == 0x1080 && tail.record.byteCount == 128)
            for part in [front, tail] { #expect(part.has(.noScan) && !part.has(.hasChecksum)) }
            let middle = state.tree.find(containing: 0x1040)
            #expect(middle == nil)
        }
    }
}
