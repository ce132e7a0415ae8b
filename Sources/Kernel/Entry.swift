import MemoryPrimitives
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
    DescriptorTables.load()
    Log.info("Quarry: a kernel memory subsystem in Embedded Swift")
    let parameters = BringUp.run(information: PhysicalAddress(UInt(information)))
    guard let memory = unsafe Quarry.memory else { FatalReport.panic("no memory after bring-up") }
    PageTableAudit.run(memory)
    if let crash = parameters.crash { crash.run() }
    if parameters.runsSelfTests { SelfTests.run(memory) }
    SelfTest.summarise().exit()
}
