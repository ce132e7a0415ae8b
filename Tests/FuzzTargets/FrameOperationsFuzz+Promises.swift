import MemoryPrimitives
import PageFrames

// Frames are promised.
extension FrameOperationsFuzz {
    mutating func promise(_ count: Int) throws {
        let promisable = frames.value.promisableFrames
        let isPromised = frames.value.promise(frames: count)
        try require(isPromised == (count >= 0 && UInt(bitPattern: count) <= promisable), "a promise of \(count)")
        if !keepsReserve { try require(promisable == model.free.count - model.promised, "\(promisable) promisable") }
        if isPromised { model.promised += UInt(count) }
    }

    mutating func allocatePromised() throws {
        let frame = frames.value.allocatePromised()
        try expectReports(model.promised == 0 ? [.brokenPromise] : [], "allocatePromised")
        try require((frame != nil) == (model.promised > 0), "a promise is not kept")
        guard let frame else { return }
        model.promised -= 1
        try model.allocate(frame.rawValue, order: 0)
    }

    mutating func withdraw(_ count: Int) throws {
        frames.value.withdrawPromise(frames: count)
        let isError = count < 0 || UInt(count) > model.promised
        try expectReports(isError ? [.brokenPromise] : [], "a withdrawal of \(count)")
        if !isError { model.promised -= UInt(count) }
    }
}
