#!/usr/bin/env python3
"""Boots the kernel, lets it use memory of each kind, and writes every report to a file of its own: build/dump/NAME.

The files are what the kernel wrote, line by line, with LF at the ends of lines: those of Linux's formats can stand in the
place of its files in /proc. The whole log is build/dump.log.
"""

import argparse
import pathlib
import re
import subprocess
import sys

from machine_options import add_machine_options, machine_of
from qemu import SUCCESS, describe, status_of
from toolchain import BUILD, Failure, entry_point

# In the order in which the kernel prints them (Sources/Kernel/Report.swift).
REPORTS = (
    "iomem", "buddyinfo", "pagetypeinfo", "slabinfo", "meminfo", "page_tables", "vmallocinfo", "stacks", "zoneinfo",
    "vmstat", "stat", "frames", "slabs", "areas", "map",
)
# `page_owner` is empty unless it is switched on; so it is asked for only then.
OWNERS = "page_owner"
TAIL_LINES = 15


class BadDump(Failure):
    """A log that does not hold what was asked for."""


def words(arguments="", reports=REPORTS):
    """The command line that has a kernel use memory, print the reports, and end."""
    names = list(reports)
    if OWNERS in arguments:
        names.append(OWNERS)
    return f"selftest=no sample report={','.join(names)} {arguments}".strip()


def split(log, reports=REPORTS):
    """The reports of a log, by name: what stands between the lines `--- NAME` and `--- end NAME`."""
    text = log.replace("\r\n", "\n")
    found = {}
    for name in reports:
        match = re.search(rf"^--- {re.escape(name)}\n(.*?)^--- end {re.escape(name)}\n", text, re.MULTILINE | re.DOTALL)
        if match is None:
            raise BadDump(f"the log has no report {name}")
        found[name] = match[1]
    return found


def tail(log):
    return "\n".join(f"    {line}" for line in log.splitlines()[-TAIL_LINES:]) or "    (nothing)"


def boot(machine, timeout):
    """Runs a machine to its end: what it said."""
    try:
        done = subprocess.run(
            machine.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        log = (error.stdout or b"").decode(errors="replace")
        raise Failure(f"no end within {timeout:g} s; the log's last lines:\n{tail(log)}") from error
    log = done.stdout.decode(errors="replace")
    if done.returncode != status_of(SUCCESS):
        raise Failure(f"the kernel ended with: {describe(done.returncode)}; the log's last lines:\n{tail(log)}")
    return log


def write(reports, directory):
    """Writes each report to its file, in place of those of an earlier dump."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        if old.is_file():
            old.unlink()
    for name, text in reports.items():
        (directory / name).write_text(text, newline="\n")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, default=BUILD / "dump")
    add_machine_options(parser)
    options = parser.parse_args(arguments)

    machine = machine_of(options, words(options.arguments))
    log = boot(machine, options.timeout)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".log").write_text(log.replace("\r\n", "\n"))
    names = REPORTS + ((OWNERS,) if OWNERS in options.arguments else ())
    try:
        reports = split(log, names)
    except BadDump as error:
        raise Failure(f"{error}; the log's last lines:\n{tail(log)}") from error
    write(reports, options.output)
    for name, text in reports.items():
        print(f"{len(text.splitlines()):6} lines  {options.output / name}")


if __name__ == "__main__":
    entry_point(main)
