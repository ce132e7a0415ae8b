/// A call on a cache whose calls are told to the log.
public struct TracedObject: Sendable {
    /// The object's address.
    public var object: UInt
    /// The cache's.
    public var cache: UInt
    /// How many objects of its slab are not free.
    public var used: Int
    /// Whether the object is handed out or given back.
    public var isAllocation: Bool

    /// A call that hands out or takes back the object at address `object` of the cache whose address is `cache`.
    public init(object: UInt, cache: UInt, used: Int, isAllocation: Bool) {
        self.object = object
        self.cache = cache
        self.used = used
        self.isAllocation = isAllocation
    }
}
