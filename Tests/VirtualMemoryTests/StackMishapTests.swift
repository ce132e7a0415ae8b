import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Not generic and copyable, as the testing macros ask for.
struct StackQuery {
    let vmalloc: Permanent<TestedVmalloc>
    func callAsFunction(_ address: VirtualAddress) -> StackBounds? { vmalloc.value.stack(around: address) }
}

/// Overflow, underflow and wild pointers are told apart.
@Suite struct StackMishapTests {
    @Test func anOverflowIsFound() throws {
        let machine = VmallocMachine()
        let below = try #require(machine.makeStack(name: "below"))
        let stack = try #require(machine.makeStack(name: "deep recursion"))
        // Two guard pages lie between neighbours: one is the lower's, one the upper's.
        #expect(stack.limit.distance(from: below.top) == 2 * 4096)
        #expect(throws: SimulatedFault.self) { try machine.store(1, stack.limit - 8) }
        #expect(machine.lastFatal?.reason == .guardPage)
        #expect(machine.lastFatal?.place.place == .guardBelow)
        #expect(machine.lastFatal?.place.distance == 8)
        try machine.run {
            let around = StackQuery(vmalloc: machine.vmalloc)
            let bounds = try #require(around(stack.limit - 8))
            #expect("\(bounds.name)" == "deep recursion")
            #expect(bounds.usable == VirtualRange(stack.limit, stack.top))
            #expect(bounds.guardBelow == VirtualRange(stack.limit - 4096, stack.limit))
            #expect(bounds.guardAbove == VirtualRange(stack.top, stack.top + 4096))
            #expect(bounds.depth(of: stack.limit - 8) == 4 * 4096 + 8)
            #expect(bounds.depth(of: stack.top - 100) == 100 && bounds.depth(of: stack.top + 100) == 0)
            #expect(around(stack.limit - 4097).map { "\($0.name)" } == "below")
            // While some CPU holds the lock, too.
            let held = machine.ranges.withLockHeld { around(stack.limit - 8) }
            #expect(held.map { "\($0.name)" } == "deep recursion")
            #expect(around(VirtualAddress(8)) == nil)
            #expect(around(stack.top + 4096) == nil)
        }
        let area = try #require(machine.allocate(4096))
        #expect(machine.run { StackQuery(vmalloc: machine.vmalloc)(area) } == nil)
        machine.free(stack)
        machine.free(below)
        machine.shrinkStacks()
        #expect(machine.run { StackQuery(vmalloc: machine.vmalloc)(stack.limit) } == nil)
    }

    static let stack = StackBounds(
        name: "stack", usable: VirtualRange(VirtualAddress(0x10_0000), VirtualAddress(0x10_4000)),
        guardBelow: VirtualRange(VirtualAddress(0xf_e000), VirtualAddress(0x10_0000)),
        guardAbove: VirtualRange(VirtualAddress(0x10_4000), VirtualAddress(0x10_5000)))

    // Address, stack pointer, whether that is another stack's, and what it is.
    static let cases: [(UInt, UInt, Bool, StackMishap?)] = [
        // A push at the very end; a frame that begins within the guard page, and one that jumps over it.
        (0xf_fff8, 0x10_0000, false, .overflow), (0xf_ffc8, 0x10_0030, false, .overflow),
        (0xf_f800, 0xf_f7f0, false, .overflow), (0xf_e000, 0xf_e000, false, .overflow),
        (0xf_e008, 0xf_0000, false, .overflow), (0xf_e008, 0xf_dff8, false, .overflow),
        // The stack pointer is in the stack, and nowhere near the end.
        (0xf_fff8, 0x10_0040, false, .strayBelow), (0xf_ffff, 0x10_3f00, false, .strayBelow),
        (0xf_ffff, 0x10_4000, false, .strayBelow),
        // It is elsewhere: far below, in a neighbour just below, far above, in user space.
        (0xf_fff8, 0xe_0000, false, .foreignBelow), (0xf_fff8, 0xf_dff8, true, .foreignBelow),
        (0xf_fff8, 0x20_0000, true, .foreignBelow), (0xf_fff8, 0x20_0000, false, .foreignBelow),
        (0xf_fff8, 8, false, .foreignBelow),
        // Above the top, by code on the stack, at its start, and beyond.
        (0x10_4000, 0x10_3ff8, false, .underflow), (0x10_4000, 0x10_4000, false, .underflow),
        (0x10_4008, 0x10_4008, false, .underflow), (0x10_4ff8, 0x10_4ff8, false, .underflow),
        (0x10_4000, 0x10_3fc8, false, .underflow),
        // There is much on the stack still.
        (0x10_4000, 0x10_3fc0, false, .strayAbove), (0x10_4ff8, 0x10_0000, false, .strayAbove),
        (0x10_4000, 0x10_2000, true, .strayAbove),
        (0x10_4000, 0x20_0000, true, .foreignAbove), (0x10_4000, 0xf_f000, false, .foreignAbove),
        // No guard page.
        (0x10_0000, 0x10_0000, false, nil), (0xf_dfff, 0x10_0000, false, nil), (0x10_5000, 0x10_0000, false, nil),
    ]

    @Test(arguments: cases)
    func mishapsAreToldApart(address: UInt, stackPointer: UInt, runsElsewhere: Bool, expected: StackMishap?) {
        let found = StackMishap(
            of: Self.stack, accessing: VirtualAddress(address), stackPointer: VirtualAddress(stackPointer),
            runsElsewhere: runsElsewhere)
        #expect(found == expected)
    }
}
