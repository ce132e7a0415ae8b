import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

@testable import KernelMemory

extension BringUpError {
    /// The error without its figures.
    fileprivate var name: String { "\(reason)" }
}

/// Machines that cannot be brought up, each for a reason that is named; and those that just can.
@Suite struct RefusalTests {
    /// - Returns: the error of bring-up; nil where it succeeds.
    private func refusal(_ map: MachineMap, _ configuration: Configuration = Configuration()) throws -> String? {
        do {
            try KernelMachine(map, configuration).check()
            return nil
        } catch let error as BringUpError {
            return error.name
        }
    }

    /// From 8 MiB down to where the image itself does not fit, in steps smaller than what any allocator takes at once.
    @Test(arguments: [KernelImage.small, .large], [PagingFeatures.all, AddressSpaceTests.features[1]])
    func memoryShrinksToNothing(image: KernelImage, features: PagingFeatures) throws {
        var configuration = Configuration()
        configuration.image = image
        configuration.features = features
        let imageEnd = UInt64(image.loaded.end.rawValue)
        var bytes = imageEnd + (6 << 20)
        var outcomes: [String?] = []
        while bytes > imageEnd - (1 << 20) {
            outcomes.append(try bringUp(.pc(bytes: bytes), configuration))
            // Finer where it becomes tight.
            bytes -= bytes < imageEnd + (2 << 20) ? 16 << 10 : 64 << 10
        }
        #expect(outcomes.first == .some(nil))
        #expect(outcomes.last == "too little memory")
        // More memory is never worse.
        let firstRefusal = try #require(outcomes.firstIndex { $0 != nil })
        #expect(outcomes[firstRefusal...].allSatisfy { $0 != nil })
    }

    /// A machine that comes up must work: everything can be had and given back. - Returns: the error, where not.
    private func bringUp(_ map: MachineMap, _ configuration: Configuration) throws -> String? {
        let machine: KernelMachine
        do {
            machine = try KernelMachine(map, configuration)
        } catch let error as BringUpError {
            if case .tooLittleMemory(let found) = error { #expect(found < TestedMemory.minimumMemory) }
            return error.name
        }
        try machine.check()
        try machine.run {
            let object = try #require(machine.kmalloc(100))
            let area = try #require(machine.vmalloc(3 * 4096))
            try machine.machine.store(UInt64(7), to: area + 4096)
            #expect(try machine.machine.load(area + 4096) == 7)
            machine.vfree(area)
            machine.kfree(object)
        }
        try machine.check()
        return nil
    }

    /// Lists of each size from none at all: growth begins only when everything is reserved.
    @Test func listsThatAreFullAreReported() throws {
        var outcomes: Set<String?> = []
        for capacity in 0..<20 {
            var configuration = AccountingTests.crowded
            configuration.memoryCapacity = capacity
            configuration.reservedCapacity = 64
            let memory = try refusal(.notebook, configuration)
            configuration.memoryCapacity = 64
            configuration.reservedCapacity = capacity
            let reserved = try refusal(.notebook, configuration)
            outcomes.formUnion([memory, reserved])
            #expect(memory == (capacity < usableMemory(.notebook).count ? "the memory map has too many parts" : nil))
            // Low memory, the image, the information and modules are 5 ranges apart.
            #expect(reserved == (capacity < 5 ? "the memory map has too many parts" : nil))
        }
        #expect(outcomes.count == 2)
    }

    @Test func anImageThatIsNotMappableIsRefused() throws {
        let good = KernelImage.small
        func moved(_ change: (inout KernelImage) -> Void) throws -> String? {
            var configuration = Configuration()
            change(&configuration.image)
            return try refusal(.pc(bytes: 64 << 20), configuration)
        }
        func range(_ start: UInt, _ end: UInt) -> PhysicalRange {
            PhysicalRange(PhysicalAddress(start), PhysicalAddress(end))
        }
        #expect(try moved { _ in } == nil)
        let reason = "the kernel image cannot be mapped"
        // Constants before the code, and segments that overlap.
        #expect(try moved { swap(&$0.code.physical, &$0.constants.physical) } == reason)
        #expect(try moved { $0.data.physical = $0.constants.physical } == reason)
        // A boot part that code lies in would be handed out.
        #expect(try moved { $0.bootPart = $0.code.physical } == reason)
        #expect(try moved { $0.loaded = range(0x10_0000, 0x1b_3000) } == reason)
        #expect(try moved { $0.code.physical = range(0x11_4800, 0x19_0000) } == reason)
        #expect(try moved { $0.data.physical = range(0x1b_3000, 0x23_f800) } == reason)
        // Linked outside the image's part of the address space, at its end, and where the space ends.
        #expect(try moved { $0.code.virtualStart = AddressSpaceLayout.x86FourLevel.areas.start } == reason)
        #expect(try moved { $0.data.virtualStart = AddressSpaceLayout.x86FourLevel.image.end } == reason)
        #expect(try moved { $0.data.virtualStart = VirtualAddress(0 &- 4096) } == reason)
        // Two segments at one address, and at no page's.
        #expect(try moved { $0.constants.virtualStart = $0.code.virtualStart } == reason)
        #expect(try moved { $0.code.virtualStart = $0.code.virtualStart + 8 } == reason)
        // Guard pages twice, outside the data, and at no page's address.
        #expect(try moved { $0.guardPages[5] = good.guardPages[0] } == reason)
        #expect(try moved { $0.guardPages[5] = good.code.virtualStart } == reason)
        #expect(try moved { $0.guardPages[5] = good.data.virtualStart + 8 } == reason)
    }

    /// Part of the image lies in a range that the firmware reserves.
    @Test(arguments: [0x10_8000, 0x15_0000, 0x1a_0000, 0x23_0000] as [UInt64])
    func anImageOutsideMemoryIsRefused(hole: UInt64) throws {
        var map = MachineMap.pc(bytes: 64 << 20)
        map.entries.append(MapEntry(base: hole, byteCount: 4096, type: 2))
        #expect(try refusal(map) == "the kernel image cannot be mapped")
    }

    /// RAM that the direct map has no room for is left alone.
    @Test func memoryBeyondTheDirectMapIsNotUsed() throws {
        var configuration = Configuration()
        var layout = AddressSpaceLayout.x86FourLevel
        let start = layout.directMap.start
        layout.directMap = VirtualRange(start, start + (48 << 20))
        configuration.layout = layout
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        #expect(machine.run { machine.memory.value.boot.value.highestAddress } == PhysicalAddress(48 << 20))
        #expect(throws: SimulatedFault.self) { try machine.load(start + (48 << 20)) }
        machine.run {
            while let frame = machine.memory.value.frames.value.allocate(order: 0) {
                #expect(frame.address.rawValue < 48 << 20)
            }
        }
        try machine.check()
    }

    /// Bad memory that there is no room to note down would be handed out.
    @Test func badMemoryThatCannotBeRecordedIsRefused() throws {
        var configuration = Configuration()
        configuration.losesReservation = true
        #expect(try refusal(.pc(bytes: 64 << 20), configuration) == "the memory map has too many parts")
    }
}
