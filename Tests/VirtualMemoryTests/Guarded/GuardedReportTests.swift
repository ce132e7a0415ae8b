import Foundation
import MemoryPrimitives
import SimulatedMachine
import Slab
import Testing

@testable import VirtualMemory

/// What is written of an error has the shape of Linux's KFENCE reports.
@Suite struct GuardedReportTests {
    private static let line = String(repeating: "=", count: 66) + "\n"
    private static let access = " 0x000000000000a000\n 0x000000000000b000\n"
    private static let allocated = " 0x0000000000001000\n 0x0000000000002000\n 0x0000000000003000\n"
    private static let freed = " 0x0000000000004000\n"

    private func hex(_ address: UInt) -> String { "0x" + String(format: "%016lx", address) }

    /// The report, with numbers of ticks taken out.
    private func report(_ error: GuardedError?, _ machine: GuardedMachine) throws -> String {
        let text = machine.report(try #require(error))
        return text.replacing(try Regex(#"at \d+ ticks"#), with: "at N ticks")
    }

    @Test func outOfBounds() throws {
        let machine = GuardedMachine(objects: 1)
        let object = try machine.object(32, atEnd: true)
        let text = try report(machine.write(object + 33), machine)
        #expect(
            text == """
                \(Self.line)BUG: KFENCE: out-of-bounds write in 0x000000000000a000

                Out-of-bounds write at \(hex(object + 33)) (2B right of kfence-#0):
                \(Self.access)
                kfence-#0: \(hex(object))-\(hex(object + 31)), size=32, cache=kmalloc-32

                allocated on cpu 0 at N ticks:
                \(Self.allocated)
                \(Self.line)
                """)
        machine.kfree(object)
        let left = try machine.object(32, atEnd: false)
        let second = try report(machine.read(left - 1), machine)
        #expect(second.contains("BUG: KFENCE: out-of-bounds read in "))
        #expect(second.contains("Out-of-bounds read at \(hex(left - 1)) (1B left of kfence-#0):\n"))
    }

    @Test func useAfterFree() throws {
        let machine = GuardedMachine(objects: 3, cpuCount: 2)
        let object = try #require(machine.kmalloc(1000))
        machine.machine.trace = [0x4000]
        machine.run(onCPU: 1) { machine.below.kmalloc.value.free(UnsafeMutableRawPointer(bitPattern: object)) }
        let text = try report(machine.read(object + 8), machine)
        #expect(
            text == """
                \(Self.line)BUG: KFENCE: use-after-free read in 0x000000000000a000

                Use-after-free read at \(hex(object + 8)) (in kfence-#0):
                \(Self.access)
                kfence-#0: \(hex(object))-\(hex(object + 999)), size=1000, cache=kmalloc-1k

                allocated on cpu 0 at N ticks:
                \(Self.allocated)
                freed on cpu 1 at N ticks:
                \(Self.freed)
                \(Self.line)
                """)
    }

    @Test func invalidFree() throws {
        let machine = GuardedMachine()
        let object = try #require(machine.kmalloc(64))
        machine.kfree(object + 1)
        let text = try report(machine.diagnose(try #require(machine.violations().first)), machine)
        #expect(text.hasPrefix(Self.line + "BUG: KFENCE: invalid free in kfree\n\n"))
        #expect(text.contains("Invalid free of \(hex(object + 1)) (in kfence-#0):\n" + Self.access))
        #expect(text.contains("allocated on cpu 0") && !text.contains("freed on cpu"))
    }

    @Test func corruption() throws {
        let machine = GuardedMachine()
        let object = try machine.object(64, atEnd: false)
        machine.write(object + 66, 0xac)
        machine.write(object + 68, 0x07)
        machine.kfree(object)
        let text = try report(machine.diagnose(try #require(machine.violations().first)), machine)
        #expect(text.contains("BUG: KFENCE: memory corruption in kfree\n\n"))
        #expect(
            text.contains(
                "Corrupted memory at \(hex(object + 66)) [ 0xac . 0x07 . . . . . . . . . . . . . ] (in kfence-#"))
        // In front of an object no more than up to the object.
        let other = try machine.object(64, atEnd: true)
        machine.write(other - 2, 0)
        machine.kfree(other)
        let second = try report(machine.diagnose(try #require(machine.violations().first)), machine)
        #expect(second.contains("Corrupted memory at \(hex(other - 2)) [ 0x00 . ] (in kfence-#"))
    }

    @Test func invalidAccess() throws {
        let machine = GuardedMachine()
        let page = machine.run { machine.pool.value.page(of: 3).rawValue }
        let text = try report(machine.write(page), machine)
        #expect(
            text == """
                \(Self.line)BUG: KFENCE: invalid write in 0x000000000000a000

                Invalid write at \(hex(page)):
                \(Self.access)
                \(Self.line)
                """)
    }
}
