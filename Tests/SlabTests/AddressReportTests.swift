import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Whose memory an address is, in the words of a fault's report.
@Suite struct AddressReportTests {
    private let machine = TestMachine()

    private func owner(of address: UInt) -> String? {
        machine.run { () -> String? in
            var text = ReportText()
            let isKnown = machine.kmalloc.target.value.writeOwner(of: address, to: &text)
            return isKnown ? text.lines.joined(separator: "|") : nil
        }
    }

    private func allocate(_ size: UInt) -> UInt { UInt(bitPattern: machine.run { machine.kmalloc.allocate(size) }) }

    private func free(_ address: UInt) {
        machine.run { machine.kmalloc.free(UnsafeMutableRawPointer(bitPattern: address)) }
    }

    private func hex(_ address: UInt) -> String { "0x" + String(address, radix: 16).leftPadded(to: 16) }

    @Test(arguments: [8, 64, 96, 8192] as [UInt]) func anObjectInUseAndAFreeOne(size: UInt) throws {
        let object = allocate(size)
        let name = size == 8192 ? "kmalloc-8k" : "kmalloc-\(size)"
        for offset in [0, 1, size - 1] {
            #expect(
                owner(of: object + offset)
                    == "object \(hex(object)) of \(name) (\(size) bytes, in use), \(offset) bytes from its start")
        }
        free(object)
        #expect(
            owner(of: object + 3) == "object \(hex(object)) of \(name) (\(size) bytes, free), 3 bytes from its start")
    }

    @Test func aLargeBlockAndWhatIsNotKmallocs() throws {
        let block = allocate(20_000)
        #expect(
            owner(of: block + 20_001) == "kmalloc's block \(hex(block)) (32768 bytes), 20001 bytes from its start")
        free(block)
        #expect(owner(of: block + 5) == nil, "a free block is nobody's")
        let frame = try #require(machine.run { machine.frames.allocate(order: 0) })
        #expect(owner(of: machine.directMap.virtualAddress(of: frame.address).rawValue) == nil)
        for address in [0, 5, UInt.max, machine.directMap.virtualAddress(of: PhysicalAddress(0)).rawValue] {
            #expect(owner(of: address) == nil)
        }
    }
}

extension String {
    fileprivate func leftPadded(to width: Int) -> String { String(repeating: "0", count: max(0, width - count)) + self }
}
