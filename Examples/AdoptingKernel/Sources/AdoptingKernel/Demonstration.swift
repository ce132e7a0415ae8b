import Quarry
import QuarryX86

/// A value in memory of a cache of its own, which ends with its box. Its array is kmalloc's, by way of Swift's runtime.
struct Session: ~Copyable {
    nonisolated(unsafe) static var live: UInt = 0
    let squares = (0..<100).map { (number: UInt) in number * number }

    init() { unsafe Session.live += 1 }
    deinit { unsafe Session.live -= 1 }
}

/// One use of each allocator. A call returns nil where there is no memory: `!` makes a trap of that, and an end of this kernel.
func demonstrate(_ memory: borrowing KernelMemory<Machine>) {
    let (frames, kmalloc, vmalloc) = (memory.frames, memory.kmalloc, memory.vmalloc)
    let free = frames.value.freeFrames
    let block = frames.value.allocate(order: 3)!
    Console.check("frames in a block of order 3", free - frames.value.freeFrames, is: 8)
    frames.value.free(block, order: 3)
    // Nobody else has the object.
    let object = unsafe kmalloc.value.kmalloc(100, .kernel)!
    Console.check("bytes in an object of 100", unsafe kmalloc.value.ksize(object), is: 112)
    unsafe kmalloc.value.kfree(object)
    useSession(kmalloc)
    Console.check("sessions that have not ended", unsafe Session.live, is: 0)

    // A megabyte that is mapped when it is touched: a page fault brings a page and its neighbours.
    let area = vmalloc.value.vmalloc(1 << 20)!
    let (faults, resolved) = (unsafe pageFaults, vmalloc.value.statistics.resolvedFaults)
    for page in 0..<256 as Range<UInt> { x86_store64((area + page << 12).rawValue, UInt64(page)) }
    Console.check("pages that 256 stores brought", vmalloc.value.find_vm_area(area)!.presentPages, is: 256)
    Console.check("page faults", unsafe pageFaults - faults, is: vmalloc.value.statistics.resolvedFaults - resolved)
    vmalloc.value.vfree(area)
    let populated = vmalloc.value.allocate(64 << 10, populate: true)!
    Console.check("pages that are there at once", vmalloc.value.find_vm_area(populated)!.presentPages, is: 16)
    vmalloc.value.vfree(populated)

    let stack = KernelStack<Machine>(name: "demonstration", from: memory.stacks)!
    switch_stack(stack.top.rawValue, { _ in x86_store64(x86_stack_pointer() - 6000, 1) }, 0)
    Console.check("pages of a stack of which 6000 bytes were used", stack.mappedByteCount >> 12, is: 2)
    stack.free()
}

func useSession(_ kmalloc: Permanent<Kmalloc<Machine>>) {
    guard let sessions = try? ObjectCache<Session, Machine>("session", in: kmalloc),
        let session = sessions.make({ Session() })
    else { Console.stop("no memory for a session", 0x1b) }
    Console.check("sum of the squares below 100", session.value.squares.reduce(0, +), is: 328_350)
}
