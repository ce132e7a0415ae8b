import Foundation
import FuzzTargets
import Testing

/// The inputs that fuzzing has found to reach different code, and those that once showed something wrong.
/// One after the other: the fuzz targets make one machine and use it again.
@Suite(.serialized) struct FuzzCorpusTests {
    private static let corpus = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("FuzzCorpus")

    private func replay(_ target: String, _ run: ([UInt8]) throws -> Void) throws {
        let directory = Self.corpus.appendingPathComponent(target)
        let inputs = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
        #expect(inputs.count > 10)
        for input in inputs.sorted(by: { $0.path < $1.path }) {
            do {
                try run([UInt8](try Data(contentsOf: input)))
            } catch {
                Issue.record("\(input.lastPathComponent): \(error)")
            }
        }
    }

    @Test func firmwareMaps() throws { try replay("firmware-map", FirmwareMapFuzz.run) }

    @Test func frameOperations() throws { try replay("frame-operations", FrameOperationsFuzz.run) }

    @Test func slabOperations() throws { try replay("slab-operations", SlabOperationsFuzz.run) }

    @Test func tableOperations() throws { try replay("table-operations", TableOperationsFuzz.run) }

    @Test func areaOperations() throws { try replay("area-operations", AreaOperationsFuzz.run) }

    @Test func shortInputs() throws {
        for byte in UInt8.min...UInt8.max {
            for input in [[], [byte], [1, byte], [byte, 0, byte], [3, byte, byte, byte]] as [[UInt8]] {
                try FirmwareMapFuzz.run(input)
            }
        }
        for byte: UInt8 in 0...15 {
            try FrameOperationsFuzz.run([byte])
            try TableOperationsFuzz.run([byte, byte])
        }
        try FrameOperationsFuzz.run([])
        for byte in UInt8.min...UInt8.max {
            try SlabOperationsFuzz.run([byte])
            try SlabOperationsFuzz.run([8, byte, 0, 64, 0, 3, 0, 0])
        }
        try SlabOperationsFuzz.run([])
        for byte in UInt8.min...UInt8.max { try AreaOperationsFuzz.run([byte & 15, byte, 9, byte, 3]) }
    }
}
