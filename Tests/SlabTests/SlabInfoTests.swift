import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Lines of Linux's `/proc/slabinfo` (Debian 12, Linux 6.1.192): the heading, and caches with names and numbers of all
/// widths. The last three are from a kernel booted with `slub_debug=FZPU`.
private let linuxReport = """
    slabinfo - version: 2.1
    # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
    request_sock_subflow_v6      0      0    384   10    1 : tunables    0    0    0 : slabdata      0      0      0
    RAWv6                 13     13   1216   13    4 : tunables    0    0    0 : slabdata      1      1      0
    inode_cache         9900   9900    640   12    2 : tunables    0    0    0 : slabdata    825    825      0
    dentry             10038  10038    192   21    1 : tunables    0    0    0 : slabdata    478    478      0
    kmalloc-8k            12     12   8192    4    8 : tunables    0    0    0 : slabdata      3      3      0
    kmalloc-8           1535   1536      8  512    1 : tunables    0    0    0 : slabdata      3      3      0
    RAWv6                  5     11   1408   11    4 : tunables    0    0    0 : slabdata      1      1      0
    dma-kmalloc-8k         0      0  24576    1    8 : tunables    0    0    0 : slabdata      0      0      0
    kmalloc-8           1148   1152    112   36    1 : tunables    0    0    0 : slabdata     32     32      0

    """

/// A report as text.
private struct Text: ReportWriter {
    private var bytes: [UInt8] = []

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n").map(String.init) }
}

@Suite struct SlabInfoTests {
    /// Linux's names, which are no literals here.
    private static func name(_ name: String) -> CacheName {
        switch name {
        case "request_sock_subflow_v6": CacheName("request_sock_subflow_v6")
        case "RAWv6": CacheName("RAWv6")
        case "inode_cache": CacheName("inode_cache")
        case "dentry": CacheName("dentry")
        case "kmalloc-8k": CacheName("kmalloc-8k")
        case "dma-kmalloc-8k": CacheName("dma-kmalloc-8k")
        default: CacheName("kmalloc-8")
        }
    }

    @Test func theReportIsLinuxsToTheByte() throws {
        var text = Text()
        SlabInfoReport.writeHeading(to: &text)
        for line in linuxReport.split(separator: "\n").dropFirst(2) {
            let words = line.split(separator: " ").map(String.init)
            let numbers = words.compactMap { Int($0) }
            SlabInfoReport.write(
                SlabCacheStatistics(
                    name: Self.name(words[0]), objectSize: UInt(numbers[2]), objectsPerSlab: numbers[3],
                    pagesPerSlab: numbers[4], activeObjects: numbers[0], cachedObjects: 0, totalObjects: numbers[1],
                    slabs: numbers[9], activeSlabs: numbers[8], slabsFetched: 0, slabsReturned: 0), to: &text)
        }
        #expect(text.text == linuxReport)
    }

    /// The numbers of a line by Linux's names, of the cache with that name.
    private func line(_ name: String, _ test: TestMachine) throws -> [String: Int] {
        let lines = report(test)
        let words = try #require(lines.first { $0.hasPrefix(name + " ") }).split(separator: " ").map(String.init)
        let names = ["active_objs", "num_objs", "objsize", "objperslab", "pagesperslab"]
        var numbers = Dictionary(uniqueKeysWithValues: zip(names, words[1...5].map { Int($0)! }))
        numbers["active_slabs"] = Int(words[13])
        numbers["num_slabs"] = Int(words[14])
        return numbers
    }

    private func report(_ test: TestMachine) -> [String] {
        var text = Text()
        test.run { SlabInfoReport.write(test.kmalloc.target.value, to: &text) }
        return text.lines
    }

