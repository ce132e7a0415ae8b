import BootMemory
import MemoryPrimitives
import X86

/// Memory as `memtest=N` tests it: through the direct map, each access one instruction, and each finding a line.
struct MemoryTester: MemoryUnderTest {
    private let base = KernelLayout.current.directMap.start.rawValue

    /// Tests what the boot allocator says is free. Call it while the kernel's own tables map all memory.
    @inline(never)
    static func run(passes: UInt, over boot: inout BootAllocator) {
        if passes == 0 { return }
        Log.info("memtest: \(passes) passes over \(bytes: boot.totalFree) of free memory")
        var tester = MemoryTester()
        let bad = boot.testFreeMemory(passes: passes, on: &tester)
        if bad > 0 { Log.warning("memtest: \(bytes: bad) reserved as bad") } else { Log.info("memtest: no bad memory") }
    }

    mutating func store(_ word: UInt64, at address: PhysicalAddress) {
        x86_store64(base &+ address.rawValue, word)
    }

    mutating func load(_ address: PhysicalAddress) -> UInt64 { x86_load64(base &+ address.rawValue) }

    @inline(never)
    mutating func testBegins(of range: PhysicalRange, pattern: UInt64) {
        Log.info("  \(range) pattern \(hex: UInt(pattern), digits: 16)")
    }

    @inline(never)
    mutating func foundBad(_ range: PhysicalRange, pattern: UInt64) {
        Log.warning("  \(range) bad, does not hold pattern \(hex: UInt(pattern), digits: 16); its pages are reserved")
    }
}
