import X86

/// How the kernel ended. Written to QEMU's `isa-debug-exit` device, whose status is then twice the value plus one.
/// docs/boot.md lists them; `boot/entry.S` uses two before Swift runs.
enum ExitCode: UInt8 {
    case success = 0x10
    case selfTestsFailed = 0x11
    case panic = 0x12
    case unhandledException = 0x13
    case pageFault = 0x14
    case swiftTrap = 0x15
    case doubleFault = 0x16
    case stackOverflow = 0x17
    case notMultiboot = 0x18
    case cpuLacksFeature = 0x19
    case tooLittleMemory = 0x1a
    case outOfMemory = 0x1b
    case memoryCorruption = 0x1c
    case auditFailed = 0x1d
    case nonMaskableInterrupt = 0x1e
    case machineCheck = 0x1f
    case noMemoryMap = 0x20
    case bringUpFailed = 0x21
    case calibrationOff = 0x22

    /// Ends the machine where it is QEMU's; elsewhere stops this CPU for good.
    func exit() -> Never {
        // On another stack, whatever is left of this one: nothing comes back to it.
        if Tracer.isPrepared {
            switch_stack(boot_stack_end_address(), { code in Self.finishTrace(code) }, UInt(rawValue))
        }
        end()
    }

    private static func finishTrace(_ code: UInt) -> Never {
        Tracer.finish()
        (ExitCode(rawValue: UInt8(truncatingIfNeeded: code)) ?? .panic).end()
    }

    private func end() -> Never {
        x86_out8(0xf4, rawValue)
        while true {
            x86_disable_interrupts()
            x86_halt()
        }
    }
}
