/// Why a memory pool cannot be made, or not be resized.
public enum PoolError: Error, Sendable {
    /// A reserve of no elements, or of more than `MemoryPool.largestMinimum`.
    case badMinimum
    /// Elements of 0 bytes, or of more than kmalloc gives.
    case badSize
    /// An order above the highest.
    case badOrder
    /// There is no memory for the pool or its reserve.
    case outOfMemory
}
