#!/usr/bin/env python3
"""Boots the kernel with its calls traced, and gathers the trace: `trace.py [--output build/trace.txt] ...`.

The kernel sends the trace to its second serial port, which QEMU writes to the file: text in the format of ftrace, which
Tools/Replay runs on this host. Ends as the kernel does (run_kernel.py), and with 1 where events are missing.
"""

import argparse
import pathlib
import re
import sys

from machine_options import add_machine_options, machine_of
from qemu import SUCCESS, describe, status_of
from run_kernel import TIMED_OUT, stream, tail
from toolchain import BUILD, entry_point

SUMMARY = re.compile(
    r"trace: (\d+) events written, (\d+) sent, (\d+) in the ring, (\d+) overwritten, (\d+) dropped")


def count_events(path):
    """The events in a trace, and those that it says were lost."""
    events = lost = 0
    with open(path, encoding="ascii", errors="replace") as lines:
        for line in lines:
            if match := re.match(r"CPU:\d+ \[LOST (\d+) EVENTS\]", line):
                lost += int(match[1])
            elif line.strip() and not line.startswith("#"):
                events += 1
    return events, lost


def summary(log):
    """What the kernel counted: written, sent, in the ring, overwritten, dropped; None where it did not come to that."""
    found = SUMMARY.findall(log)
    return tuple(int(number) for number in found[-1]) if found else None


def run(machine, timeout):
    """Boots with its output on the terminal: how it ended, and what it said."""
    log = BUILD / "trace.log"
    status = stream(machine.argv(), log, timeout)
    if status is None:
        print(f"\ntrace: no end within {timeout:g} s; the log's last lines:\n{tail(log)}", file=sys.stderr)
    return status, log.read_text(errors="replace")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, default=BUILD / "trace.txt")
    parser.add_argument("--events", default="on", help="what is traced, as trace= takes it")
    add_machine_options(parser, memory="64M", timeout=300)
    options = parser.parse_args(arguments)

    options.output.parent.mkdir(parents=True, exist_ok=True)
    machine = machine_of(
        options, f"trace={options.events},com2 {options.arguments}".strip(), extra=("-serial", f"file:{options.output}"))
    status, log = run(machine, options.timeout)
    if status is None:
        return TIMED_OUT
    counted = summary(log)
    events, lost = count_events(options.output)
    print(f"\ntrace: {events} events in {options.output}, {lost} lost")
    if status != status_of(SUCCESS):
        print(f"trace: the kernel ended with: {describe(status)}", file=sys.stderr)
        return status // 2 if status > 2 else 1
    if counted is None or counted[0] != events or counted[4] != lost:
        print(f"trace: the kernel counted otherwise: {counted}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    entry_point(main)
