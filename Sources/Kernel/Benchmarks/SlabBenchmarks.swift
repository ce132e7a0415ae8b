/// The rows of kmalloc. A new row is a line here and, for a call that has none yet, a `Benchmark` or a `SingleCall` in
/// SlabCalls.swift; docs/benchmarks.md says what else belongs to it.
enum SlabBenchmarks {
    static func run(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        knownSizes(kmalloc, runner)
        anySizes(kmalloc, runner)
        otherCalls(kmalloc, runner)
        reallocations(kmalloc, runner)
        loops(kmalloc, runner)
        batches(kmalloc, runner)
        fromSlabs(kmalloc, runner)
        runner.churn("kmalloc mixed 8..2048", KmallocOfAnySize(kmalloc: kmalloc))
    }

    private static func knownSizes(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        runner.hot("kmalloc(8) const", KmallocOfKnownSize<8>(kmalloc: kmalloc))
        runner.hot("kmalloc(16) const", KmallocOfKnownSize<16>(kmalloc: kmalloc))
        runner.hot("kmalloc(32) const", KmallocOfKnownSize<32>(kmalloc: kmalloc))
        runner.hot("kmalloc(64) const", KmallocOfKnownSize<64>(kmalloc: kmalloc))
        runner.hot("kmalloc(96) const", KmallocOfKnownSize<96>(kmalloc: kmalloc))
        runner.hot("kmalloc(128) const", KmallocOfKnownSize<128>(kmalloc: kmalloc))
        runner.hot("kmalloc(192) const", KmallocOfKnownSize<192>(kmalloc: kmalloc))
        runner.hot("kmalloc(256) const", KmallocOfKnownSize<256>(kmalloc: kmalloc))
        runner.hot("kmalloc(512) const", KmallocOfKnownSize<512>(kmalloc: kmalloc))
        runner.hot("kmalloc(1024) const", KmallocOfKnownSize<1024>(kmalloc: kmalloc))
        runner.hot("kmalloc(2048) const", KmallocOfKnownSize<2048>(kmalloc: kmalloc))
        runner.hot("kmalloc(4096) const", KmallocOfKnownSize<4096>(kmalloc: kmalloc))
        runner.hot("kmalloc(8192) const", KmallocOfKnownSize<8192>(kmalloc: kmalloc))
    }

    private static func anySizes(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        runner.hot("kmalloc(8) var", KmallocOfAnySize(kmalloc: kmalloc, size: 8))
        runner.hot("kmalloc(16) var", KmallocOfAnySize(kmalloc: kmalloc, size: 16))
        runner.hot("kmalloc(32) var", KmallocOfAnySize(kmalloc: kmalloc, size: 32))
        runner.hot("kmalloc(64) var", KmallocOfAnySize(kmalloc: kmalloc, size: 64))
        runner.hot("kmalloc(96) var", KmallocOfAnySize(kmalloc: kmalloc, size: 96))
        runner.hot("kmalloc(128) var", KmallocOfAnySize(kmalloc: kmalloc, size: 128))
        runner.hot("kmalloc(192) var", KmallocOfAnySize(kmalloc: kmalloc, size: 192))
        runner.hot("kmalloc(256) var", KmallocOfAnySize(kmalloc: kmalloc, size: 256))
        runner.hot("kmalloc(512) var", KmallocOfAnySize(kmalloc: kmalloc, size: 512))
        runner.hot("kmalloc(1024) var", KmallocOfAnySize(kmalloc: kmalloc, size: 1024))
        runner.hot("kmalloc(2048) var", KmallocOfAnySize(kmalloc: kmalloc, size: 2048))
        runner.hot("kmalloc(4096) var", KmallocOfAnySize(kmalloc: kmalloc, size: 4096))
        runner.hot("kmalloc(8192) var", KmallocOfAnySize(kmalloc: kmalloc, size: 8192))
        runner.hot("kmalloc(16384) var", KmallocOfAnySize(kmalloc: kmalloc, size: 16384))
        runner.hot("kmalloc(65536) var", KmallocOfAnySize(kmalloc: kmalloc, size: 65536))
    }

