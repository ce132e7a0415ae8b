import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

/// The reports, line by line, at the moment at which they are made: before what is wrong is made good.
@Suite struct ReportTextTests {
    private static let line = String(repeating: "=", count: 77)
    private static let thinLine = String(repeating: "-", count: 77)

    /// Runs `body` and returns the report on each violation.
    private func reports(
        _ letters: StaticString?, _ body: (TestMachine) throws -> Void
    ) throws -> [[String]] {
        let test = TestMachine(
            slabOptions: SlabOptions(slubDebug: letters) {
                $0.randomOrder = false
                $0.continuesAfterErrors = true
            })
        var all: [[String]] = []
        test.machine.violationHandler = { violation in
            // How long ago something was is not the same each time.
            all.append(
                test.kmalloc.report(on: violation).map { line in
                    line.replacing(/age=\d+/, with: "age=N")
                })
        }
        try test.run { try body(test) }
        test.machine.violationHandler = nil
        return all
    }

    private func hex(_ address: UInt) -> String {
        let digits = String(address, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Lines of a hex dump of bytes, 16 a line.
    private func dump(_ heading: String, _ address: UInt, _ bytes: [UInt8]) -> [String] {
        stride(from: 0, to: bytes.count, by: 16).map { start in
            let part = bytes[start..<min(start + 16, bytes.count)]
            let digits = part.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
            let text = part.map { 0x20...0x7e ~= $0 ? String(UnicodeScalar($0)) : "." }.joined()
            return "\(heading.padding(9))\(hex(address + UInt(start))): \(digits.padding(47))  \(text)"
        }
    }

    private func bytes(_ byte: UInt8, _ count: Int) -> [UInt8] { Array(repeating: byte, count: count) }

    @Test func aRightRedZone() throws {
        var object: UInt = 0
        let found = try reports("FZPU") { test in
            test.machine.trace = [0x1111_0000, 0x2222_0000]
            let pointer = try #require(test.kmalloc.allocate(64))
            object = pointer.address
            pointer[64] = 0x41
            pointer[66] = 0x42
            #expect(test.kmalloc.validate() == 1)
        }
        let expected =
            [
                Self.line, "BUG kmalloc-64: Right Redzone overwritten", Self.thinLine, "",
                "0x\(hex(object + 64))-0x\(hex(object + 66)) @offset=128. First byte 0x41 instead of 0xcc",
                "Allocated in 0x0000000011110000 age=N cpu=0", " 0x0000000011110000", " 0x0000000022220000",
                "Slab 0x\(hex(object - 64)) objects=51 used=1 order=2", "Object 0x\(hex(object)) @offset=64", "",
            ] + dump("Redzone", object - 64, bytes(0xcc, 64))
            + dump("Object", object, bytes(0x6b, 63) + [0xa5])
            + dump("Redzone", object + 64, [0x41, 0xcc, 0x42] + bytes(0xcc, 5))
            + dump("Padding", object + 240, bytes(0x5a, 16))
            + ["FIX kmalloc-64: Restoring Right Redzone 0x\(hex(object + 64))-0x\(hex(object + 66))=0xcc"]
        #expect(found == [expected])
    }

    @Test func aWriteAfterFree() throws {
        var object: UInt = 0
        let found = try reports("FZPU") { test in
            test.machine.trace = [0x1111_0000]
            let pointer = try #require(test.kmalloc.allocate(24))
            object = pointer.address
            test.machine.trace = [0x2222_0000]
            test.kmalloc.free(pointer)
            pointer[5] = 0x42
            #expect(test.kmalloc.allocate(24) == pointer)
        }
        let expected =
            [
                Self.line, "BUG kmalloc-24: Poison overwritten", Self.thinLine, "",
                "0x\(hex(object + 5))-0x\(hex(object + 5)) @offset=13. First byte 0x42 instead of 0x6b",
                "Allocated in 0x0000000011110000 age=N cpu=0", " 0x0000000011110000",
                "Freed in 0x0000000022220000 age=N cpu=0", " 0x0000000022220000",
                // Already taken from its slab, to be handed out.
                "Slab 0x\(hex(object - 8)) objects=39 used=1 order=1", "Object 0x\(hex(object)) @offset=8", "",
            ] + dump("Redzone", object - 8, bytes(0xbb, 8))
            + dump("Object", object, bytes(0x6b, 5) + [0x42] + bytes(0x6b, 17) + [0xa5])
            + dump("Redzone", object + 24, bytes(0xbb, 8))
            + ["FIX kmalloc-24: Restoring Poison 0x\(hex(object + 5))-0x\(hex(object + 5))=0x6b"]
        #expect(found == [expected])
    }

    /// Without debugging, too: which cache and slab, and what the object holds.
    @Test func aDoubleFree() throws {
        var object: UInt = 0
        let found = try reports(nil) { test in
            let pointer = try #require(test.kmalloc.allocate(32))
            object = pointer.address
            for index in 0..<32 { pointer[index] = UInt8(0x30 + index) }
            test.kmalloc.free(pointer)
            test.kmalloc.shrink()
            let first = try #require(test.kmalloc.allocate(32))
            test.kmalloc.free(first)
            test.kmalloc.free(first)
        }
        let expected =
            [
                Self.line, "BUG kmalloc-32: Object already free", Self.thinLine, "",
                "Slab 0x\(hex(object)) objects=128 used=31 order=0", "Object 0x\(hex(object)) @offset=0", "",
            ]
        #expect(found.count == 1 && found.first?.prefix(4) == expected.prefix(4))
        #expect(found.first?.contains("FIX kmalloc-32: Object at 0x\(hex(object)) not freed") == true)
        #expect(found.first?.contains { $0.hasPrefix("Object   \(hex(object)): ") } == true)
    }

    @Test func anInvalidPointer() throws {
        var object: UInt = 0
        let found = try reports("FZPU,kmalloc-64") { test in
            let pointer = try #require(test.kmalloc.allocate(64))
            object = pointer.address
            test.kmalloc.free(pointer + 8)
        }
        #expect(
            found == [
                [
                    Self.line, "BUG kmalloc-64: Invalid object pointer 0x\(hex(object + 8))", Self.thinLine, "",
                    "Slab 0x\(hex(object - 64)) objects=51 used=1 order=2",
                    "FIX kmalloc-64: Object at 0x\(hex(object + 8)) not freed",
                ]
            ])
    }

    @Test func aWrongCount() throws {
        var base: UInt = 0
        let found = try reports("F") { test in
            let pointer = try #require(test.kmalloc.allocate(64))
            let slab = try #require(test.kmalloc.slab(of: pointer.address))
            base = slab.base
            slab.freeCount -= 2
            test.kmalloc.free(pointer)
            try test.kmalloc.checkInvariants()
        }
        #expect(
            found == [
                [
                    Self.line, "BUG kmalloc-64: Wrong object count. Counter is 3 but counted were 1", Self.thinLine, "",
                    "Slab 0x\(hex(base)) objects=64 used=3 order=0", "FIX kmalloc-64: Object count adjusted",
                ]
            ])
    }

