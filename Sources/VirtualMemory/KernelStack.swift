import MemoryPrimitives
import PageFrames
import Paging

/// A kernel stack: mapped from end to end, with a guard page below, which an overflow hits, and one above.
///
///     guard page | limit ... free, painted ... deepest use ... in use ... top | guard page
///
/// Fresh stacks are filled with `paint`, so that how deep the stack ever went can be read off later. A stack is not
/// freed when the value goes out of scope, because code may still be running on it: whoever knows better calls `free`.
public struct KernelStack<P: Platform>: ~Copyable, Sendable {
    /// What every word of an unused stack holds.
    public static var paint: UInt64 { 0x5afe_57ac_5afe_57ac }

    /// The usual size in pages: 16 KiB.
    public static var usualPageCount: UInt { 4 }

    private let area: Area
    private let vmalloc: Permanent<Vmalloc<P>>

    /// Makes a stack.
    /// - Parameters:
    ///   - pageCount: its size without guard pages.
    ///   - name: what an overflow's report calls it.
    /// - Returns: nil, with everything as before, where there is no memory or the size is 0.
    /// - Complexity: O(pages + log areas). Any context.
    public init?(
        pageCount: UInt = KernelStack.usualPageCount, name: StaticString, caller: UInt = 0,
        from vmalloc: Permanent<Vmalloc<P>>
    ) {
        let request = AreaRequest(
            .stack, pageCount: pageCount, guardPagesBelow: 1, guardPagesAbove: 1, name: name, caller: caller)
        let directMap = vmalloc.value.frames.value.directMap
        let area = vmalloc.value.allocatePopulated(request) { frame in Self.fill(frame, directMap) }
        guard let area else { return nil }
        self.area = area
        self.vmalloc = vmalloc
    }

    public var name: StaticString { area.name }

    /// The lowest byte that may be used. Below it lies the guard page.
    public var limit: VirtualAddress { area.usable.start }

    /// What the stack pointer starts with: one beyond the highest byte.
    public var top: VirtualAddress { area.usable.end }

    public var byteCount: UInt { area.usable.byteCount }

    /// The bytes left below `stackPointer`; 0 for one that lies outside the stack.
    @inline(__always)
    public func stackRemaining(below stackPointer: VirtualAddress) -> UInt {
        limit <= stackPointer && stackPointer <= top ? stackPointer.distance(from: limit) : 0
    }

    /// The most bytes that have ever been in use, as far as they were written to.
    /// - Complexity: O(bytes never used). Any context; the owner may be running on the stack.
    public var highWaterMark: UInt {
        var page = limit
        while page < top {
            if let translation = vmalloc.value.pageTables.value.translate(page),
                let offset = Self.firstUsed(translation.physical, vmalloc.value.frames.value.directMap)
            {
                return top.distance(from: page + offset)
            }
            page = page + PageSize.byteCount
        }
        return 0
    }

    /// Gives everything back: frames, addresses, notes. Nothing may be running on the stack, nor ever return to it.
    /// - Complexity: O(pages + log areas). Any context.
    public consuming func free() {
        vmalloc.value.free(area.usable.start, kind: .stack, call: "KernelStack.free")
    }

    private static func fill(_ frame: PageFrameNumber, _ directMap: DirectMap) {
        // A frame just allocated, which nobody else uses.
        let words = unsafe directMap.pointer(to: frame).assumingMemoryBound(to: UInt64.self)
        for index in 0..<Int(PageSize.byteCount / 8) { unsafe words[index] = paint }
    }

    /// The offset of the first word of the page at `address` that is not paint.
    private static func firstUsed(_ address: PhysicalAddress, _ directMap: DirectMap) -> UInt? {
        // The stack's own frame; a word that is being written reads as one or the other.
        let words = unsafe directMap.pointer(to: address).assumingMemoryBound(to: UInt64.self)
        for index in 0..<Int(PageSize.byteCount / 8) where unsafe words[index] != paint {
            return UInt(index) &* 8
        }
        return nil
    }
}

/// A stack as a report needs it: whose it is, where it lies, and how far an address is from its top.
public struct StackDescription: Sendable {
    public let name: StaticString
    /// The lowest byte that may be used.
    public let limit: VirtualAddress
    /// One beyond the highest byte.
    public let top: VirtualAddress
    /// Bytes from the address up to `top`; more than the stack's size for an overflow, 0 beyond the top.
    public let depth: UInt
    /// True when the address lies below `limit`, in the guard page.
    public let isOverflow: Bool
}

extension Vmalloc {
    /// The stack in which, or in whose guard pages, `address` lies: for the double-fault handler. Waits for no lock.
    /// - Complexity: O(log areas).
    public func stack(around address: VirtualAddress) -> StackDescription? {
        guard ranges.space.contains(address), let area = ranges.nearestArea(to: address), area.kind == .stack,
            area.range.contains(address)
        else { return nil }
        let usable = area.usable
        return StackDescription(
            name: area.name, limit: usable.start, top: usable.end,
            depth: address < usable.end ? usable.end.distance(from: address) : 0, isOverflow: address < usable.start)
    }
}