    private static func otherCalls(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        runner.hot("kzalloc(64) const", KzallocOfKnownSize<64>(kmalloc: kmalloc))
        runner.hot("kzalloc(4096) const", KzallocOfKnownSize<4096>(kmalloc: kmalloc))
        runner.hot("kmalloc(64) GFP_ATOMIC", KmallocAtomically(kmalloc: kmalloc))
        runner.hot("kmalloc(64) GFP_KERNEL_ACCOUNT", KmallocAccounted(kmalloc: kmalloc))
        runner.shortSingle("ksize(64)", Ksize(kmalloc: kmalloc))
    }

    private static func reallocations(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        runner.shortSingle("krealloc 8->16", Krealloc(kmalloc: kmalloc, old: 8, new: 16))
        runner.shortSingle("krealloc 16->32", Krealloc(kmalloc: kmalloc, old: 16, new: 32))
        runner.shortSingle("krealloc 32->64", Krealloc(kmalloc: kmalloc, old: 32, new: 64))
        runner.shortSingle("krealloc 64->128", Krealloc(kmalloc: kmalloc, old: 64, new: 128))
        runner.shortSingle("krealloc 128->256", Krealloc(kmalloc: kmalloc, old: 128, new: 256))
        runner.shortSingle("krealloc 256->512", Krealloc(kmalloc: kmalloc, old: 256, new: 512))
        runner.shortSingle("krealloc 512->1024", Krealloc(kmalloc: kmalloc, old: 512, new: 1024))
        runner.shortSingle("krealloc 1024->2048", Krealloc(kmalloc: kmalloc, old: 1024, new: 2048))
        runner.shortSingle("krealloc 2048->4096", Krealloc(kmalloc: kmalloc, old: 2048, new: 4096))
        runner.shortSingle("krealloc 4096->8192", Krealloc(kmalloc: kmalloc, old: 4096, new: 8192))
        runner.shortSingle("krealloc 40->60 in place", Krealloc(kmalloc: kmalloc, old: 40, new: 60))
    }

    private static func loops(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        runner.loop("kmalloc(8) const", KmallocOfKnownSize<8>(kmalloc: kmalloc))
        runner.loop("kmalloc(64) const", KmallocOfKnownSize<64>(kmalloc: kmalloc))
    }

    private static func fromSlabs(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        fromSlabs("kmalloc(64)", 64, kmalloc, runner)
        fromSlabs("kmalloc(1024)", 1024, kmalloc, runner)
        fromSlabs("kmalloc(8192)", 8192, kmalloc, runner)
    }

    private static func fromSlabs(
        _ name: StaticString, _ size: UInt, _ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner
    ) {
        runner.fromSlabs(name, KmallocOfAnySize(kmalloc: kmalloc, size: size)) {
            kmalloc.shrink()
        }
    }

    private static func batches(_ kmalloc: MeasuredKmalloc, _ runner: BenchmarkRunner) {
        batch("kmalloc(8)", KmallocOfAnySize(kmalloc: kmalloc, size: 8), runner)
        batch("kmalloc(16)", KmallocOfAnySize(kmalloc: kmalloc, size: 16), runner)
        batch("kmalloc(32)", KmallocOfAnySize(kmalloc: kmalloc, size: 32), runner)
        batch("kmalloc(64)", KmallocOfAnySize(kmalloc: kmalloc, size: 64), runner)
        batch("kmalloc(96)", KmallocOfAnySize(kmalloc: kmalloc, size: 96), runner)
        batch("kmalloc(128)", KmallocOfAnySize(kmalloc: kmalloc, size: 128), runner)
        batch("kmalloc(192)", KmallocOfAnySize(kmalloc: kmalloc, size: 192), runner)
        batch("kmalloc(256)", KmallocOfAnySize(kmalloc: kmalloc, size: 256), runner)
        batch("kmalloc(512)", KmallocOfAnySize(kmalloc: kmalloc, size: 512), runner)
        batch("kmalloc(1024)", KmallocOfAnySize(kmalloc: kmalloc, size: 1024), runner)
        batch("kmalloc(2048)", KmallocOfAnySize(kmalloc: kmalloc, size: 2048), runner)
        batch("kmalloc(4096)", KmallocOfAnySize(kmalloc: kmalloc, size: 4096), runner)
        batch("kmalloc(8192)", KmallocOfAnySize(kmalloc: kmalloc, size: 8192), runner)
    }

    private static func batch<Tested: Benchmark>(_ name: StaticString, _ tested: Tested, _ runner: BenchmarkRunner) {
        runner.batches(name, tested, count: 1000)
        runner.batches(name, tested, count: 10_000)
    }
}