    @Test func objectsThatRemain() throws {
        var objects: [UInt] = []
        let found = try reports("U,kmalloc-64") { test in
            for caller in [0x1111_0000, 0x2222_0000] as [UInt] {
                test.machine.trace = [caller]
                objects.append(try #require(test.kmalloc.allocate(64)).address)
            }
            #expect(test.kmalloc.cache("kmalloc-64").reportRemaining() == 2)
        }
        let base = objects.min()!
        #expect(
            found == [
                [
                    Self.line, "BUG kmalloc-64: Objects remaining in kmalloc-64 on __kmem_cache_shutdown()",
                    Self.thinLine, "", "Slab 0x\(hex(base)) objects=16 used=2 order=0",
                    "Object 0x\(hex(objects[0])) @offset=0", "Allocated in 0x0000000011110000 age=N cpu=0",
                    " 0x0000000011110000", "Object 0x\(hex(objects[1])) @offset=\(objects[1] - base)",
                    "Allocated in 0x0000000022220000 age=N cpu=0", " 0x0000000022220000",
                ]
            ])
    }

    @Test func aWrongCache() throws {
        let found = try reports(nil) { test in
            let pointer = try #require(test.kmalloc.allocate(64))
            var violation = MemoryViolation(.wrongCache, in: "kmem_cache_free", at: pointer.address, "", 96)
            violation.mayContinue = true
            test.machine.violationHandler?(violation)
        }
        #expect(found.first?[1] == "BUG kmalloc-64: Wrong slab cache. Object is from kmalloc-64")
    }

    /// What is not about a slab has no such report.
    @Test func otherAddressesHaveNone() throws {
        let found = try reports("FZPU") { test in
            test.kmalloc.free(UnsafeMutableRawPointer(bitPattern: 0xdead_0000))
            let frame = try #require(test.frames.allocate(order: 0))
            test.kmalloc.free(test.directMap.pointer(to: frame))
        }
        #expect(found == [[], []])
    }
}

extension String {
    /// Spaces behind it, up to so many columns.
    fileprivate func padding(_ width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - count))
    }
}
