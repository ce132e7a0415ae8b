import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Writes which object or block an address lies in, for the report of a fault there:
    ///
    ///     object 0xffff888001a2c040 of kmalloc-64 (64 bytes, in use), 8 bytes from its start
    ///
    /// Takes no lock, so that it may be called wherever the fault came; what it says is as of now.
    /// - Parameters:
    ///   - address: any, in the direct map or not.
    ///   - writer: where it goes.
    /// - Returns: false, with nothing written, where kmalloc has nothing to do with the address.
    /// - Complexity: O(objects of a slab).
    @discardableResult
    public func writeOwner(of address: UInt, to writer: inout some ReportWriter) -> Bool {
        guard let slab = slab(of: address) else { return writeLargeBlock(around: address, to: &writer) }
        let cache = slab.cache(on: P.self)
        let slotSize = cache.value.layout.slotSize
        let objectSize = cache.value.layout.objectSize
        for index in 0..<cache.value.layout.objectCount {
            let start = slab.address(of: index, slotSize: slotSize)
            if address &- start >= slotSize { continue }
            writer.write("object 0x")
            writer.write(hex: start, digits: 16)
            writer.write(" of ")
            writer.write(cache.value.name)
            writer.write(" (")
            writer.write(decimal: objectSize)
            writer.write(slab.state(index).isInUse ? " bytes, in use), " : " bytes, free), ")
            writer.write(decimal: address &- start)
            writer.write(" bytes from its start")
            writer.endLine()
            return true
        }
        writer.write("a slab of ")
        writer.write(cache.value.name)
        writer.write(", in none of its objects")
        writer.endLine()
        return true
    }

    /// Writes what is known of the object that an address lies in, besides `writeOwner`: where in its slab it is, what it is
    /// doing, and who allocated and freed it, where the cache keeps that.
    ///
    ///     object 3 of 64 in the slab at 0xffff888001a2c000: allocated
    ///
    /// Takes no lock; of a cache that is being destroyed meanwhile, or an object that changes hands, it says what it finds.
    /// - Complexity: O(objects of a slab).
    @inline(never)
    public func writeObject(around address: UInt, to writer: inout some ReportWriter) {
        guard let slab = slab(of: address) else { return }
        let cache = slab.cache(on: P.self)
        let slotSize = cache.value.layout.slotSize
        let count = cache.value.layout.objectCount
        for index in 0..<count {
            let start = slab.address(of: index, slotSize: slotSize)
            if address &- start >= slotSize { continue }
            writer.write("object ")
            writer.write(decimal: UInt(bitPattern: index))
            writer.write(" of ")
            writer.write(decimal: UInt(bitPattern: count))
            writer.write(" in the slab at 0x")
            writer.write(hex: slab.base, digits: 16)
            writer.write(": ")
            writer.write(slab.state(index).name)
            writer.endLine()
            return cache.value.writeTracks(of: start, to: &writer)
        }
    }

    private func writeLargeBlock(around address: UInt, to writer: inout some ReportWriter) -> Bool {
        guard let block = frames.value.block(covering: frame(of: address)), block.state == .allocatedHead,
            frames.value.tag(of: block.head) == LargeBlocks<P>.tag
        else { return false }
        let start = directMap.virtualAddress(of: block.head.address).rawValue
        writer.write("kmalloc's block 0x")
        writer.write(hex: start, digits: 16)
        writer.write(" (")
        writer.write(decimal: PageSize.byteCount << UInt(block.order))
        writer.write(" bytes), ")
        writer.write(decimal: address &- start)
        writer.write(" bytes from its start")
        writer.endLine()
        return true
    }
}
