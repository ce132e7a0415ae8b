import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import LeakDetection

/// What is lost and what is not.
@Suite struct LeakTests {
    @Test func lostObjectIsReportedAtItsSecondScanWithWhoAllocatedIt() throws {
        let test = LeakMachine()
        test.machine.trace = [0x1111, 0x2222]
        try test.run {
            let lost = try #require(test.kmalloc(100))
            test.machine.trace = []
            let kept = try #require(test.kmalloc(100))
            test.data[3] = kept
            test.store(0x6867_6665_6463_6261, at: lost)
            let first = try #require(test.scan())
            #expect(first.leaks == 0 && first.waiting == 1)
            #expect(test.leaks == [])
            let second = try #require(test.scan())
            #expect(second.newLeaks == 1 && second.leaks == 1 && second.waiting == 0)
            #expect(test.leaks == [lost])
            let third = try #require(test.scan())
            #expect(third.newLeaks == 0 && third.leaks == 1)
            let leak = try #require(test.describe(lost))
            #expect(leak.isLeak && leak.byteCount == 112 && leak.cpu == 0)
            #expect(leak.trace[0] == 0x1111 && leak.trace[1] == 0x2222)
        }
        try test.check()
    }

    @Test func reportHasTheFormOfLinux() throws {
        let test = LeakMachine()
        test.machine.trace = [0x1111, 0x2222]
        try test.run {
            let lost = try #require(test.kmalloc(20))
            test.store(0x6867_6665_6463_6261, at: lost + 16)
            _ = test.scanForLeaks()
            let time = try #require(test.describe(lost)).time
            let now = SimulatedPlatform.cycleCounter + 1
            var writer = ReportText()
            test.detector.value.writeLeaks(to: &writer)
            #expect(
                writer.text == """
                    unreferenced object 0x\(hex: lost) (size 24):
                      comm "swapper/0", pid 0, cycles \(time) (age \(now - time))
                      hex dump (first 24 bytes):
                        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
                        61 62 63 64 65 66 67 68                          abcdefgh
                      backtrace:
                        0x0000000000001111
                        0x0000000000002222

                    """)
            writer = ReportText()
            test.detector.value.dump(lost + 23, to: &writer)
            let checksum = try #require(test.describe(lost)).checksum
            #expect(
                writer.text == """
                    kmemleak: Object 0x\(hex: lost) (size 24):
                      comm "swapper/0", pid 0, cycles \(time)
                      min_count = 1
                      count = 0
                      flags = 0x3
                      checksum = \(checksum)
                      backtrace:
                        0x0000000000001111
                        0x0000000000002222

                    """)
            writer = ReportText()
            test.detector.value.dump(8, to: &writer)
            #expect(writer.text == "kmemleak: Unknown object at 0x0000000000000008\n")
        }
    }

    @Test func listReachableThroughTheMiddleOfItsElementsIsNotLost() throws {
        let test = LeakMachine()
        try test.run {
            var elements: [UInt] = []
            for size: UInt in [24, 1000, 9000, 64] {
                let element = try #require(test.kmalloc(size))
                if let last = elements.last { test.store(element + size - 1, at: last + 8) }
                elements.append(element)
            }
            test.data[0] = elements[0] + 16
            #expect(test.scanForLeaks() == [])
            // One beyond the end is no reference, nor is what is not aligned.
            test.data[0] = elements[0] + 24
            test.data.withMemoryRebound(to: UInt8.self) { bytes in
                withUnsafeBytes(of: elements[0]) { word in for index in 0..<8 { bytes[100 + index] = word[index] } }
            }
            #expect(test.scanForLeaks() == elements.sorted())
            // A ring that nothing refers to is lost all the same.
            test.store(elements[0], at: elements[3])
            #expect(test.scanForLeaks() == elements.sorted())
            // Found again, it is not reported.
            test.data[0] = elements[2]
            #expect(test.scanForLeaks() == [])
        }
        try test.check()
    }

    @Test func stackRefersToObjects() throws {
        let test = LeakMachine()
        try test.run {
            let object = try #require(test.kmalloc(8))
            test.scan(stack: [1, object, 3])
            test.scan(stack: [1, object, 3])
            test.scan(stack: [1, object, 3])
            #expect(test.leaks == [])
            test.scan(stack: [1, 3])
            test.scan(stack: [1, 3])
            #expect(test.leaks == [object])
        }
    }

    @Test func changedObjectsWait() throws {
        let test = LeakMachine()
        try test.run {
            let object = try #require(test.kmalloc(4096))
            let other = try #require(test.kmalloc(64))
            for value in 1..<5 as Range<UInt> {
                // What a changing object refers to is in use as well.
                test.store(value << 32, at: object + 4088)
                test.store(other, at: object)
                let figures = try #require(test.scan())
                #expect(figures.waiting >= 1 && figures.leaks == 0)
            }
            let figures = try #require(test.scan())
            #expect(figures.leaks == 2)
            #expect(test.leaks == [object, other].sorted())
        }
    }

    @Test func freedObjectsVanish() throws {
        let test = LeakMachine()
        try test.run {
            let before = test.recordCount
            let objects = try (0..<300).map { _ in try #require(test.kmalloc(32)) }
            let large = try #require(test.kmalloc(100_000))
            #expect(test.recordCount == before + 301)
            test.scan()
            #expect(test.scan()?.leaks == 301)
            for object in objects { test.kfree(object) }
            test.kfree(large)
            #expect(test.recordCount == before)
            #expect(test.scan()?.leaks == 0)
            #expect(test.describe(objects[0]) == nil)
            // Who gets the memory next is new.
            let next = try #require(test.kmalloc(32))
            #expect(test.scan()?.leaks == 0)
            #expect(test.scanForLeaks() == [next])
        }
        try test.check()
    }

    @Test func marksAreObeyed() throws {
        let test = LeakMachine()
        try test.run {
            // Each refers to one that nothing else does.
            var holders: [UInt] = []
            var held: [UInt] = []
            for _ in 0..<4 {
                holders.append(try #require(test.kmalloc(64)))
                held.append(try #require(test.kmalloc(128)))
                test.store(held.last!, at: holders.last! + 56)
            }
            #expect(test.notLeak(holders[0]))
            #expect(test.ignore(holders[1]))
            #expect(test.noScan(holders[2]))
            test.data[0] = holders[2]
            test.data[1] = holders[3]
            #expect(test.scanForLeaks() == [held[1], held[2]].sorted())
            // Not the start of anything.
            #expect(!test.notLeak(holders[0] + 8) && !test.ignore(1) && !test.noScan(0))
            test.data[2] = held[1]
            test.data[3] = held[2]
            #expect(test.scanForLeaks() == [])
            // A mark goes with the memory.
            test.kfree(holders[0])
            let next = try #require(test.kmalloc(64))
            #expect(test.describe(next)?.minimumCount == 1)
        }
        try test.check()
    }

    /// What is not scanned refers to nothing, but can be lost like anything else, and so can what it has held.
    @Test func kmemleak_no_scanHidesReferences() throws {
        let test = LeakMachine()
        try test.run {
            let holder = try #require(test.kmalloc(64))
            let held = try #require(test.kmalloc(128))
            test.store(held, at: holder + 24)
            test.data[0] = holder
            #expect(test.scanForLeaks() == [])
            // Not of an address within it.
            test.detector.value.kmemleak_no_scan(UnsafeRawPointer(bitPattern: holder + 8)!)
            #expect(test.scanForLeaks() == [])
            test.detector.value.kmemleak_no_scan(UnsafeRawPointer(bitPattern: holder)!)
            #expect(test.scanForLeaks() == [held])
            test.data[0] = 0
            #expect(test.scanForLeaks() == [holder, held].sorted())
            test.data[0] = held
            #expect(test.scanForLeaks() == [holder])
            // The mark goes with the memory.
            test.kfree(holder)
            let next = try #require(test.kmalloc(64))
            test.store(held, at: next + 24)
            test.data[0] = next
            #expect(next != holder || test.scanForLeaks() == [])
        }
        try test.check()
    }

    @Test func memoryThatNoAllocatorTellsOf() throws {
        let test = LeakMachine()
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: 256)
        defer { memory.deallocate() }
        let start = UInt(bitPattern: memory)
        test.run {
            test.detector.value.kmemleak_alloc(memory, 256, 1)
            #expect(test.scanForLeaks() == [start])
            test.detector.value.kmemleak_free_part(memory + 64, 128)
            #expect(test.describe(start + 63)?.byteCount == 64)
            #expect(test.describe(start + 64) == nil && test.describe(start + 191) == nil)
            #expect(test.describe(start + 255)?.start == start + 192)
            #expect(test.scanForLeaks() == [start, start + 192])
            test.detector.value.kmemleak_not_leak(memory)
            test.detector.value.kmemleak_ignore(memory + 192)
            #expect(test.scanForLeaks() == [])
            test.detector.value.kmemleak_free(memory)
            test.detector.value.kmemleak_free(memory + 200)
            #expect(test.describe(start) == nil && test.describe(start + 200) != nil)
            // No bytes are no allocation.
            test.detector.value.kmemleak_alloc(memory, 0, 1)
            #expect(test.describe(start) == nil)
            test.detector.value.kmemleak_alloc(memory, 8, -7)
            #expect(test.describe(start)?.minimumCount == -1)
        }
        try test.check()
    }
}

extension String.StringInterpolation {
    /// Sixteen hexadecimal digits.
    mutating func appendInterpolation(hex number: UInt) {
        let digits = String(number, radix: 16)
        appendLiteral(String(repeating: "0", count: 16 - digits.count) + digits)
    }
}
