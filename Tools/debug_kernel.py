#!/usr/bin/env python3
"""Boots the -Onone kernel stopped at its first instruction, and opens gdb, with the commands of gdb/quarry.py, at the kernel's
entry into Swift.

    debug_kernel.py [--memory SIZE ...] [--command GDB-COMMAND ...]
    debug_kernel.py [--memory SIZE ...] --script FILE
    debug_kernel.py [--memory SIZE ...] --wait [--port NUMBER]

With `--command` gdb runs these after it has arrived, and ends: for scripts and tests. With `--script` it runs a file of
commands from the machine's first instruction on, and ends. With `--wait` no gdb is started: the machine waits for one on a
TCP port, as an editor's debugger needs it, until that one ends it.
"""

import argparse
import pathlib
import signal
import subprocess
import tempfile
import time

from qemu import MACHINES, Machine
from toolchain import BUILD, ROOT, Failure, entry_point, tool

OUTPUT = BUILD / "debug"
ENTRY = "kernel_main"
COMMANDS = ROOT / "gdb" / "quarry.py"
PORT = 1234


def gdb_command(kernel, socket, before, commands, script=None):
    """gdb on the symbols of `kernel`, connected to QEMU; it ends after `commands`, or `script`, where there are any."""
    words = [tool("gdb"), "-q", "-nx"]
    steps = [
        "set confirm off", "set pagination off", "set architecture i386:x86-64", f"source {COMMANDS}",
        read_symbols(kernel), f"target remote {socket}", *before]
    if commands or script:
        words += ["-batch"]
    for step in steps + list(commands):
        words += ["-ex", step]
    if script:
        words += ["-x", str(script)]
    return words


def read_symbols(kernel):
    """The command that reads a kernel's symbols, all of them at once. Of Swift's C modules the debugging information names
    files that gdb does not look for in the right place, and that nobody needs; it would say so three hundred times."""
    file, symbol = f"file {kernel}", f"info address {ENTRY}"
    return f"python [gdb.execute(line, to_string=True) for line in ({file!r}, {symbol!r})]"


class StoppedMachine:
    """A machine in QEMU, stopped before its first instruction, with gdb server and monitor on Unix sockets, or the gdb
    server on a TCP port of this host."""

    def __init__(self, machine, serial_log, port=None):
        self.directory = tempfile.TemporaryDirectory(prefix="quarry-gdb-")
        self.socket = pathlib.Path(self.directory.name) / "gdb"
        self.monitor = pathlib.Path(self.directory.name) / "monitor"
        server = ("-gdb", f"tcp:127.0.0.1:{port}") if port else (
            "-chardev", f"socket,id=gdb,path={self.socket},server=on,wait=off", "-gdb", "chardev:gdb")
        # The monitor comes last: where its socket is there, the other is, too.
        machine.extra += ("-S", *server, "-qmp", f"unix:{self.monitor},server=on,wait=off")
        # A session of its own: Ctrl-C in gdb interrupts the kernel, and does not end QEMU.
        self.process = subprocess.Popen(
            machine.argv(serial=f"file:{serial_log}"), stdin=subprocess.DEVNULL, start_new_session=True)
        self.awaited = (self.monitor,) if port else (self.socket, self.monitor)

    def __enter__(self):
        deadline = time.monotonic() + 10
        while not all(path.exists() for path in self.awaited):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Failure("QEMU did not open its gdb server: is the port in use?")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=10)
        self.directory.cleanup()


def serve(machine, log, port):
    """The machine, waiting for a debugger until it is ended."""
    with StoppedMachine(machine, log, port) as stopped:
        # What an editor's task looks for.
        print(f"debug: waiting for gdb on 127.0.0.1:{port}", flush=True)
        try:
            stopped.process.wait()
        except KeyboardInterrupt:
            pass
    return 0


def argument_parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", default="512M")
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--machine", choices=MACHINES, default="pc")
    parser.add_argument("--arguments", default="")
    parser.add_argument("--kernel", choices=["debug", "release"], default="debug", help="which build to boot")
    parser.add_argument("--command", action="append", default=[], help="run in gdb at the kernel's entry, then end")
    parser.add_argument("--script", type=pathlib.Path, help="run this file of gdb commands, then end")
    parser.add_argument("--wait", action="store_true", help="start no gdb: wait for one on a port")
    parser.add_argument("--port", type=int, default=PORT, help="the port, with --wait")
    return parser


def main(arguments):
    options = argument_parser().parse_args(arguments)
    output = OUTPUT if options.kernel == "debug" else BUILD
    machine = Machine(
        memory=options.memory, cpu=options.cpu, machine=options.machine, arguments=options.arguments,
        kernel=output / "quarry-multiboot.elf")
    log = output / "serial.log"
    print(f"debug: the serial port goes to {log}", flush=True)
    if options.wait:
        return serve(machine, log, options.port)
    with StoppedMachine(machine, log) as stopped:
        # At a function's first instruction its arguments are not where they will be.
        arrive = [] if options.script else [
            "set print frame-arguments presence", f"hbreak *{ENTRY}", "continue", "set print frame-arguments scalars"]
        command = gdb_command(output / "quarry.elf", stopped.socket, arrive, options.command, options.script)
        # A person's Ctrl-C comes to this process as well as to gdb, for which it is: it stops the kernel. A handler that does
        # nothing, because what is ignored would be ignored in gdb, too.
        signal.signal(signal.SIGINT, lambda *_: None)
        return subprocess.run(command, timeout=120 if options.command or options.script else None).returncode


if __name__ == "__main__":
    entry_point(main)
