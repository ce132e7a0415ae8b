import KernelMemory
import MemoryPrimitives
import Paging
import VirtualMemory
import X86

/// Where `boot/entry.S` enters Swift: in long mode on the boot stack and the boot tables, interrupts off.
///
/// - Parameters:
///   - magic: what the boot loader left in eax; checked already.
///   - information: physical address of the Multiboot information.
///   - startTime: the time stamp counter at the kernel's first instruction.
@c(kernel_main)
func kernelMain(magic: UInt32, information: UInt32, startTime: UInt64) {
    unsafe Log.startTime = startTime
    SerialPort.start()
    DescriptorTables.load()
    ImageStack.setCanaries()
    CPUFeatures.enableMachineChecks()
    Log.info("Quarry: a kernel memory subsystem in Embedded Swift")
    let parameters = BringUp.run(information: PhysicalAddress(UInt(information)))
    guard let memory = unsafe Quarry.memory else { FatalReport.panic("no memory after bring-up") }
    do throws(PagingError) { try memory.value.seal() } catch { FatalReport.panic("the image cannot be sealed") }
    PageTableAudit.run(memory)
    Log.info("ready: \(Log.now) ticks since entry")
    ImageStack.checkCanaries("at the end of bring-up")
    if parameters.crash == .stackOverflowOfBootStack { CrashTest.stackOverflowOfBootStack.run() }
    MainStack.enter(memory, parameters)
}

/// The boot stack is left for one of the vmalloc area, which has guard pages and a name, before anything else runs.
enum MainStack {
    nonisolated(unsafe) private static var parameters: BootParameters?
    nonisolated(unsafe) private static var stack: KernelStack<X86Platform>?

    /// By how many pages the stack is larger where the monitor runs on it.
    private static var monitorPageCount: UInt { 2 }

    static func enter(_ memory: Permanent<KernelMemory<X86Platform>>, _ parameters: BootParameters) -> Never {
        // No smaller than the deepest path needs that the static check finds: `kstack=` is for the others.
        let usualPageCount = max(memory.value.stacks.value.options.pageCount, StackOptions.usualPageCount)
        // A command is below the loop that reads it.
        let pageCount = usualPageCount + (parameters.runsMonitor ? monitorPageCount : 0)
        guard let stack = KernelStack<X86Platform>(pageCount: pageCount, name: "main", from: memory.value.stacks) else {
            FatalReport.panic("no memory for the main stack", .outOfMemory)
        }
        let top = stack.top
        Log.info(
            """
            stack "main": \(VirtualRange(stack.limit, top)), \(bytes: stack.byteCount), \(stack.mappedByteCount) of them \
            there, guard pages below and above
            """)
        unsafe Self.parameters = parameters
        unsafe Self.stack = consume stack
        // So many frames that the stack can grow to its end.
        memory.value.stacks.value.refillReserve()
        if parameters.runsMonitor {
            switch_stack(top.rawValue, { _ in MainStack.runMonitor() }, 0)
        } else {
            switch_stack(top.rawValue, { _ in MainStack.run() }, 0)
        }
        FatalReport.panic("the main stack was left")
    }

    /// Bytes of the stack that are left below the caller; 0 on another stack.
    static var stackRemaining: UInt {
        unsafe stack?.stackRemaining(below: VirtualAddress(x86_stack_pointer())) ?? 0
    }

    /// What of the stack the caller and its callers use.
    @inline(__always)
    static var inUse: VirtualRange {
        let top = unsafe stack?.top ?? VirtualAddress(x86_stack_pointer())
        return VirtualRange(VirtualAddress(x86_stack_pointer()), top)
    }

    /// The most bytes of the stack that were ever in use.
    static var highWaterMark: UInt { unsafe stack?.highWaterMark ?? 0 }

    static var byteCount: UInt { unsafe stack?.byteCount ?? 0 }

    /// The bytes of its pages that are there.
    static var mappedByteCount: UInt { unsafe stack?.mappedByteCount ?? 0 }

    /// The lowest byte that may be used.
    static var limit: VirtualAddress { unsafe stack?.limit ?? VirtualAddress(0) }

    private static func runMonitor() -> Never { MonitorLoop.run(prepare().memory) }

    /// What is done before anything else, whatever that is.
    @inline(__always)
    private static func prepare() -> (memory: Permanent<KernelMemory<X86Platform>>, parameters: BootParameters) {
        guard let memory = unsafe Quarry.memory, let parameters = unsafe parameters else {
            FatalReport.panic("the main stack without memory")
        }
        if parameters.sampleSteps > 0 { MemorySample.make(memory, steps: parameters.sampleSteps) }
        if parameters.isExercised { Exercise.run(memory) }
        parameters.reports.print(memory)
        LeakCheck.prepare(parameters.leaks)
        if let crash = parameters.crash { crash.run() }
        return (memory, parameters)
    }

    private static func run() -> Never {
        let (memory, parameters) = prepare()
        if let selection = parameters.benchmarks { Benchmarks.run(memory, selection) }
        if !parameters.runsSelfTests {
            Log.warning("self tests left out")
            LeakCheck.finish(parameters.leaks)
            ExitCode.success.exit()
        }
        SelfTests.run(memory)
        ImageStack.checkCanaries("after the self tests")
        LeakCheck.finish(parameters.leaks)
        Log.info(
            "stack \"main\": at most \(highWaterMark) of \(byteCount) bytes were in use, \(stackRemaining) are left here"
        )
        SelfTest.summarise().exit()
    }
}
