import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

/// Swift's own objects: arrays, closures and class instances live in kmalloc's memory and are freed.
enum SwiftObjectTests {
    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        SelfTest.run("Swift objects: arrays, closures and instances are freed to the last byte") { objects(memory) }
        SelfTest.run("Swift objects: enumerations with payloads hold and free them") { enumerations(memory) }
    }

    private final class Node {
        nonisolated(unsafe) static var deinitialized = 0
        let value: UInt
        let next: Node?

        init(_ value: UInt, _ next: Node?) {
            self.value = value
            self.next = next
        }

        deinit { unsafe Node.deinitialized += 1 }
    }

    private static func objects(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let free = VmallocTests.settledFreeFrames(memory)
        let live = SwiftRuntime.objectCount
        let before = SwiftRuntime.allocationCount
        unsafe Node.deinitialized = 0
        SelfTest.expect(work(100), equals: 100 * 99 / 2 * 3, "objects hold what was put into them")
        SelfTest.expect(unsafe Node.deinitialized, equals: 100, "every instance is deinitialised")
        SelfTest.expect(SwiftRuntime.allocationCount - before >= 100, "objects were allocated")
        SelfTest.expect(SwiftRuntime.objectCount, equals: live, "every object is freed")
        VmallocTests.expectFree(memory, free)
    }

    /// Several payloads share the word of their pointers with the case: what an address with its top bits set would break.
    private enum Shape {
        case node(Node)
        case values([UInt])
        case sum(() -> UInt)
        indirect case pair(Shape, Shape)

        var value: UInt {
            switch self {
            case .node(let node): return node.value
            case .values(let values):
                var sum: UInt = 0
                for value in values { sum += value }
                return sum
            case .sum(let sum): return sum()
            case .pair(let first, let second): return first.value + second.value
            }
        }
    }

    /// Enumerations with payloads of each kind, one within another.
    @inline(never)
    private static func shapes(_ count: UInt) -> UInt {
        var shape = Shape.values([1, 2, 3])
        for value in 0..<count {
            let other: Shape =
                switch value % 3 {
                case 0: .node(Node(value, nil))
                case 1: .values([value, value])
                default: .sum({ value * 3 })
                }
            shape = .pair(shape, other)
        }
        return shape.value
    }

    private static func enumerations(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let free = VmallocTests.settledFreeFrames(memory)
        let live = SwiftRuntime.objectCount
        unsafe Node.deinitialized = 0
        // 6, and of the numbers below 12 those with remainder 0 once, 1 twice, 2 three times.
        SelfTest.expect(shapes(12), equals: 6 + 18 + 2 * 22 + 3 * 26, "payloads are read as they were written")
        SelfTest.expect(unsafe Node.deinitialized, equals: 4, "every payload is deinitialised")
        SelfTest.expect(SwiftRuntime.objectCount, equals: live, "every object is freed")
        VmallocTests.expectFree(memory, free)
    }

    /// A list of instances, an array of their values and a closure over both.
    @inline(never)
    private static func work(_ count: UInt) -> UInt {
        var list: Node?
        var values: [UInt] = []
        for value in 0..<count {
            list = Node(value, list)
            values.append(value)
        }
        let makeSum: () -> () -> UInt = {
            {
                var sum: UInt = 0
                for value in values { sum += value }
                var node = list
                while let current = node {
                    sum += current.value * 2
                    node = current.next
                }
                return sum
            }
        }
        return makeSum()()
    }
}
