import MemoryPrimitives
import PageFrames

/// What the kernel says about a request for page frames that could not be met.
enum AllocationFailureLog {
    static func handle(_ failure: FailedAllocation) {
        Log.warning("page allocation failure: order \(failure.order), flags \(hex: UInt(failure.flags))")
    }
}
