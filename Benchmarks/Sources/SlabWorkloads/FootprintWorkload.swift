import MemoryPrimitives
import PageFrames
import WorkloadSupport

/// Workload B once more, for the pages that it takes: each page that the page frames ever hand out, for objects or for
/// the slab's own use, counts once.
///
/// The page frames clear what they hand out, so that a page which bears a mark afterwards was never handed out.
enum FootprintWorkload {
    private static var mark: UInt { 0x5175_6172_7279_2e2e }
    private static var highestOrder: Int { 10 }

    static func run(_ draws: MixedDraws) {
        let host = HostMachine<HostPlatform>(checks: .zeroOnAllocation)
        let pages = MarkedPages(of: host, mark)
        let machine = SlabMachine(on: host)
        var workload = MixedWorkload(machine.objects)
        workload.run(draws)
        print("footprint\t\(pages.countUnmarked())\t\(draws.liveBytes)")
        pages.deallocate()
        machine.end()
    }

    /// All free pages of a machine.
    @safe
    private struct MarkedPages {
        private let mark: UInt
        private let directMap: DirectMap
        private let blocks: UnsafeMutablePointer<(frame: PageFrameNumber, order: Int)>
        private let count: Int

        /// Marks them: takes all blocks there are, the largest first, writes, and gives them back.
        init(of host: HostMachine<HostPlatform>, _ mark: UInt) {
            let frames = host.frames
            self.mark = mark
            directMap = frames.value.directMap
            // No more blocks than frames.
            unsafe blocks = UnsafeMutablePointer.allocate(capacity: Int(frames.value.freeFrames))
            var count = 0
            for order in stride(from: highestOrder, through: 0, by: -1) {
                while let frame = frames.value.allocate(order: order, flags: .kernel | .memoryReserves | .noWarn) {
                    unsafe (blocks + count).initialize(to: (frame, order))
                    count += 1
                    for word in 0..<Self.words << order {
                        unsafe Self.start(of: frame, directMap)[word] = mark
                    }
                }
            }
            expect(frames.value.freeFrames == 0, "a page could not be marked")
            for index in 0..<count { unsafe frames.value.free(blocks[index].frame, order: blocks[index].order) }
            self.count = count
        }

        private static var words: Int { Int(PageSize.byteCount) / MemoryLayout<UInt>.size }

        /// The block's memory, which the direct map covers.
        private static func start(of frame: PageFrameNumber, _ directMap: DirectMap) -> UnsafeMutablePointer<UInt> {
            unsafe directMap.pointer(to: frame).assumingMemoryBound(to: UInt.self)
        }

        /// The pages that do not bear the mark throughout.
        func countUnmarked() -> Int {
            var found = 0
            for index in 0..<count {
                let (frame, order) = unsafe blocks[index]
                for page in 0..<1 << order {
                    let words = unsafe Self.start(of: frame, directMap) + page * Self.words
                    var isMarked = true
                    for word in 0..<Self.words where unsafe words[word] != mark { isMarked = false }
                    if !isMarked { found += 1 }
                }
            }
            return found
        }

        func deallocate() { unsafe blocks.deallocate() }
    }
}
