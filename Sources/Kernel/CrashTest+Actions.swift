import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory
import X86

extension CrashTest {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    /// Uses the stack up, a frame at a time; the result keeps the compiler from making a loop of it.
    @inline(never)
    static func recurse(_ depth: UInt) -> UInt {
        if x86_stack_pointer() == 0 { return depth }
        return recurse(depth &+ 1) &+ UInt(x86_load8(x86_stack_pointer()))
    }

    @inline(never)
    static func overflow(_ value: UInt) {
        let sum = UInt(x86_load64(x86_stack_pointer())) | value
        Log.info("this is not reached: \(sum + 1)")
    }

    static var aliasOfCode: UInt { alias(of: image_text_start_address()) }

    /// Where the direct map shows a byte of the image.
    static func alias(of address: UInt) -> UInt {
        let layout = KernelLayout.current
        return layout.directMap.start.rawValue + (address - layout.image.start.rawValue)
    }

    /// Puts a return instruction at `address` and calls it.
    static func execute(at address: UInt) {
        x86_store8(address, 0xc3)
        x86_call(address)
    }

    static func executeHeap(_ memory: Memory) {
        guard let object = unsafe memory.value.kmalloc.value.allocate(64, flags: .kernel) else { return }
        execute(at: UInt(bitPattern: object))
    }

    static func touchGuardPage(_ memory: Memory) {
        guard let area = memory.value.vmalloc.value.allocate(8192, name: "crash test") else {
            return
        }
        x86_store8(area.rawValue + 8191, 1)
        x86_store8(area.rawValue + 8192, 1)
    }

    static func useAfterVfree(_ memory: Memory) {
        guard let area = memory.value.vmalloc.value.allocate(8192, name: "crash test") else {
            return
        }
        x86_store8(area.rawValue, 1)
        memory.value.vmalloc.value.free(area)
        _ = x86_load8(area.rawValue)
    }

    static func doubleVfree(_ memory: Memory) {
        guard let area = memory.value.vmalloc.value.allocate(8192, name: "crash test") else {
            return
        }
        memory.value.vmalloc.value.free(area)
        memory.value.vmalloc.value.free(area)
    }

    static func doubleKfree(_ memory: Memory) {
        guard let object = unsafe memory.value.kmalloc.value.allocate(64, flags: .kernel) else { return }
        unsafe memory.value.kmalloc.value.free(object)
        unsafe memory.value.kmalloc.value.free(object)
    }

    static func interiorKfree(_ memory: Memory) {
        guard let object = unsafe memory.value.kmalloc.value.allocate(64, flags: .kernel) else { return }
        unsafe memory.value.kmalloc.value.free(object + 8)
    }

    static func doubleFreePages(_ memory: Memory) {
        guard let frame = memory.value.frames.value.allocate(order: 2, flags: .kernel) else { return }
        memory.value.frames.value.free(frame, order: 2)
        memory.value.frames.value.free(frame, order: 2)
    }

    /// Allocates Swift objects until there is no memory: what the runtime cannot report is reported here.
    static func exhaustWithObjects() {
        var chain: Link?
        while true { chain = Link(chain) }
    }
}

/// An object of a kilobyte, and the one before it.
private final class Link {
    let previous: Link?
    let load = InlineArray<128, UInt64>(repeating: 0)

    init(_ previous: Link?) { self.previous = previous }
}
