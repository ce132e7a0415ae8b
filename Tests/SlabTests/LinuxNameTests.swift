import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct LinuxNameTests {
    @Test func sizesAreRoundedAsKmallocDoes() throws {
        let test = TestMachine()
        try test.run {
            for size in [1, 7, 8, 9, 65, 100, 1000, 8191, 8192, 8193, 16384, 100_000, 4 << 20] as [UInt] {
                let pointer = try #require(test.kmalloc.allocate(size))
                #expect(test.kmalloc.kmalloc_size_roundup(size) == test.kmalloc.size(of: pointer), "\(size)")
                test.kmalloc.free(pointer)
            }
            for size in [0, 4 << 20 + 1, UInt.max] as [UInt] {
                #expect(test.kmalloc.kmalloc_size_roundup(size) == size)
            }
            #expect(Allocator.KMALLOC_MAX_SIZE == 4 << 20)
            #expect(Allocator.ZERO_SIZE_PTR == test.kmalloc.allocate(0))
        }
    }

    @Test func arraysAndNodes() throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.allocate(100))
            pointer.fill(100, seed: 5)
            for (n, size) in [(UInt.max, 2), (1 << 33, 1 << 33), (3, UInt.max / 2)] as [(UInt, UInt)] {
                #expect(test.kmalloc.krealloc_array(pointer, n, size) == nil)
            }
            #expect(pointer.isFilled(100, seed: 5, checked: 100))
            let grown = try #require(test.kmalloc.krealloc_array(pointer, 100, 9))
            #expect(grown.isFilled(100, seed: 5, checked: 100))
            #expect(test.kmalloc.krealloc_array(grown, 0, 9) == Allocator.ZERO_SIZE_PTR)
            for node in [-1, 0] {
                let zeroed = try #require(test.kmalloc.kzalloc_node(100, node))
                #expect(zeroed.isZero(100))
                test.kmalloc.free(zeroed)
            }
            for node in [1, -2, .min] { #expect(test.kmalloc.kmalloc_node(100, node) == nil) }
            #expect(test.violations().isEmpty)
        }
    }

    @Test func copies() throws {
        let test = TestMachine()
        try test.run {
            let before = test.counters()
            for size in [1, 8, 63, 9000] as [UInt] {
                let source = UnsafeMutableRawPointer.allocate(byteCount: Int(size), alignment: 8)
                defer { source.deallocate() }
                source.fill(size, seed: 77)
                let copy = try #require(test.kmalloc.kmemdup(source, size))
                #expect(copy.isFilled(size, seed: 77, checked: size))
                test.kmalloc.free(copy)
                #expect(test.kmalloc.kmemdup(source, 0) == Allocator.ZERO_SIZE_PTR)
            }
            for text in ["", "a", "seven b", String(repeating: "long ", count: 500)] {
                let copy = try #require(test.kmalloc.kstrdup(text))
                #expect(String(cString: copy) == text)
                test.kmalloc.free(copy)
                let part = try #require(test.kmalloc.kstrndup(text, 3))
                #expect(String(cString: part) == String(text.prefix(3)))
                test.kmalloc.free(part)
            }
            #expect(test.kmalloc.kstrdup(nil) == nil)
            test.kmalloc.shrink()
            let taken = test.exhaust()
            #expect(test.kmalloc.kstrdup("text") == nil)
            test.giveBack(taken)
            #expect(test.freeFrames == UInt(before[0]))
            #expect(test.violations().isEmpty)
        }
    }

    @Test(arguments: [8, 100, 4096, 8192, 20_000] as [UInt])
    func sensitiveMemoryIsWiped(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            let pointer = try #require(test.kmalloc.allocate(size))
            let whole = test.kmalloc.size(of: pointer)
            pointer.fill(whole, seed: 9)
            test.kmalloc.kfree_sensitive(pointer)
            #expect(pointer.isZero(whole))
            // kmalloc_double_kzfree: one report, and nobody else's memory is touched.
            pointer.fill(whole, seed: 9)
            test.kmalloc.kfree_sensitive(pointer)
            #expect(test.violations().map(\.kind) == [.doubleFree])
            #expect(pointer.isFilled(whole, seed: 9, checked: whole))
            test.kmalloc.kfree_sensitive(nil)
            test.kmalloc.kfree_sensitive(Allocator.ZERO_SIZE_PTR)
            #expect(test.violations().isEmpty)
        }
    }

    /// KASAN's krealloc_more, krealloc_less and krealloc_uaf, kfree_via_page and kmem_cache_double_free: what a checker
    /// without shadow memory can see of them.
    @Test func kasanCases() throws {
        let test = TestMachine()
        try test.run {
            for (old, new) in [(201, 235), (235, 201), (8192, 8300), (8300, 8192), (20_000, 40_000), (40_000, 20_000)]
                as [(UInt, UInt)]
            {
                let pointer = try #require(test.kmalloc.allocate(old))
                pointer.fill(min(old, new), seed: 1)
                let moved = try #require(test.kmalloc.krealloc(pointer, new, .kernel))
                #expect(test.kmalloc.size(of: moved) >= new)
                #expect(moved.isFilled(min(old, new), seed: 1, checked: min(old, new)))
                moved.fill(new, seed: 2)
                if moved != pointer {
                    #expect(test.kmalloc.krealloc(pointer, old, .kernel) == nil)
                    #expect(test.violations().map(\.kind) == [.doubleFree])
                }
                test.kmalloc.free(moved)
                #expect(test.kmalloc.krealloc(moved, new, .kernel) == nil)
                #expect(test.violations().map(\.kind) == [.doubleFree])
            }
            // An object through its page; a page through kfree.
            let object = try #require(test.kmalloc.allocate(1024))
            let frame = PageFrameNumber(rawValue: (object.address - test.directMap.base) >> 12)
            test.frames.free(frame, order: 0)
            #expect(test.violations().count == 1)
            test.kmalloc.free(object)
            let page = try #require(test.frames.allocate(order: 0))
            test.kmalloc.free(test.directMap.pointer(to: page))
            #expect(test.violations().map(\.kind) == [.wildFree])
            try test.kmalloc.checkInvariants()
        }
    }
}
