import MemoryPrimitives

/// What a cache is to be like, as Linux's `SLAB_` flags say it.
public struct CacheFlags: FlagSet, Sendable {
    /// The flags as bits.
    public let rawValue: UInt32
    /// The flags of these bits.
    @inline(__always)
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Objects begin at a cache line (`SLAB_HWCACHE_ALIGN`), or at half of one and so on where several fit into a line.
    public static var hardwareCacheAlign: CacheFlags { CacheFlags(rawValue: 1) }
    /// To create the cache must succeed (`SLAB_PANIC`).
    public static var panic: CacheFlags { CacheFlags(rawValue: 2) }
    /// Free objects are filled with a pattern, and looked at before they are handed out (`SLAB_POISON`).
    public static var poison: CacheFlags { CacheFlags(rawValue: 4) }
    /// Bytes before and behind each object are looked at when it is freed (`SLAB_RED_ZONE`).
    public static var redZone: CacheFlags { CacheFlags(rawValue: 8) }
    /// Who allocated and who freed each object is kept (`SLAB_STORE_USER`).
    public static var storeUser: CacheFlags { CacheFlags(rawValue: 16) }
    /// Calls are checked for consistency in every way there is (`SLAB_CONSISTENCY_CHECKS`).
    public static var consistencyChecks: CacheFlags { CacheFlags(rawValue: 32) }
    /// Allocations and frees are told to the log (`SLAB_TRACE`).
    public static var trace: CacheFlags { CacheFlags(rawValue: 64) }
    /// The objects can be given back under pressure (`SLAB_RECLAIM_ACCOUNT`).
    public static var reclaimable: CacheFlags { CacheFlags(rawValue: 128) }
    /// The cache is never merged with one that is alike (`SLAB_NO_MERGE`).
    public static var noMerge: CacheFlags { CacheFlags(rawValue: 256) }
    /// A slab's memory stays of this type for as long as the cache lives, so that a stale reference leads to an object
    /// of the type, if not to the same (`SLAB_TYPESAFE_BY_RCU`).
    public static var typesafe: CacheFlags { CacheFlags(rawValue: 512) }
    /// The slabs' frames come from the DMA zone (`SLAB_CACHE_DMA`).
    public static var dma: CacheFlags { CacheFlags(rawValue: 1024) }
    /// No leaks are looked for in this cache (`SLAB_NOLEAKTRACE`).
    public static var noLeakTrace: CacheFlags { CacheFlags(rawValue: 2048) }
    /// Allocations may be made to fail on purpose (`SLAB_FAILSLAB`).
    public static var failslab: CacheFlags { CacheFlags(rawValue: 1 << 16) }

    /// Nothing may be written into the cache's free objects, nor into one that is handed out: they are as their constructor
    /// or their last user left them.
    @inline(__always)
    static var keepsContents: CacheFlags { CacheFlags(rawValue: 1 << 20) }

    /// Some allocations go to guarded pages, where that is asked for and would do: see `CacheRequest.mayBeGuarded`.
    @inline(__always)
    static var sampled: CacheFlags { CacheFlags(rawValue: 1 << 21) }

    /// Those that let the cache check or note down something at each call.
    @inline(__always)
    static var debugging: CacheFlags { poison | redZone | storeUser | consistencyChecks | trace }
}
