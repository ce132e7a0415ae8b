import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine

/// What was in use at a moment of a replay.
public struct ReplaySample: Sendable {
    /// The trace's time, in microseconds.
    public var time: UInt64
    public var usedFrames: UInt
    public var freeFrames: UInt
    /// Bytes of objects that are in use, as they were asked for.
    public var liveBytes: UInt
    /// The share of the free frames, 0 to 1, that cannot be had in blocks of order 3, and of order 9.
    public var unusable: (order3: Double, order9: Double)

    init(time: UInt64, frames: borrowing PageFrameAllocator<SimulatedPlatform>, liveBytes: UInt) {
        self.time = time
        self.liveBytes = liveBytes
        var free: UInt = 0
        var large: (UInt, UInt) = (0, 0)
        for kind in [ZoneKind.dma, .dma32, .normal] {
            let statistics = frames.statistics(of: kind)
            free += statistics.freeFrames
            // What no one has used yet is whole.
            large.0 += statistics.deferredFrames
            large.1 += statistics.deferredFrames
            for order in 0...10 {
                let inBlocks = statistics.freeBlocks[order] << UInt(order)
                if order >= 3 { large.0 += inBlocks }
                if order >= 9 { large.1 += inBlocks }
            }
        }
        freeFrames = free
        usedFrames = frames.managedFrames - frames.freeFrames
        func share(_ part: UInt) -> Double { free == 0 ? 0 : max(0, 1 - Double(part) / Double(free)) }
        unusable = (share(large.0), share(large.1))
    }
}

/// What a replay has done and seen.
public struct ReplayStatistics: Sendable {
    /// Of one kind of event.
    public struct Count: Sendable, Equatable {
        public var done = 0
        public var refused = 0
        public var passedOver = 0
        /// How long the calls took on this host; no measure of the kernel.
        public var time = Duration.zero
    }

    public internal(set) var counts = [Count](repeating: Count(), count: TraceKind.count)
    public internal(set) var samples: [ReplaySample] = []
    /// The most frames that were in use, those of the allocators themselves included.
    public internal(set) var peakFrames: UInt = 0
    public internal(set) var peakBytes: UInt = 0
    /// What the allocators reported.
    public internal(set) var violations = 0
    /// How often all invariants were checked.
    public internal(set) var checks = 0
    var liveBytes: UInt = 0 { didSet { peakBytes = max(peakBytes, liveBytes) } }

    public subscript(kind: TraceKind) -> Count { counts[Int(kind.rawValue)] }

    /// Events that were replayed.
    public var done: Int { counts.reduce(0) { $0 + $1.done } }

    mutating func count(_ kind: TraceKind, _ outcome: ReplayOutcome, _ time: Duration) {
        let place = Int(kind.rawValue)
        switch outcome {
        case .done: counts[place].done += 1
        case .refused: counts[place].refused += 1
        case .passedOver: counts[place].passedOver += 1
        }
        counts[place].time += time
    }

    mutating func note(used: UInt) { peakFrames = max(peakFrames, used) }

    // MARK: Reports

    /// The statistics as tables and a chart, at most `rows` rows of it.
    public func report(rows: Int = 20) -> String {
        var text = "events            replayed  refused  passed over   time\n"
        for (place, count) in counts.enumerated() {
            guard let kind = TraceKind(rawValue: UInt8(place)), count != Count() else { continue }
            let milliseconds =
                Double(count.time.components.attoseconds) / 1e15 + Double(count.time.components.seconds) * 1e3
            text += "\(kind.name)".padded(16) + "\(count.done)".aligned(10) + "\(count.refused)".aligned(9)
            text += "\(count.passedOver)".aligned(13) + String(format: "%9.1f ms\n", milliseconds)
        }
        text += "\npeak: \(peakFrames) frames (\(peakFrames * 4) KiB) in use, \(peakBytes) bytes of objects\n"
        text += "invariants were checked \(checks) times, \(violations) violations were reported\n\n"
        return text + chart(rows: rows)
    }

    private func chart(rows: Int) -> String {
        guard let first = samples.first, let last = samples.last else { return "" }
        var text = "time, s      frames in use                              unusable for order 3, order 9\n"
        let most = max(1, samples.map(\.usedFrames).max() ?? 1)
        let least = samples.map(\.usedFrames).min() ?? 0
        for row in 0..<min(rows, samples.count) {
            let sample = samples[row * (samples.count - 1) / max(1, min(rows, samples.count) - 1)]
            let width = Int(30 * (sample.usedFrames - least) / max(1, most - least))
            text += String(format: "%9.6f ", Double(sample.time &- first.time) / 1e6)
            text += "\(sample.usedFrames)".aligned(8) + " " + String(repeating: "#", count: width + 1).padded(32)
            text += String(format: "%7.1f %%  %7.1f %%\n", sample.unusable.order3 * 100, sample.unusable.order9 * 100)
        }
        text += String(format: "(of %.6f s)\n", Double(last.time &- first.time) / 1e6)
        return text
    }

    /// All samples, for other programs.
    public var csv: String {
        var text = "time_us,used_frames,free_frames,live_bytes,unusable_order3,unusable_order9\n"
        for sample in samples {
            text += "\(sample.time),\(sample.usedFrames),\(sample.freeFrames),\(sample.liveBytes),"
            text += String(format: "%.4f,%.4f\n", sample.unusable.order3, sample.unusable.order9)
        }
        return text
    }
}

extension String {
    fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }

    fileprivate func aligned(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
