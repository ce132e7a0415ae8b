import FuzzTargets

/// What libFuzzer calls with each input. A finding ends the process, so that the input is written down.
@c(LLVMFuzzerTestOneInput)
public func tryTableOperations(_ start: UnsafeRawPointer?, _ byteCount: Int) -> CInt {
    do {
        try TableOperationsFuzz.run(Array(UnsafeRawBufferPointer(start: start, count: byteCount)))
    } catch {
        fatalError("\(error)")
    }
    return 0
}