    @Test func everyCacheHasALine() throws {
        let test = TestMachine()
        let lines = report(test)
        #expect(lines.count == 2 + test.run { test.kmalloc.statistics.count })
        let shape = try Regex(
            #"[a-z0-9_-]+ +\d+ +\d+ +\d+ +\d+ +\d+ : tunables    0    0    0 : slabdata +\d+ +\d+      0"#)
        for line in lines.dropFirst(2) { #expect(try shape.wholeMatch(in: line) != nil) }
    }

    @Test(arguments: classSizes)
    func numbersAreWhatIsThere(size: UInt) throws {
        let test = TestMachine()
        let sizeClass = try #require(SizeClass(fitting: size))
        let unit = size >= 1024 && size % 1024 == 0
        let name = "kmalloc-" + (unit ? "\(size / 1024)k" : "\(size)")
        #expect(try line(name, test)["num_objs"] == 0)
        let before = test.run { test.frames.freeFrames }
        let headers = test.run { test.kmalloc.headerFigures.pages }
        let objects = try test.run { try (0..<700).map { _ in try #require(test.kmalloc.allocate(size)) } }
        let taken = before - test.run { test.frames.freeFrames }
        let found = try line(name, test)
        #expect(found["objsize"] == Int(sizeClass.byteCount) && found["active_objs"] == 700)
        #expect(found["num_objs"] == found["num_slabs"]! * found["objperslab"]!)
        #expect(found["num_objs"]! >= 700 && found["active_slabs"]! <= found["num_slabs"]!)
        // To the frame.
        let newHeaders = test.run { test.kmalloc.headerFigures.pages } - headers
        #expect(UInt(found["num_slabs"]! * found["pagesperslab"]!) == taken - newHeaders)
        test.run {
            for object in objects { test.kmalloc.free(object) }
            test.kmalloc.shrink()
        }
        let empty = try line(name, test)
        #expect(empty["num_objs"] == 0 && empty["active_objs"] == 0 && empty["num_slabs"] == 0)
    }

    /// A cache whose slots are larger than its objects, because of what debugging keeps there, shows the slots.
    @Test func slotsOfDebuggedCachesAreShown() throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "FZPU,kmalloc-8"))
        try test.run {
            #expect(test.kmalloc.allocate(8) != nil)
            let found = try line("kmalloc-8", test)
            let slot = try #require(found["objsize"])
            #expect(slot > 100 && found["active_objs"] == 1)
            #expect(try line("kmalloc-16", test)["objsize"] == 16)
        }
    }

    // MARK: Frames

    private func figures(_ test: TestMachine) -> SlabFrameFigures {
        test.run { test.kmalloc.target.value.frameFigures }
    }

    /// All that kmalloc has taken, from the first frame on, on one CPU and on many.
    @Test(arguments: [1, 7, 64])
    func everyFrameIsCounted(cpuCount: Int) throws {
        let test = TestMachine(memory: 64 << 20, cpuCount: cpuCount, startsKmalloc: false)
        let free = test.run { test.frames.freeFrames }
        #expect(test.startKmalloc())
        #expect(figures(test).total == free - test.run { test.frames.freeFrames })
        #expect(figures(test).unreclaimable == 0 && figures(test).largeBlocks == 0)
        var generator = SeededGenerator.fromEnvironment(default: 31)
        var objects: [UnsafeMutableRawPointer] = []
        for _ in 0..<60 {
            test.run {
                for _ in 0..<40 {
                    let size = UInt.random(in: 1...20_000, using: &generator)
                    let flags: AllocationFlags =
                        Int.random(in: 0..<10, using: &generator) == 0 ? .kernel | .dma : .kernel
                    if Bool.random(using: &generator), let object = test.kmalloc.allocate(size, flags: flags) {
                        objects.append(object)
                    } else if let index = objects.indices.randomElement(using: &generator) {
                        test.kmalloc.free(objects.remove(at: index))
                    }
                }
            }
            #expect(figures(test).total == free - test.run { test.frames.freeFrames })
        }
        #expect(figures(test).unreclaimable > 0 && figures(test).largeBlocks > 0)
        test.run {
            for object in objects { test.kmalloc.free(object) }
            test.kmalloc.shrink()
        }
        #expect(figures(test).total == free - test.run { test.frames.freeFrames })
        #expect(figures(test).unreclaimable == 0 && figures(test).largeBlocks == 0)
    }

    /// What can be given back under pressure is what caches were made for that hold such objects, and nothing else.
    @Test func reclaimableFramesAreToldApart() throws {
        let test = TestMachine()
        try test.run {
            for flags in [CacheFlags.none, .dma, .noMerge, .reclaimable, .reclaimable | .dma] {
                let cache = try test.kmalloc.makeCache("frames", 2000, flags)
                let before = figures(test)
                let objects = try #require(cache.allocateAll(50))
                let frames = UInt(cache.statistics.slabs * cache.statistics.pagesPerSlab)
                let after = figures(test)
                let isReclaimable = flags.contains(.reclaimable)
                #expect(after.reclaimable == before.reclaimable + (isReclaimable ? frames : 0))
                #expect(after.unreclaimable == before.unreclaimable + (isReclaimable ? 0 : frames))
                cache.freeAll(objects)
                #expect(test.kmalloc.destroyCache(cache))
            }
        }
    }
}
