#!/usr/bin/env python3
"""Draws where memory is: boots the kernel with some allocations kept, or takes a dump, and writes a page and a picture.

The page, build/memory-map.html, needs nothing but itself. docs/memory-map.md describes both, and the reports they are
drawn from.
"""

import argparse
import pathlib

import dump
from dump import split
from machine_options import add_machine_options, machine_of
from memory_map.dump import ASKED, NEEDED, WELCOME, parse, read_directory
from memory_map.model import Model
from memory_map.page import write_page
from memory_map.svg import write_svg
from memory_map.trace import parse_trace
from toolchain import BUILD, Failure, entry_point

USUAL_ARGUMENTS = "sample selftest=no"
# The events that a page plays: those that change what frames are used for, and the areas among them.
PLAYED = "mm_page_alloc,mm_page_free,vmalloc,vfree"


def boot(options):
    """The reports of a kernel that is booted for it, and, where a trace is wished for, the trace of the same boot in its file."""
    arguments, extra = f"{options.arguments} report={','.join(ASKED)}", ()
    if options.trace:
        options.trace.parent.mkdir(parents=True, exist_ok=True)
        arguments, extra = f"{arguments} trace={PLAYED},com2", ("-serial", f"file:{options.trace}")
    machine = machine_of(options, arguments, extra)
    if not machine.kernel.is_file():
        raise Failure(f"{machine.kernel} is missing: `make kernel` builds it")
    return split(dump.boot(machine, options.timeout), ASKED)


def read(path):
    try:
        return path.read_text()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dump", type=pathlib.Path, metavar="DIR", help="draw the reports in DIR, each in a file of its name")
    parser.add_argument("--trace", type=pathlib.Path, metavar="FILE",
                        help="play a trace, in the text of ftrace, on the page: with --dump this one, else the boot's own, which is "
                             "written there")
    parser.add_argument("--html", type=pathlib.Path, default=BUILD / "memory-map.html")
    parser.add_argument("--svg", type=pathlib.Path, default=BUILD / "memory-map.svg")
    parser.add_argument("--save-dump", type=pathlib.Path, metavar="DIR", help="keep the reports, too")
    add_machine_options(parser, arguments=USUAL_ARGUMENTS, timeout=120)
    options = parser.parse_args(arguments)

    reports = read_directory(options.dump) if options.dump else boot(options)
    model = Model(parse(reports))
    trace = parse_trace(read(options.trace)) if options.trace else None
    if options.save_dump:
        options.save_dump.mkdir(parents=True, exist_ok=True)
        for name in (*NEEDED, *WELCOME):
            if name in reports:
                (options.save_dump / name).write_text(reports[name])
    for path, text in ((options.html, write_page(model, trace)), (options.svg, write_svg(model))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"map: {path}, {len(text) // 1024} KiB")
    return 0


if __name__ == "__main__":
    entry_point(main)
