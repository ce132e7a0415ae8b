import MemoryPrimitives

/// The caches and their slabs, in the format of Linux's `/proc/slabinfo`, version 2.1, which slabtop and `vmstat -m` read.
///
/// As with Linux's SLUB there is nothing to tune, and `objsize` is what an object takes of its slab, debugging included.
/// Objects that wait in magazines and depots are not active, where Linux counts those of its CPUs' slabs as if they were.
/// Guarded objects are in no slab and not active, as with Linux.
public enum SlabInfoReport {
    /// Writes the heading and a line for each cache, as in Linux the one that was made last first.
    ///
    /// - Complexity: O(caches * CPUs). Takes each cache's lock: not for callers that hold one. No cache may be destroyed
    ///   meanwhile.
    public static func write<P: Platform>(_ kmalloc: borrowing Kmalloc<P>, to writer: inout some ReportWriter) {
        writeHeading(to: &writer)
        var next = kmalloc.previous(before: nil)
        while let cache = next {
            write(cache.value.statistics, to: &writer)
            next = kmalloc.previous(before: cache)
        }
    }

    @inline(never)
    static func writeHeading(to writer: inout some ReportWriter) {
        writer.write("slabinfo - version: 2.1")
        writer.endLine()
        writer.write("# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>")
        writer.write(" : tunables <limit> <batchcount> <sharedfactor>")
        writer.write(" : slabdata <active_slabs> <num_slabs> <sharedavail>")
        writer.endLine()
    }

    @inline(never)
    static func write(_ cache: SlabCacheStatistics, to writer: inout some ReportWriter) {
        writer.write(cache.name, width: 17)
        writer.write(" ", UInt(cache.activeObjects), width: 6)
        writer.write(" ", UInt(cache.totalObjects), width: 6)
        writer.write(" ", cache.objectSize, width: 6)
        writer.write(" ", UInt(cache.objectsPerSlab), width: 4)
        writer.write(" ", UInt(cache.pagesPerSlab), width: 4)
        writer.write(" : tunables    0    0    0 : slabdata")
        writer.write(" ", UInt(cache.activeSlabs), width: 6)
        writer.write(" ", UInt(cache.slabs), width: 6)
        writer.write(" ", 0, width: 6)
        writer.endLine()
    }
}

extension ReportWriter {
    fileprivate mutating func write(_ before: StaticString, _ number: UInt, width: Int) {
        write(before)
        write(decimal: number, width: width)
    }
}
