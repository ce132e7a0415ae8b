import BootMemory
import DeviceMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory

/// What the command line asks for. docs/boot.md lists the words.
struct BootParameters {
    var logLevel = LogLevel.info
    var runsSelfTests = true
    /// Whether a person is asked what to do, instead of testing.
    var runsMonitor = false
    /// What to measure instead of testing; nil for nothing.
    var benchmarks: BenchmarkSelection?
    /// Whether the regions of the address space lie where chance puts them.
    var drawsLayout = true
    /// How the page frames are to work, and what is checked of them.
    var frames = PageFrameOptions()
    /// How caches and kmalloc are to work, and what is checked of them.
    var slab = SlabOptions()
    /// How kernel stacks are to be.
    var stacks = StackOptions()
    /// How memory is given to devices.
    var dma = DMAOptions()
    /// What a first touch brings.
    var vmalloc = VmallocOptions()
    /// How many pages of freed areas may wait for a purge; nil for the usual number.
    var purgeThreshold: UInt?
    /// Whether lost memory is looked for, and how.
    var leaks = LeakParameters()
    /// How often free memory is tested; 0 for not at all.
    var memoryTestPasses: UInt = 0
    /// How many allocations and frees are made to have something to see; 0 for none.
    var sampleSteps: UInt = 0
    /// Whether memory of each kind is taken before that.
    var isExercised = false
    /// What is printed after bring-up.
    var reports = ReportSelection()
    /// How to end on purpose; nil for an ordinary boot.
    var crash: CrashTest?

    /// Reads the words; what is unknown or malformed is named in a warning and otherwise passed over.
    @inline(never)
    init(_ line: CommandLine) {
        for word in line.words {
            do throws(CommandLineError) {
                if !(try apply(word)) { unsafe Log.warning("command line: unknown word \"\(word.bytes)\"") }
            } catch {
                Self.warn(of: error)
            }
        }
    }

    private mutating func apply(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("mem") || word.hasKey("memmap") || word.hasKey("no5lvl") && !word.hasValue {
            // FirmwareMap reads them; no5lvl has done its work in boot/entry.S.
        } else if word.hasKey("min_free_kbytes") {
            frames.minimumFreeKiB = try word.number()
        } else if word.hasKey("vmalloc_purge") {
            purgeThreshold = try word.number()
        } else if word.hasKey("cma") {
            frames.contiguousByteCount = try word.size()
        } else if (word.hasKey("kaslr") || word.hasKey("nokaslr")) && !word.hasValue {
            drawsLayout = word.hasKey("kaslr")
        } else if word.hasKey("loglevel") {
            logLevel = LogLevel(number: try word.number())
        } else if word.hasKey("memtest") {
            // Alone it means each pattern once, as in Linux.
            memoryTestPasses = word.hasValue ? try word.number() : MemoryTest.patternCount
        } else if word.hasKey("report") {
            if !word.hasValue { throw CommandLineError(kind: .valueMissing, word: word) }
            for item in word.items { select(item) }
        } else if word.hasKey("sample") {
            sampleSteps = min(word.hasValue ? try word.number() : MemorySample.usualSteps, MemorySample.largestSteps)
        } else if word.hasKey("exercise") {
            isExercised = try word.flag()
        } else if word.hasKey("selftest") {
            runsSelfTests = try word.flag()
        } else if word.hasKey("monitor") {
            runsMonitor = try word.flag()
        } else if word.hasKey("bench") {
            benchmarks = word.hasValue("demand") ? .demand : try word.flag() ? .calls : nil
        } else if word.hasKey("fault_around") {
            vmalloc.setFaultAround(byteCount: try word.size())
        } else if word.hasKey("nohugevmalloc") && !word.hasValue {
            vmalloc.mapsLargePages = false
        } else if word.hasKey("kmemleak") {
            try leaks.read(word)
        } else if word.hasKey("crash") {
            crash = CrashTest(named: word)
            if crash == nil { return false }
        } else {
            return try applyToDMA(word) ? true : try applyToFrames(word)
        }
        return true
    }

    /// The words that choose checks of page frames; Linux's names, and its `page_owner=on` as any other switch.
    private mutating func applyToFrames(_ word: Word) throws(CommandLineError) -> Bool {
        if word.hasKey("page_poison") {
            choose(.poison, try word.flag())
        } else if word.hasKey("init_on_alloc") {
            slab.zeroOnAllocation = try word.flag()
            choose(.zeroOnAllocation, slab.zeroOnAllocation)
        } else if word.hasKey("init_on_free") {
            slab.zeroOnFree = try word.flag()
            choose(.zeroOnFree, slab.zeroOnFree)
        } else if word.hasKey("page_owner") {
            choose(.owners, try word.flag())
        } else if word.hasKey("debug_guardpage") {
            choose(.guardPages, try word.flag())
        } else if word.hasKey("fail_page_alloc") {
            frames.failedRequest = try Self.failedRequest(word)
        } else {
            let isOfStacks = try applyToStacks(word)
            return isOfStacks ? true : try applyToSlab(word)
        }
        return true
    }

    private mutating func choose(_ check: FrameChecks, _ isChosen: Bool) {
        if isChosen { frames.checks.formUnion(check) } else { frames.checks.subtract(check) }
    }

    /// The number in `nth:N`.
    private static func failedRequest(_ word: Word) throws(CommandLineError) -> UInt {
        guard var scanner = word.scanner else { throw CommandLineError(kind: .valueMissing, word: word) }
        guard scanner.accept(UInt8(ascii: "n")), scanner.accept(UInt8(ascii: "t")), scanner.accept(UInt8(ascii: "h")),
            scanner.accept(UInt8(ascii: ":")), let number = scanner.number(), scanner.isAtEnd
        else {
            throw CommandLineError(kind: .notANumber, word: word)
        }
        return number
    }

    private mutating func select(_ item: Word) {
        guard let report = Report(named: item) else {
            return unsafe Log.warning("command line: unknown report \"\(item.bytes)\"")
        }
        reports.insert(report)
    }

    /// Names a word that does not mean what it should.
    static func warn(of error: CommandLineError) {
        unsafe Log.warning("command line: \"\(error.word.bytes)\" \(reason(error.kind)); ignored")
    }

    private static func reason(_ kind: CommandLineError.Kind) -> StaticString {
        switch kind {
        case .valueMissing: "needs a value"
        case .notANumber: "is not a number"
        case .notASize: "is not a size"
        case .notAChoice: "is none of the values that there are"
        case .notAStackSize: "is not 8K to 64K in whole pages"
        case .notAGuardGap: "is not 1 to 1024 pages"
        case .notAFlag: "is neither on nor off"
        case .notAMemoryRange: "has a part that is not SIZE, SIZE@START, SIZE#START, SIZE$START or SIZE!START"
        }
    }
}
