import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory
import X86

/// Memory lost on purpose, one piece of each kind, and a list that is not lost though nothing refers to its elements' first
/// bytes.
enum PlantedLeaks {
    /// Where the list begins: an address in the middle of its first element.
    nonisolated(unsafe) private static var list: UInt = 0

    @inline(never)
    static func plant() {
        guard let memory = unsafe Quarry.memory else { return }
        loseObject(memory)
        loseArea(memory)
        loseBlock(memory)
        keepList(memory)
    }

    @inline(never)
    private static func loseObject(_ memory: Permanent<KernelMemory<X86Platform>>) {
        guard let object = unsafe memory.value.kmalloc.value.kzalloc(100, .kernel) else { return }
        var address = UInt(bitPattern: object)
        for byte in 0..<16 as Range<UInt8> { x86_store8(address + UInt(byte), UInt8(ascii: "a") + byte) }
        address = x86_hide(0)
    }

    @inline(never)
    private static func loseArea(_ memory: Permanent<KernelMemory<X86Platform>>) {
        // The description of the main stack refers to the end of its guard page, which is where the next area begins.
        let neighbour = memory.value.vmalloc.value.allocate(4096)
        defer { memory.value.vmalloc.value.free(neighbour) }
        guard let area = memory.value.vmalloc.value.allocate(20_000) else { return }
        // One of its pages is there.
        x86_store64(area.rawValue, 0x7473_6f6c)
    }

    @inline(never)
    private static func loseBlock(_ memory: Permanent<KernelMemory<X86Platform>>) {
        guard let frame = memory.value.frames.value.allocate(order: 1, flags: .kernel | .zero) else { return }
        _ = x86_hide(frame.rawValue)
    }

    /// Three elements; each refers to the middle of the next.
    @inline(never)
    private static func keepList(_ memory: Permanent<KernelMemory<X86Platform>>) {
        for _ in 0..<3 {
            guard let element = unsafe memory.value.kmalloc.value.kzalloc(48, .kernel) else { return }
            let middle = UInt(bitPattern: element) + 24
            x86_store64(middle, UInt64(unsafe list))
            unsafe list = middle
        }
    }
}
