import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

/// Something has written to descriptors of free frames, which say since that the frames are in use.
@Suite struct DamagedFrameTests {
    /// A machine where the next blocks of `order` to be handed out are damaged, and these blocks.
    private func damaged(_ count: Int, order: Int, caches: Bool) throws -> (Machine, Set<PageFrameNumber>) {
        let machine = try Machine(mebibytes: 32)
        let blocks = try machine.run {
            machine.frames.value.setFrameCaches(enabled: caches)
            let blocks = try (0..<count).map { _ in try need(machine.frames.value.allocate(order: order)) }
            for block in blocks { machine.frames.value.free(block, order: order) }
            for block in blocks {
                let descriptor = UnsafeMutableRawPointer(try need(machine.frames.value.descriptor(of: block)))
                descriptor.storeBytes(of: FrameState.allocatedHead.rawValue, toByteOffset: 9, as: UInt8.self)
            }
            return blocks
        }
        #expect(machine.takeKinds().isEmpty)
        return (machine, Set(blocks))
    }

    @Test(arguments: [0, 2, 5], [false, true]) func aRequestThatMustNotFailTriesAgain(order: Int, caches: Bool) throws {
        let (machine, blocks) = try damaged(20, order: order, caches: caches)
        let handedOut = machine.run {
            (0..<40).compactMap { _ in machine.frames.value.allocate(order: order, flags: .kernel | .noFail) }
        }
        #expect(Set(handedOut).count == 40, "none has failed")
        #expect(blocks.isDisjoint(with: handedOut))
        #expect(machine.takeKinds() == Array(repeating: .corruption, count: 20), "each was found once")
        #expect(machine.simulated.takeFailedAllocations().isEmpty)
    }

    @Test(arguments: [1, 3]) func aPromiseIsKept(count: Int) throws {
        let (machine, blocks) = try damaged(count, order: 0, caches: false)
        machine.run {
            #expect(machine.frames.value.promise(frames: 5) == true)
            let handedOut = (0..<5).compactMap { _ in machine.frames.value.allocatePromised() }
            #expect(handedOut.count == 5 && blocks.isDisjoint(with: handedOut))
            #expect(machine.frames.value.promisedFrames == 0)
        }
        #expect(machine.takeKinds() == Array(repeating: .corruption, count: count))
    }

    @Test func anotherRequestFails() throws {
        let (machine, _) = try damaged(1, order: 5, caches: false)
        machine.run {
            #expect(machine.frames.value.allocate(order: 5, flags: .kernel) == nil)
            #expect(machine.frames.value.allocate(order: 5, flags: .kernel) != nil)
        }
        #expect(machine.takeKinds() == [.corruption])
    }
}
