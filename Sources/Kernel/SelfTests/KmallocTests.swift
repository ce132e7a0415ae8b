import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

/// kmalloc on real memory.
enum KmallocTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("kmalloc: objects of every class are apart and keep their data") { everyClass(memory) }
        SelfTest.run("kmalloc: every size keeps its data, aligned and apart") { everySize(memory) }
        SelfTest.run("kmalloc: exhaustion and back to the same free count") { exhaustion(memory) }
        SelfTest.run("kmalloc: kzalloc, kcalloc and krealloc") { variants(memory) }
        SelfTest.run("kmalloc: wrong frees are reported and not obeyed") { misuse(memory) }
    }

    /// A hundred objects of each class, chained through their first words and filled with their number behind them.
    private static func everyClass(_ memory: Memory) {
        let free = VmallocTests.settledFreeFrames(memory)
        var size: UInt = 8
        while let sizeClass = SizeClass(fitting: size) {
            SelfTest.expect(fillAndEmpty(memory.value.kmalloc, sizeClass.byteCount), "objects of a class are apart")
            size = sizeClass.byteCount + 1
        }
        PageFrameTests.checkInvariants(memory)
        VmallocTests.expectFree(memory, free)
    }

    /// - Returns: false where an object could not be had, or did not hold what was written to it.
    private static func fillAndEmpty(_ kmalloc: Permanent<Kmalloc<X86Platform>>, _ size: UInt) -> Bool {
        var chain: UInt = 0
        var count: UInt = 0
        while count < 100, let object = unsafe kmalloc.value.kmalloc(size, .kernel) {
            let address = UInt(bitPattern: object)
            for offset in 8..<max(size, 8) { x86_store8(address + offset, UInt8(count)) }
            x86_store64(address, UInt64(chain))
            chain = address
            count += 1
        }
        var isWhole = count == 100
        while chain != 0 {
            count -= 1
            for offset in 8..<max(size, 8) where x86_load8(chain + offset) != UInt8(count) { isWhole = false }
            let next = UInt(x86_load64(chain))
            unsafe kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: chain))
            chain = next
        }
        return isWhole
    }

    private static func everySize(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        let free = VmallocTests.settledFreeFrames(memory)
        var chain: UInt = 0
        for size in stride(from: UInt(16), through: 70_000, by: 357) {
            guard let object = unsafe kmalloc.value.kmalloc(size, .kernel) else {
                SelfTest.expect(false, "an object")
                break
            }
            let address = UInt(bitPattern: object)
            SelfTest.expect(address & 7 == 0, "an object is aligned to 8 bytes")
            SelfTest.expect(unsafe kmalloc.value.ksize(object) >= size, "an object is as large as was asked for")
            for offset in 0..<size { x86_store8(address + offset, UInt8(truncatingIfNeeded: size)) }
            x86_store64(address, UInt64(chain))
            x86_store64(address + 8, UInt64(size))
            chain = address
        }
        var damaged = 0
        while chain != 0 {
            let next = UInt(x86_load64(chain))
            let size = UInt(x86_load64(chain + 8))
            for offset in stride(from: UInt(16), to: size, by: 1)
            where x86_load8(chain + offset) != UInt8(truncatingIfNeeded: size) {
                damaged += 1
            }
            unsafe kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: chain))
            chain = next
        }
        SelfTest.expect(damaged, equals: 0, "no object overlaps another")
        for shift in 3...13 {
            let size = UInt(1) << UInt(shift)
            let object = unsafe kmalloc.value.kmalloc(size, .kernel)
            SelfTest.expect(UInt(bitPattern: object) & (size - 1) == 0, "powers of two are naturally aligned")
            unsafe kmalloc.value.kfree(object)
        }
        PageFrameTests.checkInvariants(memory)
        VmallocTests.expectFree(memory, free)
    }

    /// Takes objects of a page's size until there are none, at most 16 MiB and the reserves, and gives them back.
    private static func exhaustion(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        let frames = memory.value.frames
        let free = VmallocTests.settledFreeFrames(memory)
        // All else is put aside, so that running out takes no longer on a large machine.
        let aside = Int(frames.value.promisableFrames) - 4096
        // With guard pages half of that is guards.
        let pages: UInt = frames.value.activeChecks.contains(.guardPages) ? 1000 : 2000
        // An object that is checked has a slot larger than itself.
        let few = pages * PageSize.byteCount / bytesOfSlot(kmalloc)
        if aside > 0 { SelfTest.expect(frames.value.promise(frames: aside), "memory can be put aside") }
        var chain: UInt = 0
        var count: UInt = 0
        while let object = unsafe kmalloc.value.allocate(4096, flags: .kernel | .noWarn | .memoryReserves) {
            let address = UInt(bitPattern: object)
            x86_store64(address, UInt64(chain))
            chain = address
            count += 1
        }
        // What is left lies in the low zones, which keep it from ordinary requests where there is much Normal memory.
        SelfTest.expect(count > few, "most of the memory can be had")
        while chain != 0 {
            let next = UInt(x86_load64(chain))
            unsafe kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: chain))
            chain = next
        }
        if aside > 0 { frames.value.withdrawPromise(frames: aside) }
        VmallocTests.expectFree(memory, free)
    }

    /// Bytes that an object of a page's size really takes.
    private static func bytesOfSlot(_ kmalloc: Permanent<Kmalloc<X86Platform>>) -> UInt {
        var byteCount = PageSize.byteCount
        kmalloc.value.forEachCache { cache in
            if cache.name.isEqual(to: "kmalloc-4k") { byteCount = cache.statistics.objectSize }
        }
        return byteCount
    }

    private static func variants(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        if let dirty = unsafe kmalloc.value.kmalloc(200, .kernel) {
            for offset in 0..<UInt(200) { x86_store8(UInt(bitPattern: dirty) + offset, 0xff) }
            unsafe kmalloc.value.kfree(dirty)
        }
        if let clean = unsafe SelfTest.require(kmalloc.value.kzalloc(200, .kernel), "a cleared object") {
            var sum: UInt64 = 0
            for offset in stride(from: UInt(0), to: 200, by: 8) { sum |= x86_load64(UInt(bitPattern: clean) + offset) }
            SelfTest.expect(sum == 0, "kzalloc clears")
            x86_store64(UInt(bitPattern: clean), 0x1122_3344)
            if let grown = unsafe SelfTest.require(kmalloc.value.krealloc(clean, 5000, .kernel), "a larger object") {
                SelfTest.expect(x86_load64(UInt(bitPattern: grown)) == 0x1122_3344, "krealloc keeps the contents")
                unsafe kmalloc.value.kfree(grown)
            }
        }
        SelfTest.expect(
            unsafe kmalloc.value.kcalloc(1 << 33, 1 << 33, .kernel) == nil, "overflow of n * size is refused")
        SelfTest.expect(unsafe kmalloc.value.kmalloc_array(.max, 2, .kernel) == nil, "overflow of n * size is refused")
        SelfTest.expect(
            unsafe kmalloc.value.kmalloc(8 << 20, .kernel | .noWarn) == nil, "more than the largest block is refused")
        unsafe kmalloc.value.kfree(nil)
    }

    private static func misuse(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        guard let object = unsafe SelfTest.require(kmalloc.value.kmalloc(64, .kernel), "an object") else { return }
        PageFrameTests.expect(.misalignedFree) { unsafe kmalloc.value.kfree(object + 8) }
        unsafe kmalloc.value.kfree(object)
        PageFrameTests.expect(.doubleFree) { unsafe kmalloc.value.kfree(object) }
        PageFrameTests.expect(.wildFree) {
            unsafe kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: image_data_start_address()))
        }
    }
}
