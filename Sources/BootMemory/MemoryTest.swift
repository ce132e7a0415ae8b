import MemoryPrimitives

/// The memory that a test writes and reads, and who is told what it finds.
///
/// A seam for tests, whose memory may have bits that stick; in the kernel each access is one instruction.
public protocol MemoryUnderTest {
    /// Writes a word, exactly once and whatever is read later.
    mutating func store(_ word: UInt64, at address: PhysicalAddress)

    /// Reads a word from memory, never from what is known to have been written.
    /// - Returns: what is there now.
    mutating func load(_ address: PhysicalAddress) -> UInt64

    /// `range` is about to be filled with `pattern`.
    mutating func testBegins(of range: PhysicalRange, pattern: UInt64)

    /// All words of `range` read other than `pattern`. Its pages are reserved next.
    mutating func foundBad(_ range: PhysicalRange, pattern: UInt64)
}

/// The patterns that memory is tested with: those of Linux, in its order.
public enum MemoryTest {
    /// The number of patterns; more passes begin again.
    public static var patternCount: UInt { 17 }

    /// The pattern at `index`, modulo `patternCount`. The first is zero: the last pass leaves memory cleared.
    public static func pattern(_ index: UInt) -> UInt64 {
        let index = UInt64(index % patternCount)
        // The last has no structure: bytes that are all different.
        if index == 16 { return 0x7a6c_7258_554e_494c }
        // One digit in all places: 0, f, 5, a, each single bit, pairs of bits, and the complements of both.
        let digits: UInt64 = 0xedb7_c963_8421_a5f0
        return (digits >> (index * 4) & 0xf) * 0x1111_1111_1111_1111
    }
}

extension BootAllocator {
    /// Tests all free memory: each pass fills it with a pattern and reads that back, and the pages of words that read
    /// otherwise are reserved for `badMemory`. Free memory is zero afterwards, if there was a pass.
    ///
    /// A pass fills everything before it reads anything, so that a cell that loses its contents has time to do so. Where a
    /// reservation was lost, nothing is free any more; see `hasLostReservation`.
    /// - Parameters:
    ///   - passes: how many; pass after pass takes the pattern before, so that the last one's is the first.
    ///   - memory: must reach all free memory.
    /// - Returns: bytes that were reserved because they are bad, in whole pages.
    /// - Complexity: O(passes free memory), an instruction or two for each word.
    public mutating func testFreeMemory<Memory: MemoryUnderTest>(passes: UInt, on memory: inout Memory) -> UInt {
        let before = totalReserved(by: .badMemory)
        // A list that grows for what is found moves to memory that this pass has read already.
        let directionBefore = direction
        direction = .bottomUp
        defer { direction = directionBefore }
        var pass = passes
        while pass > 0 {
            pass &-= 1
            let pattern = MemoryTest.pattern(pass)
            fillFreeMemory(pattern, &memory)
            reserveWhatDiffers(from: pattern, &memory)
        }
        return totalReserved(by: .badMemory) &- before
    }

    private func fillFreeMemory<Memory: MemoryUnderTest>(_ pattern: UInt64, _ memory: inout Memory) {
        var cursor = PhysicalAddress.zero
        while let free = nextFreeRange(from: cursor) {
            cursor = free.end
            guard let words = free.wholePages(of: Self.wordByteCount) else { continue }
            memory.testBegins(of: words, pattern: pattern)
            var address = words.start
            while address < words.end {
                memory.store(pattern, at: address)
                address = PhysicalAddress(address.rawValue &+ Self.wordByteCount)
            }
        }
    }

    private mutating func reserveWhatDiffers<Memory: MemoryUnderTest>(
        from pattern: UInt64, _ memory: inout Memory
    ) {
        var cursor = PhysicalAddress.zero
        // Asked for anew after each reservation: the list may have moved to an array in free memory, which is no longer
        // free and no longer holds the pattern.
        while let free = nextFreeRange(from: cursor) {
            cursor = free.end
            guard let words = free.wholePages(of: Self.wordByteCount),
                let bad = Self.firstDifference(from: pattern, in: words, &memory), let pages = bad.enclosingPages()
            else { continue }
            memory.foundBad(bad, pattern: pattern)
            reserve(pages, owner: .badMemory)
            cursor = pages.end
        }
    }

    /// The first words in `range`, as many as follow each other, that read other than `pattern`.
    private static func firstDifference<Memory: MemoryUnderTest>(
        from pattern: UInt64, in range: PhysicalRange, _ memory: inout Memory
    ) -> PhysicalRange? {
        var address = range.start
        while address < range.end, memory.load(address) == pattern {
            address = PhysicalAddress(address.rawValue &+ wordByteCount)
        }
        if address == range.end { return nil }
        let start = address
        repeat {
            address = PhysicalAddress(address.rawValue &+ wordByteCount)
        } while address < range.end && memory.load(address) != pattern
        return PhysicalRange(start, address)
    }

    private static var wordByteCount: UInt { 8 }
}
