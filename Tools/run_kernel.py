#!/usr/bin/env python3
"""Boots the kernel in QEMU: the serial port goes to the terminal and to build/serial.log.

Ends with 0 when the kernel reports success, with the kernel's exit value when it reports anything else, and with 124
when the time is up.
"""

import argparse
import os
import pathlib
import select
import subprocess
import sys
import time

from machine_options import add_machine_options, machine_of
from qemu import SUCCESS, describe, status_of
from toolchain import BUILD, entry_point

TIMED_OUT = 124
TAIL_LINES = 15


def stream(command, log_path, timeout):
    """Runs `command`, copying its output to the terminal and to a log; its status, or nil when the time ran out."""
    deadline = time.monotonic() + timeout
    with open(log_path, "wb") as log, subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        output = process.stdout.fileno()
        try:
            while True:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not select.select([output], [], [], remaining)[0]:
                    return None
                received = os.read(output, 65536)
                if not received:
                    return process.wait(timeout=10)
                log.write(received)
                log.flush()
                sys.stdout.buffer.write(received)
                sys.stdout.buffer.flush()
        finally:
            if process.poll() is None:
                process.kill()


def tail(log_path):
    lines = log_path.read_text(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:]) or "    (nothing)"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=pathlib.Path, default=BUILD / "serial.log")
    add_machine_options(parser)
    options = parser.parse_args(arguments)

    machine = machine_of(options)
    status = stream(machine.argv(), options.log, options.timeout)
    if status is None:
        print(
            f"\nrun: no end within {options.timeout:g} s; the log's last lines:\n{tail(options.log)}", file=sys.stderr)
        return TIMED_OUT
    if status == status_of(SUCCESS):
        return 0
    print(f"\nrun: the kernel ended with: {describe(status)}", file=sys.stderr)
    return status // 2 if status > 2 else 1


if __name__ == "__main__":
    entry_point(main)
