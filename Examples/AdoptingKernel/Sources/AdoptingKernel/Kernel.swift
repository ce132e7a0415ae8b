import Quarry
import QuarryX86

nonisolated(unsafe) var memory: Permanent<KernelMemory<Machine>>?
nonisolated(unsafe) var pageFaults: UInt = 0

/// Where boot/entry.S enters: in long mode, interrupts off, on the boot stack and the boot tables.
@c(kernel_main)
func kernelMain(magic: UInt32, information: UInt32, startTime: UInt64) {
    DescriptorTables.load()
    let cpu = CPUFeatures.start()
    do throws(MultibootBringUpError) {
        let started = try KernelMemory<Machine>.bringUp(multiboot: information, layout: .adopted, cpu: cpu)
        unsafe memory = started
        demonstrate(started.value)
        // What the first round left in caches serves the second: nothing is lost.
        let free = started.value.frames.value.freeFrames
        demonstrate(started.value)
        Console.check("free frames after all of it again", started.value.frames.value.freeFrames, is: free)
    } catch {
        Console.stop(error.reason, 0x21)
    }
    Console.stop("done", 0x10)
}

/// Where boot/interrupts.S brings every exception: a page fault that was due is answered, all else ends the kernel.
@c(exception_dispatch)
func dispatchException(frameAddress: UInt) {
    // The stub's own frame, which is there for this call.
    let frame = unsafe ExceptionFrame.at(frameAddress).pointee
    Machine.enterAtomicContext()
    defer { Machine.leaveAtomicContext() }
    guard frame.vector == 14, let memory = unsafe memory else { Console.stop(frame.name, 0x13, at: frame.rip) }
    let address = VirtualAddress(UInt(x86_read_cr2()))
    guard memory.value.resolvePageFault(at: address, access: FaultAccess(errorCode: UInt64(frame.errorCode))) else {
        Console.stop("page fault at ", 0x14, at: address.rawValue)
    }
    unsafe pageFaults += 1
}

// What Swift's runtime asks for, by way of boot/runtime.c.
@c(swift_runtime_allocate)
func allocateObject(size: UInt, alignment: UInt) -> UInt {
    if let object = unsafe memory?.value.allocateSwiftObject(byteCount: size, alignment: alignment) { return object }
    Console.stop("no memory for a Swift object", 0x1b)
}

@c(swift_runtime_free)
func freeObject(_ object: UInt) { unsafe memory?.value.freeSwiftObject(object) }
