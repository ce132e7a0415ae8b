"""The one place that knows QEMU's command line, and what the kernel's exit values mean.

`make run`, `make debug` and the boot tests all describe their machine with `Machine`.
"""

import dataclasses
import pathlib
import re

from toolchain import BUILD, Failure, tool

MACHINES = ("pc", "q35")
BOOTS = ("kernel", "iso")
MEGABYTE = 1 << 20

# What the kernel writes to port 0xf4 when it ends (Sources/Kernel/ExitCode.swift); QEMU's status is twice that plus one.
SUCCESS = 0x10
ENDS = {
    SUCCESS: "success",
    0x11: "self tests failed",
    0x12: "panic",
    0x13: "unhandled exception",
    0x14: "page fault",
    0x15: "Swift trap (invalid opcode)",
    0x16: "double fault",
    0x17: "stack overflow",
    0x18: "not booted by Multiboot",
    0x19: "the CPU lacks a feature",
    0x1A: "too little memory",
    0x1B: "out of memory",
    0x1C: "memory corruption (double or wild free)",
    0x1D: "page-table audit failed",
    0x1E: "non-maskable interrupt",
    0x1F: "machine check",
    0x20: "no memory map, or unreadable Multiboot information",
    0x21: "bring-up failed for another reason than too little memory",
    0x22: "the time stamp counter does not count instructions",
}


def status_of(value):
    """QEMU's exit status when the kernel ends with `value`."""
    return 2 * value + 1


def describe(status):
    """What an exit status of QEMU says about the kernel, in words; None stands for a machine that was still running."""
    if status is None:
        return "no end: the machine was still running"
    if status == 0:
        return "the machine was reset or switched off: a triple fault, or QEMU was told to quit"
    if status == 1:
        return "QEMU could not run"
    if status < 0:
        return f"QEMU was ended by signal {-status}"
    value = status // 2
    return f"{ENDS.get(value, 'an unknown end')} (exit value {value:#x}, QEMU status {status})"


def byte_count(size):
    """The bytes in `64M`, `5G` and so on; a bare number counts MiB, as for QEMU."""
    match = re.fullmatch(r"(\d+)([KMGT]?)", size.upper())
    if not match:
        raise Failure(f"MEMORY={size} is no size: write 64M, 512M, 5G or 64G")
    return int(match[1]) * {"": MEGABYTE, "K": 1 << 10, "M": MEGABYTE, "G": 1 << 30, "T": 1 << 40}[match[2]]


@dataclasses.dataclass
class Machine:
    """A virtual machine and what it boots. `argv()` is its command line."""

    memory: str = "512M"
    cpu: str = "max"
    machine: str = "pc"
    boot: str = "kernel"
    arguments: str = ""
    kernel: pathlib.Path = BUILD / "quarry-multiboot.elf"
    iso: pathlib.Path = BUILD / "quarry.iso"
    module: pathlib.Path | None = None  # a file for the boot loader to load beside the kernel
    counts_instructions: bool = False  # the time stamp counter counts executed instructions instead of time
    extra: tuple = ()

    def argv(self, serial="stdio", monitor="none"):
        """The command line, with the serial port on the character device `serial`."""
        if self.machine not in MACHINES:
            raise Failure(f"MACHINE={self.machine} is unknown: choose {' or '.join(MACHINES)}")
        if self.boot not in BOOTS:
            raise Failure(f"BOOT={self.boot} is unknown: choose {' or '.join(BOOTS)}")
        command = [
            tool("qemu-system-x86_64"),
            "-accel", "tcg",
            "-cpu", self.cpu,
            "-no-reboot",
            "-display", "none",
            "-nic", "none",
            "-monitor", monitor,
            "-serial", serial,
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        ]
        if self.counts_instructions:
            command += ["-icount", "shift=0,sleep=off", "-smp", "1"]
        # More memory than the host has: reserve address space only, and pay for the pages that the kernel touches.
        if byte_count(self.memory) > 4 << 30:
            command += [
                "-machine", f"{self.machine},memory-backend=ram",
                "-m", self.memory,
                "-object", f"memory-backend-ram,id=ram,size={self.memory},reserve=off",
            ]
        else:
            command += ["-machine", self.machine, "-m", self.memory]
        if self.module and self.boot != "kernel":
            raise Failure("only BOOT=kernel loads a module: GRUB's menu names none")
        if self.boot == "kernel":
            command += ["-kernel", str(self.kernel)]
            if self.arguments:
                command += ["-append", self.arguments]
            if self.module:
                command += ["-initrd", str(self.module)]
        else:
            command += ["-cdrom", str(self.iso), "-boot", "d"]
        return command + list(self.extra)
