import Quarry
import SimulatedKernel
import SimulatedMachine

/// Page frames: how free memory falls to pieces, and grows together again.
struct BuddyExperiment {
    let kernel: SimulatedKernel

    func run() throws(Finding) {
        print("\n== Page frames")
        try kernel.run { () throws(Finding) in
            let frames = kernel.frames
            // What the frame caches keep is free, and in no list: without it the lists say all.
            frames.value.drainFrameCaches()
            let before = buddyInfo(frames)
            print("Free blocks of 1, 2, 4, ... 1024 frames, as /proc/buddyinfo shows them:\n\(before)", terminator: "")
            report("before", frames)

            // Every second frame is given back, as where short-lived data lie among such that stays.
            let free = frames.value.freeFrames
            var taken: [PageFrameNumber] = []
            while UInt(taken.count) < free / 2, let frame = frames.value.allocate(order: 0, flags: .kernel | .noWarn) {
                taken.append(frame)
            }
            taken.sort { $0.rawValue < $1.rawValue }
            for (index, frame) in taken.enumerated() where index % 2 == 0 { frames.value.free(frame, order: 0) }
            frames.value.drainFrameCaches()
            let kept = stride(from: 1, to: taken.count, by: 2).map { taken[$0] }
            print(
                "\nHalf of memory is taken, frame by frame, and every second frame given back: \(kept.count) are kept.")
            print(buddyInfo(frames), terminator: "")
            report("fragmented", frames)
            print("Those frames are free, and a block of 2 of them cannot be had: their neighbours are in use.")

            for frame in kept { frames.value.free(frame, order: 0) }
            frames.value.drainFrameCaches()
            report("given back", frames)
            let after = buddyInfo(frames)
            print("Buddies have merged: the free blocks are \(after == before ? "those of before" : "others")")
            try expect(frames.value.freeFrames == free, "a frame was lost")
            try expect(after == before, "blocks have not merged")
        }
    }

    private func buddyInfo(_ frames: Permanent<PageFrameAllocator<SimulatedPlatform>>) -> String {
        var report = ReportText()
        BuddyInfoReport.write(frames.value, to: &report)
        return report.text
    }

    /// How much of free memory lies in blocks too small for 2, 16 and 512 frames together: the unusable free space index.
    private func report(_ moment: String, _ frames: Permanent<PageFrameAllocator<SimulatedPlatform>>) {
        var blocks = [UInt](repeating: 0, count: 11)
        for kind in [ZoneKind.dma, .dma32, .normal] {
            let zone = frames.value.statistics(of: kind)
            for order in 0..<11 { blocks[order] += UInt(zone.freeBlocks[order]) }
        }
        let free = blocks.enumerated().reduce(0 as UInt) { $0 + $1.element << UInt($1.offset) }
        let shares = [1, 4, 9].map { order in
            let usable = (order..<11).reduce(0 as UInt) { $0 + blocks[$1] << UInt($1) }
            return "order \(order): \((free - usable) * 1000 / max(free, 1))"
        }
        print("\(moment): \(free) frames free; of 1000, unusable for \(shares.joined(separator: ", "))")
    }
}
