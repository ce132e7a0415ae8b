import MemoryPrimitives
import Testing

@testable import PageFrames

/// What fuzzing has found, each as a test of its own.
@Suite struct FindingTests {
    /// A request that may go down to the last frame took a block of several when only one frame was not promised.
    @Test(arguments: [false, true], 1...10)
    func reservesLeavePromisedFramesAlone(frameCaches: Bool, order: Int) throws {
        let frames = try CheckedFrames(arena: 1024..<1024 + 2048, frameCaches: frameCaches)
        let size = 1 << order
        let machine = frames.machine
        let isPromised = machine.run { $0.promise(frames: 2048 - size + 1) }
        #expect(isPromised)
        let block = machine.run { $0.allocate(order: order, flags: .noWait | .memoryReserves | .noWarn) }
        #expect(block == nil)
        try frames.check()
        machine.run { $0.withdrawPromise(frames: 1) }
        // Now the block is just what is left.
        #expect(try frames.allocate(order: order, flags: .noWait | .memoryReserves | .noWarn) != nil)
        #expect(machine.run { $0.allocate(order: 0, flags: .noWait | .memoryReserves | .noWarn) } == nil)
        for _ in 0..<2048 - size {
            let frame = machine.run { $0.allocatePromised() }
            try #require(frame != nil)
        }
        try machine.run { try $0.checkInvariants() }
    }
}
