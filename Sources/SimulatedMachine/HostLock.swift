#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A value behind a lock of the host's thread library.
///
/// `Synchronization.Mutex` would do, but ThreadSanitizer does not see it on Linux and reports races that are none.
@safe
public final class HostLock<Value>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var value: Value

    /// A lock around `value`.
    public init(_ value: Value) {
        self.value = value
        // Allocated above, initialised once.
        let result = unsafe pthread_mutex_init(mutex, nil)
        precondition(result == 0, "the host gave no mutex")
    }

    deinit {
        // Nobody holds the lock of an object that nobody refers to.
        _ = unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Runs `body` on the value with the lock held. Not recursive.
    /// - Throws: what `body` throws, with the lock given back.
    /// - Returns: what `body` returns.
    public func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // Initialised by init, destroyed by deinit.
        _ = unsafe pthread_mutex_lock(mutex)
        defer { _ = unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
