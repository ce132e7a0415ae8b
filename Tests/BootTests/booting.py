"""Runs the kernel in QEMU for a test and keeps what it said."""

import collections
import dataclasses
import re
import subprocess
import sys

import pexpect
import pytest

from debug_kernel import StoppedMachine, gdb_command
from make_iso import make_iso
from qemu import ENDS, Machine, describe, status_of
from toolchain import BUILD, ROOT

TIMEOUT = 60
TAIL_LINES = 25
NAMED_FRAME = re.compile(r"^\s+#\d+ 0x[0-9a-f]{16} \S.*\+0x[0-9a-f]+", re.MULTILINE)
BASES = re.compile(
    r"address space, (?:not )?drawn: direct map 0x(\w+), vmalloc 0x(\w+), frame table 0x(\w+), object alias 0x(\w+)")
REGISTERS = ("rax", "rsp", "rbp", "rip", "rflags", "cr2", "cr3")

Bases = collections.namedtuple("Bases", "direct_map vmalloc frame_table object_alias")


@dataclasses.dataclass
class BootResult:
    """How a boot ended: QEMU's exit status and all that came over the serial port."""

    status: int
    log: str

    @property
    def last_line(self):
        lines = [line for line in self.log.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def tail(self):
        return "\n".join(self.log.splitlines()[-TAIL_LINES:]) or "(nothing)"

    def number(self, pattern, base=10):
        """The number that the pattern's group finds in the log; the test fails where it finds none."""
        match = re.search(pattern, self.log)
        assert match, f"the log has no line like {pattern!r}:\n{self.tail()}"
        return int(match[1], base)

    @property
    def bases(self):
        """Where the regions of the address space begin in this boot: direct_map, vmalloc, frame_table, object_alias."""
        match = BASES.search(self.log)
        assert match, f"the log does not say where the regions begin:\n{self.tail()}"
        return Bases(*(int(base, 16) for base in match.groups()))

    def expect_end(self, value):
        assert self.status == status_of(value), (
            f"expected {ENDS[value]}, got {describe(self.status)}; the log's last lines:\n{self.tail()}")

    def expect(self, *patterns):
        for pattern in patterns:
            assert re.search(pattern, self.log), f"the log has no line like {pattern!r}:\n{self.tail()}"

    def expect_backtrace(self):
        backtrace = self.log.partition("backtrace:")[2]
        assert len(NAMED_FRAME.findall(backtrace)) >= 2, f"fewer than two frames have names:\n{self.tail()}"

    def expect_registers(self):
        for register in REGISTERS:
            self.expect(rf"\b{register}\s+0x[0-9a-f]+")


def describe_machine(log_path, **description):
    log_path.parent.mkdir(parents=True, exist_ok=True)
    machine = Machine(**description)
    if machine.boot == "iso":
        machine.iso = make_iso(log_path.with_suffix(".iso"), machine.arguments, BUILD / "quarry.elf")
    return machine


def run_machine(log_path, timeout=TIMEOUT, **description):
    """Boots to the end. A boot that does not end is a failure that shows the log's tail."""
    machine = describe_machine(log_path, **description)
    command = machine.argv()
    with open(log_path, "w", encoding="utf-8") as log:
        qemu = pexpect.spawn(command[0], command[1:], timeout=timeout, encoding="utf-8", codec_errors="replace")
        qemu.logfile_read = log
        try:
            qemu.expect(pexpect.EOF)
            text, hung = qemu.before, False
        except pexpect.TIMEOUT:
            text, hung = qemu.before, True
        finally:
            qemu.close(force=True)
    status = qemu.exitstatus if qemu.exitstatus is not None else -(qemu.signalstatus or 0)
    result = BootResult(status, text.replace("\r\n", "\n"))
    if hung:
        pytest.fail(f"no end within {timeout} s; the log's last lines:\n{result.tail()}", pytrace=False)
    return result


def run_under_gdb(log_path, commands, kernel_directory=BUILD, timeout=TIMEOUT, **description):
    """Boots stopped, and lets gdb do `commands`: (gdb's output, BootResult); status None where gdb left it running.

    Commands that start with `ask ` go to QEMU's monitor, while gdb holds the machine.
    """
    machine = describe_machine(log_path, kernel=kernel_directory / "quarry-multiboot.elf", **description)
    with StoppedMachine(machine, log_path) as stopped:
        ask = f"shell {sys.executable} {ROOT / 'Tools' / 'qemu_monitor.py'} {stopped.monitor} "
        steps = [re.sub(r"^ask ", lambda _: ask, step) for step in commands]
        command = gdb_command(kernel_directory / "quarry.elf", stopped.socket, [], steps)
        try:
            gdb = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=timeout, stdin=subprocess.DEVNULL)
            output = gdb.stdout + gdb.stderr
        except subprocess.TimeoutExpired:
            tail = BootResult(0, log_path.read_text(errors="replace")).tail()
            pytest.fail(f"gdb did not end within {timeout} s; the log's last lines:\n{tail}", pytrace=False)
        try:
            status = stopped.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            status = None
    log = log_path.read_text(errors="replace") if log_path.exists() else ""
    return output, BootResult(status, log.replace("\r\n", "\n"))
