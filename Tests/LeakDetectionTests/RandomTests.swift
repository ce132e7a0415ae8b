import LeakDetection
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

/// Random sequences, and what must be lost by a search of the test's own.
@Suite struct RandomTests {
    /// What the test knows of an allocation.
    private struct Known {
        var size: UInt
        /// Where within it words refer to others, and to what.
        var words: [UInt: UInt] = [:]
        var isUnchanged = 0
        var isNew = true
    }

    @Test func reachabilityIsWhatASearchFinds() throws {
        let test = LeakMachine(memory: 32 << 20)
        var generator = SeededGenerator.fromEnvironment(default: 0x1eaf)
        var known: [UInt: Known] = [:]
        var roots: [Int: UInt] = [:]
        try test.run {
            for step in 0..<6000 {
                switch Int.random(in: 0..<20, using: &generator) {
                case 0..<7:
                    let size = UInt.random(in: 8...600, using: &generator) & ~7
                    let address = try #require(test.kmalloc(size))
                    known[address] = Known(size: size)
                case 7..<10:
                    guard let victim = known.keys.sorted().randomElement(using: &generator) else { break }
                    known[victim] = nil
                    test.kfree(victim)
                case 10..<16:
                    // A word of one refers to anywhere within another, or to a freed one, or to nothing.
                    let all = known.keys.sorted()
                    guard let from = all.randomElement(using: &generator), let to = all.randomElement(using: &generator)
                    else { break }
                    let offset = UInt.random(in: 0..<known[from]!.size / 8, using: &generator) * 8
                    let word = to + UInt.random(in: 0..<known[to]!.size, using: &generator)
                    test.store(word, at: from + offset)
                    known[from]!.words[offset] = word
                case 16..<19:
                    let place = Int.random(in: 0..<40, using: &generator)
                    let word = known.keys.sorted().randomElement(using: &generator) ?? 0
                    roots[place] = Bool.random(using: &generator) ? word : 0
                    test.data[place] = roots[place]!
                default: break
                }
                if step % 500 == 499 { try compare(test, known, roots) }
            }
        }
        try test.check()
    }

    private func compare(_ test: LeakMachine, _ known: [UInt: Known], _ roots: [Int: UInt]) throws {
        let starts = known.keys.sorted()
        func object(_ word: UInt) -> UInt? {
            // The last that starts at or before the word.
            var low = 0
            var high = starts.count
            while low < high {
                let middle = (low + high) / 2
                if starts[middle] <= word { low = middle + 1 } else { high = middle }
            }
            guard low > 0 else { return nil }
            let start = starts[low - 1]
            let size = try? #require(test.describe(start)).byteCount
            return word - start < size ?? 0 ? start : nil
        }
        var reached: Set<UInt> = []
        var queue = roots.values.compactMap { object($0) }
        while let next = queue.popLast() {
            if reached.insert(next).inserted { queue += known[next]!.words.values.compactMap { object($0) } }
        }
        let wrong = Set(test.scanForLeaks()).symmetricDifference(Set(starts).subtracting(reached))
        #expect(wrong.count == 0, "\(wrong.prefix(5)) are or are not lost")
        try test.detector.value.checkInvariants()
    }

    /// Records that are cut, joined and replaced at random; nothing is read.
    @Test func recordsAreWhatIsAllocated() throws {
        let test = LeakMachine(memory: 8 << 20)
        var generator = SeededGenerator.fromEnvironment(default: 0x7ee)
        let base: UInt = 0x10_0000_0000
        // For each unit, the allocation that it belongs to, by number.
        var owner = [Int](repeating: 0, count: 256)
        try test.run {
            let before = test.recordCount
            for number in 1..<4000 {
                let start = Int.random(in: 0..<256, using: &generator)
                let count = Int.random(in: 1...min(24, 256 - start), using: &generator)
                let pointer = UnsafeRawPointer(bitPattern: base + UInt(start) * 16)!
                if Bool.random(using: &generator) {
                    test.detector.value.kmemleak_alloc(pointer, UInt(count) * 16, 1)
                    for unit in start..<start + count { owner[unit] = number }
                } else {
                    test.detector.value.kmemleak_free_part(pointer, UInt(count) * 16)
                    for unit in start..<start + count { owner[unit] = 0 }
                }
                guard number % 50 == 0 else { continue }
                try test.detector.value.checkInvariants()
                var runs = 0
                for unit in 0..<256 {
                    let isStart = owner[unit] != 0 && (unit == 0 || owner[unit - 1] != owner[unit])
                    if isStart { runs += 1 }
                    // Reads the first bytes of what it describes, which are not there: the record alone is asked for.
                    #expect(test.contains(base + UInt(unit) * 16 + 5) == (owner[unit] != 0))
                }
                #expect(test.recordCount == before + runs)
            }
        }
    }

    @Test func allocationsComeAndGoWhileScansRun() throws {
        let test = LeakMachine(memory: 32 << 20, cpuCount: 3)
        let generator = SeededGenerator.fromEnvironment(default: 0x5ca9)
        inParallel(3) { cpu in
            var generator = generator.forCPU(cpu)
            test.run(onCPU: cpu) {
                if cpu == 0 {
                    for _ in 0..<60 { test.scan() }
                    return
                }
                var held: [UInt] = []
                for _ in 0..<4000 {
                    if held.count < 100, let object = test.kmalloc(UInt.random(in: 1...9000, using: &generator)) {
                        held.append(object)
                    }
                    if Int.random(in: 0..<3, using: &generator) > 0, let object = held.popLast() { test.kfree(object) }
                }
                for object in held { test.kfree(object) }
            }
        }
        test.run { #expect(test.scanForLeaks() == []) }
        try test.check()
    }
}
