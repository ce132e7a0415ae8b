import MemoryPrimitives
import PageFrames

/// The rows of the page frames. A new row is a line here and, for a call that has none yet, a `Benchmark` in
/// PageFrameCalls.swift; docs/benchmarks.md says what else belongs to it.
enum PageFrameBenchmarks {
    static func run(_ frames: MeasuredFrames, _ runner: BenchmarkRunner) {
        everyOrder(frames, runner)
        batches(frames, runner)
        otherCalls(frames, runner)
        loops(frames, runner)
        var runner = runner
        runner.prefix = "nopcp "
        setFrameCaches(of: frames, enabled: false)
        everyOrder(frames, runner)
        batches(frames, runner)
        setFrameCaches(of: frames, enabled: true)
    }

    private static func everyOrder(_ frames: MeasuredFrames, _ runner: BenchmarkRunner) {
        runner.hot("alloc_pages order 0", AllocPages<0>(frames: frames))
        runner.hot("alloc_pages order 1", AllocPages<1>(frames: frames))
        runner.hot("alloc_pages order 2", AllocPages<2>(frames: frames))
        runner.hot("alloc_pages order 3", AllocPages<3>(frames: frames))
        runner.hot("alloc_pages order 4", AllocPages<4>(frames: frames))
        runner.hot("alloc_pages order 5", AllocPages<5>(frames: frames))
        runner.hot("alloc_pages order 6", AllocPages<6>(frames: frames))
        runner.hot("alloc_pages order 7", AllocPages<7>(frames: frames))
        runner.hot("alloc_pages order 8", AllocPages<8>(frames: frames))
        runner.hot("alloc_pages order 9", AllocPages<9>(frames: frames))
        runner.hot("alloc_pages order 10", AllocPages<10>(frames: frames))
    }

    private static func batches(_ frames: MeasuredFrames, _ runner: BenchmarkRunner) {
        runner.batches("alloc_pages order 0", AllocPages<0>(frames: frames), count: 1000)
        runner.batches("alloc_pages order 0", AllocPages<0>(frames: frames), count: 10_000)
        runner.batches("alloc_pages order 1", AllocPages<1>(frames: frames), count: 1000)
        runner.batches("alloc_pages order 3", AllocPages<3>(frames: frames), count: 1000)
        runner.batches("alloc_pages order 4", AllocPages<4>(frames: frames), count: 1000)
        runner.batches("alloc_pages order 9", AllocPages<9>(frames: frames), count: 50)
    }

    private static func otherCalls(_ frames: MeasuredFrames, _ runner: BenchmarkRunner) {
        runner.hot("alloc_pages order 0 __GFP_ZERO", AllocZeroedPage(frames: frames))
        runner.hot("alloc_pages order 0 GFP_ATOMIC", AllocPageAtomically(frames: frames))
        runner.hot("alloc_pages order 0 ZONE_DMA", AllocPageForDMA(frames: frames))
        runner.hot("__alloc_pages(GFP_KERNEL,0,0,NULL)", AllocPageOfNode(frames: frames))
        runner.hot("get_free_page/free_page", GetFreePage(frames: frames))
    }

    private static func loops(_ frames: MeasuredFrames, _ runner: BenchmarkRunner) {
        runner.loop("alloc_pages order 0", AllocPages<0>(frames: frames))
        runner.loop("__alloc_pages order 0", AllocPageOfNode(frames: frames))
        runner.loop("alloc_pages order 4", AllocPages<4>(frames: frames))
    }
}
