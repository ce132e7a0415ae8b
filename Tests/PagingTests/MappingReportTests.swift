import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

private struct TextWriter: ReportWriter {
    var text = ""
    mutating func write(_ byte: UInt8) { text.unicodeScalars.append(Unicode.Scalar(byte)) }
}

/// The report's lines, character by character; boot tests compare them with QEMU's monitor.
@Suite struct MappingReportTests {
    private func lines(_ bench: Bench) -> [String] {
        var writer = TextWriter()
        MappingReport.write(bench.tables.value, to: &writer)
        return writer.text.split(separator: "\n").map(String.init)
    }

    @Test func runsAreJoinedAndTheirAttributesNamed() throws {
        let bench = Bench()
        try bench.machine.run {
            #expect(lines(bench) == [])
            let tables = bench.tables
            try tables.value.map(
                page(0x1000), to: memory(gib), permissions: [.read, .user], using: &bench.source)
            try tables.value.mapRange(
                pages(areas, 2 * mib + 8192), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try tables.value.map(
                page(areas + 2 * mib + 8192), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try tables.value.map(
                page(areas + gib), to: memory(gib), size: .size1GiB, permissions: .readExecute.cached(.writeCombining),
                using: &bench.source)
            try tables.value.reserveDemand(
                pages(areas + 4 * gib, 8192), permissions: .readWrite, using: &bench.source)
            try tables.value.reserveGuard(pages(areas + 4 * gib + 8192, 12288), using: &bench.source)
            try tables.value.map(
                page(UInt.max - 4095), to: memory(0), permissions: [.read, .write], using: &bench.source)
            #expect(
                lines(bench) == [
                    "0x0000000000001000-0x0000000000001fff         4K r---u 4K wb 0x000040000000",
                    "0xffffc90000000000-0xffffc900001fffff      2048K rw-g- 2M wb 0x000040000000",
                    "0xffffc90000200000-0xffffc90000201fff         8K rw-g- 4K wb 0x000040200000",
                    "0xffffc90000202000-0xffffc90000202fff         4K rw-g- 4K wb 0x000040000000",
                    "0xffffc90040000000-0xffffc9007fffffff   1048576K r-xg- 1G wc 0x000040000000",
                    "0xffffc90100000000-0xffffc90100001fff         8K rw-g- 4K demand",
                    "0xffffc90100002000-0xffffc90100004fff        12K ----- 4K guard",
                    "0xfffffffffffff000-0xffffffffffffffff         4K rw--- 4K wb 0x000000000000",
                ])
        }
    }
}
