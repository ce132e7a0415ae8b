import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import VirtualMemory

@Suite struct KernelStackTests {
    /// The stack's figures, which can be copied into the testing macros.
    struct Figures: Equatable {
        var limit: VirtualAddress
        var top: VirtualAddress
        var highWaterMark: UInt
    }

    func figures(_ stack: borrowing TestedStack) -> Figures {
        Figures(limit: stack.limit, top: stack.top, highWaterMark: stack.highWaterMark)
    }

    @Test(arguments: [1, 4, 9] as [UInt])
    func paintShowsHowDeepAStackWent(pages: UInt) throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        try machine.run {
            guard let stack = TestedStack(pageCount: pages, name: "painted", from: machine.vmalloc) else {
                Issue.record("no stack")
                return
            }
            let fresh = figures(stack)
            #expect(fresh.top.distance(from: fresh.limit) == pages * 4096)
            #expect(fresh.highWaterMark == 0)
            #expect(try machine.load(fresh.limit) == TestedStack.paint)
            #expect(try machine.load(fresh.top - 8) == TestedStack.paint)

            // Down word by word, with a gap as of a local array that was never written.
            for depth in [8, 16, 400, 4096] as [UInt] where depth <= pages * 4096 {
                try machine.store(0, fresh.top - depth)
                #expect(figures(stack).highWaterMark == depth)
            }
            // The mark stays when the use goes back.
            try machine.store(1, fresh.top - 8)
            #expect(figures(stack).highWaterMark == min(4096, pages * 4096))
            try machine.store(0, fresh.limit)
            #expect(figures(stack).highWaterMark == pages * 4096)

            let remaining = [
                stack.stackRemaining(below: fresh.top), stack.stackRemaining(below: fresh.limit + 24),
                stack.stackRemaining(below: fresh.limit), stack.stackRemaining(below: fresh.limit - 8),
                stack.stackRemaining(below: fresh.top + 8),
            ]
            #expect(remaining == [pages * 4096, 24, 0, 0, 0])
            try machine.checkAll()
            stack.free()
        }
        try machine.checkAll()
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds() == [])
    }

    @Test func anOverflowIsNamed() throws {
        let machine = VmallocMachine()
        try machine.run {
            guard let below = TestedStack(name: "below", from: machine.vmalloc),
                let stack = TestedStack(name: "deep recursion", from: machine.vmalloc)
            else {
                Issue.record("no stack")
                return
            }
            let stackAround = StackQuery(vmalloc: machine.vmalloc)
            let figures = figures(stack)
            // Two guard pages lie between neighbours: one is the lower's, one the upper's.
            let lowerTop = below.top
            #expect(figures.limit.distance(from: lowerTop) == 2 * 4096)

            #expect(throws: SimulatedFault.self) { try machine.store(1, figures.limit - 8) }
            #expect(machine.lastFatal?.reason == .guardPage)
            #expect(machine.lastFatal?.place.place == .guardBelow)
            #expect(machine.lastFatal?.place.distance == 8)
            let overflow = try #require(stackAround(figures.limit - 8))
            #expect("\(overflow.name)" == "deep recursion")
            #expect(overflow.limit == figures.limit && overflow.top == figures.top)
            #expect(overflow.isOverflow)
            #expect(overflow.depth == 4 * 4096 + 8)

            let inside = try #require(stackAround(figures.top - 100))
            #expect(!inside.isOverflow && inside.depth == 100)
            let above = try #require(stackAround(figures.top + 100))
            #expect(!above.isOverflow && above.depth == 0)
            let lower = try #require(stackAround(figures.limit - 4097))
            #expect("\(lower.name)" == "below")
            // While some CPU holds the lock, too.
            let held = machine.ranges.withLockHeld { stackAround(figures.limit - 8) }
            #expect(held.map { "\($0.name)" } == "deep recursion")

            #expect(stackAround(VirtualAddress(8)) == nil)
            #expect(stackAround(figures.top + 4096) == nil)
            let area = try #require(machine.allocate(4096))
            #expect(stackAround(area) == nil)
            stack.free()
            #expect(stackAround(figures.limit) == nil)
            below.free()
        }
    }
}

/// Not generic and copyable, as the testing macros ask for.
struct StackQuery {
    let vmalloc: Permanent<TestedVmalloc>
    func callAsFunction(_ address: VirtualAddress) -> StackDescription? { vmalloc.value.stack(around: address) }
}
