/// What the list of all caches keeps of one: its neighbours, and who holds it. Under the list's lock, but for what never
/// changes.
@safe
struct CacheRegistration {
    /// The neighbours' addresses; 0 for none.
    var next: UInt = 0
    var previous: UInt = 0
    /// Those who made the cache, or asked for one that is alike; 0 once the last has destroyed it.
    var users: UInt32 = 1
    /// Walks through the list that are at the cache: its memory stays meanwhile.
    var walkers: UInt32 = 0
    /// The largest object that a user has asked for, in bytes.
    var requestedSize: UInt = 0
    /// Whether others that ask for the like may be given this cache. Never changes.
    var isShared = false
    /// Whether the last user is about to end the cache: nobody else is given it meanwhile.
    var isEnding = false
    /// Is run on each object when its slab is made. Never changes.
    var constructor: ObjectConstructor?
}

/// Sets up an object of a cache: is given its address, and must not fail, wait, nor free.
///
/// It runs once for each object when its slab is made, not at each allocation: who frees an object leaves it as the
/// constructor did, or as the next user may find it.
public typealias ObjectConstructor = @convention(c) (UnsafeMutableRawPointer) -> Void
