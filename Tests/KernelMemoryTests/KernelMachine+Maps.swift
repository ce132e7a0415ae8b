import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import KernelMemory
@testable import Slab
@testable import VirtualMemory

/// A line of the report `frames`.
struct FrameLine {
    var first: UInt
    var count: UInt
    var use: String
    var order: Int?
    var isDeferred: Bool
    var name: String?
}

/// A slab of the report `slabs`.
struct SlabLine {
    var cache: String
    var slot: UInt
    var objects: Int
    var base: UInt
    var used: Int
    /// A letter for each object.
    var states: String
}

/// An area of the report `areas`.
struct AreaLines {
    var start: UInt
    var end: UInt
    var kind: String
    var guardPages: UInt
    /// The frame behind each page that has one.
    var frames: [UInt: UInt] = [:]
    var demandPages: UInt = 0
}

/// The reports that maps are drawn from, read as a program reads them.
extension KernelMachine {
    func text(_ write: (inout TextWriter) -> Void) -> String {
        var writer = TextWriter()
        write(&writer)
        return writer.text
    }

    func reportLines(_ write: (inout TextWriter) -> Void) -> [String] {
        run { text(write) }.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    var mapScratch: MapScratch { MapScratch(in: scratchMemory) }

    func pointer(_ address: UInt) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }

    func frameLines() throws -> [FrameLine] {
        let lines = reportLines { memory.value.writeFrames(scratch: mapScratch, to: &$0) }
        let shape = /0x([0-9a-f]+)-0x([0-9a-f]+) (\d+) ([\w-]+)(?: order=(\d+))?( deferred)?(?: name=(.+))?/
        return try lines.filter { !$0.hasPrefix("zone ") }.map { line in
            let match = try #require(line.wholeMatch(of: shape), "\(line)")
            let first = try #require(UInt(match.1, radix: 16))
            let count = try #require(UInt(match.3))
            #expect(UInt(match.2, radix: 16) == first + count - 1)
            return FrameLine(
                first: first, count: count, use: String(match.4), order: match.5.flatMap { Int($0) },
                isDeferred: match.6 != nil, name: match.7.map(String.init))
        }
    }

    func slabLines() throws -> [SlabLine] {
        var slabs: [SlabLine] = []
        var cache = SlabLine(cache: "", slot: 0, objects: 0, base: 0, used: 0, states: "")
        for line in reportLines({ SlabMapReport.write(memory.value.kmalloc.value, to: &$0) }) {
            if let match = line.wholeMatch(of: /cache (\S+) object=\d+ slot=(\d+) order=\d+ objects=(\d+)/) {
                cache.cache = String(match.1)
                cache.slot = UInt(match.2)!
                cache.objects = Int(match.3)!
            } else {
                let match = try #require(line.wholeMatch(of: /slab 0x(\w+) frame=0x\w+ used=(\d+) states=(\S+)/))
                cache.base = UInt(match.1, radix: 16)!
                cache.used = Int(match.2)!
                cache.states = match.3.matches(of: /(\d*)([A.mqr])/).map { run in
                    String(repeating: String(run.2), count: Int(run.1) ?? 1)
                }.joined()
                slabs.append(cache)
            }
        }
        return slabs
    }

    func areaLines() throws -> [AreaLines] {
        var areas: [AreaLines] = []
        for line in reportLines({ memory.value.writeAreas(to: &$0) }) where !line.hasPrefix("region ") {
            let heading = /area 0x(\w+)-0x(\w+) guard=(\d+),(\d+) kind=(\w+) state=live promised=\d+ name=.*/
            if let match = line.wholeMatch(of: heading) {
                areas.append(
                    AreaLines(
                        start: UInt(match.1, radix: 16)!, end: UInt(match.2, radix: 16)!, kind: String(match.5),
                        guardPages: UInt(match.3)! + UInt(match.4)!))
                continue
            }
            let words = line.split(separator: " ")
            var page = try #require(UInt(words[0].dropFirst(2), radix: 16), "\(line)")
            if words[3] == "demand" { areas[areas.count - 1].demandPages += UInt(words[4])! }
            if words[3] == "demand" || words[3] == "guard" { continue }
            for word in words[3...] {
                let match = try #require(word.wholeMatch(of: /([0-9a-f]+)(?:([+-])(\d+))?/), "\(line)")
                for index in 0..<(match.3.flatMap { UInt($0) } ?? 1) {
                    let first = try #require(UInt(match.1, radix: 16))
                    areas[areas.count - 1].frames[page] = match.2 == "-" ? first - index : first + index
                    page += 4096
                }
            }
        }
        return areas
    }

    /// The frames of each cache's slabs, by its name, as the cache counts them. Within `run`.
    func slabPages() throws -> [String: UInt] {
        var pages: [String: UInt] = [:]
        memory.value.kmalloc.value.forEachCache { cache in
            let figures = cache.statistics
            pages[text { $0.write(figures.name) }, default: 0] += UInt(figures.slabs * figures.pagesPerSlab)
        }
        return pages.filter { $0.value > 0 }
    }
}
