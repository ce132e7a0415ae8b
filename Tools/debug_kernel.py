#!/usr/bin/env python3
"""Boots the -Onone kernel stopped at its first instruction, and opens gdb at the kernel's entry into Swift.

    debug_kernel.py [--memory SIZE ...] [--command GDB-COMMAND ...]

With `--command` gdb runs these after it has arrived, and ends: for scripts and tests.
"""

import argparse
import pathlib
import subprocess
import tempfile
import time

from qemu import MACHINES, Machine
from toolchain import BUILD, Failure, entry_point, tool

OUTPUT = BUILD / "debug"
ENTRY = "kernel_main"


def gdb_command(kernel, socket, before, commands):
    """gdb on the symbols of `kernel`, connected to QEMU; it ends after `commands` where there are any."""
    words = [tool("gdb"), "-q", "-nx"]
    steps = ["set confirm off", "set pagination off", "set architecture i386:x86-64", f"target remote {socket}", *before]
    if commands:
        words += ["-batch"]
    for step in steps + list(commands):
        words += ["-ex", step]
    return [*words, str(kernel)]


class StoppedMachine:
    """A machine in QEMU, stopped before its first instruction, with gdb server and monitor on Unix sockets."""

    def __init__(self, machine, serial_log):
        self.directory = tempfile.TemporaryDirectory(prefix="quarry-gdb-")
        self.socket = pathlib.Path(self.directory.name) / "gdb"
        self.monitor = pathlib.Path(self.directory.name) / "monitor"
        machine.extra += (
            "-S", "-qmp", f"unix:{self.monitor},server=on,wait=off",
            "-chardev", f"socket,id=gdb,path={self.socket},server=on,wait=off", "-gdb", "chardev:gdb")
        # A session of its own: Ctrl-C in gdb interrupts the kernel, and does not end QEMU.
        self.process = subprocess.Popen(
            machine.argv(serial=f"file:{serial_log}"), stdin=subprocess.DEVNULL, start_new_session=True)

    def __enter__(self):
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Failure("QEMU did not open its gdb socket")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=10)
        self.directory.cleanup()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", default="512M")
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--machine", choices=MACHINES, default="pc")
    parser.add_argument("--arguments", default="")
    parser.add_argument("--command", action="append", default=[], help="run in gdb at the kernel's entry, then end")
    options = parser.parse_args(arguments)
    machine = Machine(
        memory=options.memory, cpu=options.cpu, machine=options.machine, arguments=options.arguments,
        kernel=OUTPUT / "quarry-multiboot.elf")
    log = OUTPUT / "serial.log"
    print(f"debug: the serial port goes to {log}")
    with StoppedMachine(machine, log) as stopped:
        arrive = [f"hbreak *{ENTRY}", "continue"]
        command = gdb_command(OUTPUT / "quarry.elf", stopped.socket, arrive, options.command)
        return subprocess.run(command, timeout=60 if options.command else None).returncode


if __name__ == "__main__":
    entry_point(main)
