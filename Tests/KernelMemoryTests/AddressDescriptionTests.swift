import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

@testable import KernelMemory

/// What is said of an address, of each kind that there is: the truth is what the test has just done.
@Suite struct AddressDescriptionTests {
    private let machine: KernelMachine

    init() throws { machine = try Self.machine(Configuration()) }

    private static func machine(_ configuration: Configuration) throws -> KernelMachine {
        try KernelMachine(.pc(bytes: 64 << 20), configuration)
    }

    private func lines(_ address: VirtualAddress, _ machine: KernelMachine? = nil) -> [String] {
        let machine = machine ?? self.machine
        var text = TextWriter()
        machine.run { machine.memory.value.writeDescription(of: address, to: &text) }
        return text.lines
    }

    private func hex(_ address: VirtualAddress) -> String { hex(address.rawValue) }

    private func hex(_ number: UInt, _ digits: Int = 16) -> String {
        let text = String(number, radix: 16)
        return "0x" + String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    @Test(arguments: [true, false]) func anObject(isAlias: Bool) throws {
        let object = try #require(machine.run { machine.kmalloc(60) })
        let physical = machine.directMap.physicalAddress(of: VirtualAddress(object)).rawValue
        let address = (isAlias ? machine.alias(physical) : machine.direct(physical)) + 5
        let found = lines(address)
        #expect(found[0] == "\(hex(address)): the \(isAlias ? "object alias" : "direct map") of memory")
        #expect(found[1].hasPrefix("mapped: ") && found[1].hasSuffix("rw-g-, physical \(hex(physical + 5, 12))"))
        #expect(found[2] == "physical \(hex(physical + 5, 12)): System RAM")
        #expect(found[3] == "zone DMA32, page block \(physical >> 21) (Unmovable)")
        #expect(found[4].hasPrefix("page: pfn:0x\(String(physical >> 12, radix: 16)) state:slab "))
        let known = hex(UInt(bitPattern: object))
        #expect(found.contains("object \(known) of kmalloc-64 (64 bytes, in use), 5 bytes from its start"))
        let place = try #require(found.last)
        #expect(
            place.hasPrefix("object ") && place.hasSuffix(": allocated") && place.contains(" of 64 in the slab at 0x"))
        machine.run { machine.kfree(object) }
        #expect(lines(address).last?.hasSuffix(": free") == true)
    }

    /// A cache that keeps who had its objects says so.
    @Test func anObjectWithItsTrace() throws {
        var configuration = Configuration()
        let words: StaticString = "U,kmalloc-64"
        // A literal's bytes stay where they are.
        let value = unsafe UnsafeRawBufferPointer(start: words.utf8Start, count: words.utf8CodeUnitCount)
        configuration.slab.debugging = unsafe DebugSelection(value) { _ in }
        let machine = try Self.machine(configuration)
        let object = try #require(machine.run { machine.kmalloc(60) })
        #expect(lines(machine.direct(object), machine).contains { $0.hasPrefix("Allocated in ") })
        #expect(!lines(machine.direct(object), machine).contains { $0.hasPrefix("Freed in ") })
        machine.run { machine.kfree(object) }
        #expect(lines(machine.direct(object), machine).contains { $0.hasPrefix("Freed in ") })
        let other = try #require(machine.run { machine.kmalloc(200) })
        #expect(!lines(machine.direct(other), machine).contains { $0.contains("llocated in ") })
    }

