import X86

/// Ends of a machine that a person asked for.
enum PowerControl {
    /// Switches the machine off: by QEMU's `isa-debug-exit` with the status of success; where that is not there, by the
    /// power management ports of QEMU's machines, `q35` first; elsewhere the CPU halts for good.
    static func powerOff() -> Never {
        if Tracer.isPrepared { Tracer.finish() }
        x86_out8(0xf4, ExitCode.success.rawValue)
        // SLP_EN with the sleep type of S5, which is 0 there (ACPI 4.8.3.2.1).
        x86_out16(0x604, 1 << 13)
        ExitCode.success.exit()
    }

    /// Resets the machine: by the reset control register, the keyboard controller, and at last by a triple fault.
    static func reboot() -> Never {
        if Tracer.isPrepared { Tracer.finish() }
        x86_disable_interrupts()
        // A hard reset of the system and the CPU (Intel ICH, reset control register).
        x86_out8(0xcf9, 0x02)
        x86_out8(0xcf9, 0x06)
        waitAWhile()
        x86_out8(0x64, 0xfe)
        waitAWhile()
        x86_load_idt(0, 0)
        x86_breakpoint()
        ExitCode.panic.exit()
    }

    private static func waitAWhile() {
        for _ in 0..<1_000_000 { x86_pause() }
    }
}
