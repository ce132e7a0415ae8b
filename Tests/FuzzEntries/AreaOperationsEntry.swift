import FuzzTargets

/// What libFuzzer calls with each input. A finding ends the process, so that the input is written down.
@c(LLVMFuzzerTestOneInput)
public func tryAreaOperations(_ start: UnsafeRawPointer?, _ byteCount: Int) -> CInt {
    do {
        try AreaOperationsFuzz.run(Array(UnsafeRawBufferPointer(start: start, count: byteCount)))
    } catch {
        fatalError("\(error)")
    }
    return 0
}
