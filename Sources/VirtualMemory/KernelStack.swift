import MemoryPrimitives
import PageFrames

/// A kernel stack: its top page is there, the others when they are touched, and guard pages on both sides catch who runs
/// over an end.
///
///     guard | limit ... due ... | painted ... deepest use ... in use ... top | guard
///
/// Pages are filled with `paint` before they are seen, so that how deep the stack ever went can be read off later. A stack is
/// not freed when the value goes out of scope, because code may still be running on it: whoever knows better calls `free`.
/// Before a CPU runs on a stack, and before it goes back to another, it calls `KernelStacks.refillReserve()`.
public struct KernelStack<P: Platform>: ~Copyable, Sendable {
    /// What every word of an unused stack holds.
    public static var paint: UInt64 { StackPaint.word }

    private let area: Area
    private let stacks: Permanent<KernelStacks<P>>

    /// Takes a stack that is ready, or makes one.
    /// - Parameters:
    ///   - pageCount: its size without guard pages; nil for the usual one. Of a larger one, the pages that are more are there
    ///     from the beginning, and it is not kept when it is freed.
    ///   - name: what an overflow's report calls it.
    ///   - caller: the return address of whoever asks, for reports; 0 where unknown.
    ///   - stacks: where it comes from.
    /// - Returns: nil, with everything as before, where there is no memory or the size is 0.
    /// - Complexity: O(1) where one is ready; else O(pages + log areas). Any context.
    public init?(
        pageCount: UInt? = nil, name: StaticString, caller: UInt = 0, from stacks: Permanent<KernelStacks<P>>
    ) {
        guard let area = stacks.value.make(pageCount, name, caller) else { return nil }
        self.area = area
        self.stacks = stacks
    }

    /// What an overflow's report calls the stack.
    public var name: StaticString { area.name }

    /// The lowest byte that may be used. Below it lies the guard page.
    public var limit: VirtualAddress { area.usable.start }

    /// What the stack pointer starts with: one beyond the highest byte.
    public var top: VirtualAddress { area.usable.end }

    /// Its size without guard pages.
    public var byteCount: UInt { area.usable.byteCount }

    /// The bytes of pages that are there. - Complexity: O(pages).
    public var mappedByteCount: UInt { stacks.value.mappedPages(of: area.usable) &<< PageSize.shift }

    /// The bytes left below `stackPointer`; 0 for one that lies outside the stack.
    @inline(__always)
    public func stackRemaining(below stackPointer: VirtualAddress) -> UInt {
        limit <= stackPointer && stackPointer <= top ? stackPointer.distance(from: limit) : 0
    }

    /// The most bytes that have ever been in use, as far as they were written to, since the stack was handed out: what an
    /// earlier owner had used is painted over.
    /// - Complexity: O(bytes never used). Any context; the owner may be running on the stack.
    public var highWaterMark: UInt { stacks.value.deepest(of: area.usable) }

    /// Gives the stack back: to those that are ready for the next, or frames, addresses and notes. Nothing may be running on
    /// it, nor ever return to it.
    /// - Complexity: O(bytes that were used) where it is kept ready; else O(pages + log areas). Any context.
    public consuming func free() { stacks.value.recycle(area) }
}