    @Test func blocksOfFrames() throws {
        let frame = try #require(machine.run { machine.allocateFrames(3, .kernel | .reclaimable) })
        let address = machine.direct(frame.address.rawValue + 3 * 4096)
        let head = String(frame.rawValue, radix: 16)
        #expect(lines(address).contains("block: head pfn:0x\(head) order:3 state:allocated"))
        #expect(lines(address).contains { $0.hasPrefix("zone DMA32, page block ") && $0.hasSuffix(" (Reclaimable)") })
        machine.run { machine.freeFrames(frame, 3) }
        #expect(lines(address).contains { $0.contains(" state:free ") })
        let large = try #require(machine.run { machine.kmalloc(20_000) })
        #expect(
            lines(machine.direct(large) + 7).contains(
                "kmalloc's block \(hex(UInt(bitPattern: large))) (32768 bytes), 7 bytes from its start"))
        // The tables of vmalloc's areas are frames like others.
        let area = try #require(machine.run { machine.vmalloc(4096, populate: true) })
        var step = machine.run { machine.memory.value.pageTables.value.firstStep(to: area) }
        while step.leadsOn { step = machine.memory.value.pageTables.value.step(after: step, to: area) }
        #expect(lines(machine.direct(step.table.rawValue)).contains { $0.contains(" state:page table ") })
    }

    @Test func areas() throws {
        let area = try #require(machine.run { machine.vmalloc(0x20_000) })
        let name = "the vmalloc area \"vmalloc\" \(hex(area))-\(hex(area + 0x20_000))"
        let untouched = lines(area + 0x1f_234)
        #expect(untouched[0] == "\(hex(area + 0x1f_234)): the vmalloc space")
        #expect(untouched[1] == "not mapped: a page is due at the first touch, rw-g-")
        #expect(untouched[2] == "in \(name), at offset 127540 of 131072")
        #expect(untouched.count == 3)
        try machine.store(1, area + 0x1f_000)
        let touched = lines(area + 0x1f_234)
        let physical = try #require(machine.run { machine.memory.value.pageTables.value.translate(area + 0x1f_234) })
        #expect(touched[1] == "mapped: 4K page, rw-g-, physical \(hex(physical.physical.rawValue, 12))")
        #expect(touched.contains { $0.hasPrefix("block: ") && $0.hasSuffix(" state:allocated") })
        #expect(lines(area + 0x20_010)[2] == "in the guard page above \(name), 17 bytes away")
        #expect(lines(area + 0x20_010)[1].hasPrefix("not mapped"))
        machine.run { machine.vfree(area) }
        #expect(lines(area + 0x1f_234)[2].hasPrefix("freed: it was in \(name)"))
        #expect(lines(machine.layout.areas.end - 4096).last?.hasPrefix("in no area") == true)
    }

    @Test func aStack() throws {
        let stack = try #require(machine.run { machine.makeStack(pages: 4) })
        let found = lines(stack.limit + 0x3f00)
        #expect(found.contains("stack \"test\": 256 bytes below its top; 4096 of 16384 bytes are there"))
        #expect(
            lines(stack.limit + 8).contains("stack \"test\": 16376 bytes below its top; 4096 of 16384 bytes are there"))
        #expect(lines(stack.limit + 8)[1] == "not mapped: a page is due at the first touch, rw-g-")
        #expect(lines(stack.limit - 8).contains { $0.hasPrefix("in the guard page below the stack area \"test\"") })
        machine.run { stack.free() }
    }

    @Test func aDevice() throws {
        let vmalloc = machine.memory.value.vmalloc
        let registers = try #require(machine.run { vmalloc.value.ioremap(PhysicalAddress(0xfee0_0000), 64) })
        let found = lines(registers + 0x20)
        #expect(found[1] == "mapped: 4K page, rw-g-, physical 0x0000fee00020")
        #expect(found[2].hasPrefix("in the device area \"ioremap\""))
        #expect(found[3] == "physical 0x0000fee00020: not in the firmware's map" && found.count == 4)
    }

    @Test func aGuardedObject() throws {
        var configuration = Configuration()
        configuration.slab.sampleInterval = 1
        configuration.slab.guardedObjectCount = 8
        let machine = try Self.machine(configuration)
        let range = machine.memory.value.guardedPool?.value.range
        let object = try #require(machine.run { machine.kmalloc(100) })
        let address = VirtualAddress(object)
        #expect(range?.contains(address) == true, "the first object is guarded")
        let found = lines(address, machine)
        #expect(found.contains { $0.hasPrefix("in the guarded objects area \"kfence\"") })
        #expect(
            found.contains { $0.contains(", size=100, cache=kmalloc-112") || $0.contains(", size=100, cache=kmalloc-") }
        )
        machine.run { machine.kfree(object) }
        #expect(lines(address, machine).contains { $0.hasPrefix("freed on cpu 0") })
    }

    @Test func theImage() {
        let image = machine.configuration.image
        #expect(
            lines(image.code.virtualStart + 0x123)[2] == "the image's code: \(hex(image.code.virtualStart + 0x123))")
        #expect(lines(image.constants.virtualStart)[2] == "the image's constants")
        #expect(lines(image.data.virtualStart + 8)[2] == "the image's data")
        #expect(lines(image.data.virtualStart + 8).last == "reserved since boot: kernel image")
        let guardPage = machine.layout.image.start + image.guards[0]
        #expect(lines(guardPage)[1].hasPrefix("not mapped"))
        #expect(lines(machine.layout.image.end - 1)[2] == "no part of the image")
    }

    @Test func theFrameTable() throws {
        let frame = try #require(machine.run { machine.allocateFrames(0) })
        let table = try #require(machine.frameTable)
        let descriptor = try #require(unsafe machine.memory.value.frames.value.descriptor(of: frame))
        let physical = machine.directMap.physicalAddress(of: VirtualAddress(descriptor))
        let region = machine.layout.frameTable.start + table.lowerBound % (1 << 30)
        let address = region + (physical.rawValue - table.lowerBound)
        let found = lines(address + 9)
        #expect(found[2] == "the descriptor of page frame 0x\(String(frame.rawValue, radix: 16))")
        #expect(found.last == "reserved since boot: frame table")
        #expect(lines(machine.layout.frameTable.end - 8).contains("of no frame's descriptor"))
    }

    @Test func whatIsNowhere() {
        #expect(lines(VirtualAddress(0x8000_0000_0000_0000)) == ["0x8000000000000000: not a canonical address"])
        #expect(lines(VirtualAddress(0))[0] == "0x0000000000000000: the null pointer")
        #expect(lines(VirtualAddress(0))[1] == "not mapped")
        let user = VirtualAddress(0x1234_5678_9000)
        #expect(lines(user) == ["\(hex(user)): user space, of which the kernel uses nothing there", "not mapped"])
        let none = VirtualAddress(UInt.max - 8)
        #expect(lines(none) == ["\(hex(none)): in no region", "not mapped"])
        let beyond = machine.layout.directMap.end - 4096
        let physical = hex(beyond.distance(from: machine.layout.directMap.start), 12)
        #expect(
            lines(beyond) == [
                "\(hex(beyond)): the direct map of memory", "not mapped",
                "physical \(physical): not in the firmware's map",
            ])
    }

    /// A number that is no address of the kernel's, but could be one of memory.
    @Test func physicalAddresses() {
        #expect(
            lines(VirtualAddress(0x5000)).dropFirst() == [
                "as a physical address:", "physical 0x000000005000: System RAM", "reserved since boot: low memory",
            ])
        #expect(lines(VirtualAddress(0xf_0000)).last == "physical 0x0000000f0000: Reserved")
        #expect(lines(VirtualAddress(0x200_0000)).contains { $0.hasPrefix("zone DMA32, page block 16") })
    }
}
