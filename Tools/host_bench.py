#!/usr/bin/env python3
"""Runs the page-frame workloads on the host and shows them beside other allocators'.

    host_bench.py [--callgrind] [--check]

Builds Benchmarks/ in Embedded mode and runs it for the time that an operation takes; with --callgrind also under
valgrind, for its instructions. --check fails where a bound of Benchmarks/bounds.json is not kept.
"""

import argparse
import dataclasses
import json
import re
import shutil
import subprocess

import bench_figures as figures
from toolchain import BUILD, ROOT, Failure, entry_point, run, tool

PACKAGE = ROOT / "Benchmarks"
OTHERS = PACKAGE / "host-others.json"
SCRATCH = ROOT / ".build-host-bench"
PRODUCT = "PageFrameWorkloads"
DUMPS = BUILD / "callgrind"
TRIGGER = re.compile(r"^desc: Trigger: Client Request: (.+)$", re.MULTILINE)
TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)


@dataclasses.dataclass
class Figures:
    """What a run of the workloads said."""

    operations: dict = dataclasses.field(default_factory=dict)
    nanoseconds: dict = dataclasses.field(default_factory=dict)  # per operation
    instructions: dict = dataclasses.field(default_factory=dict)  # per operation, the whole loop included
    refused: dict = dataclasses.field(default_factory=dict)
    large_blocks: dict = dataclasses.field(default_factory=dict)  # percent of free memory, by percent of memory in use


def build():
    """The workloads, without debug information, which Debian's valgrind cannot read."""
    run([
        tool("swift"), "build", "--build-system", "native", "--triple", "x86_64-unknown-linux-gnu",
        "--toolset", PACKAGE / "toolset.json", "-c", "release", "--scratch-path", SCRATCH, "--package-path", PACKAGE,
        "--product", PRODUCT,
    ])
    BUILD.mkdir(exist_ok=True)
    program = BUILD / "page-frame-workloads"
    run([tool("llvm-objcopy"), "--strip-debug", SCRATCH / "release" / PRODUCT, program])
    return program


def output_of(command, timeout):
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"no end of the workloads within {timeout} s") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
        raise Failure(f"the workloads ended with status {done.returncode}:\n{said}")
    return done.stdout


def read_output(text):
    found = Figures()
    for line in text.splitlines():
        kind, *fields = line.split("\t")
        if kind == "measured" and len(fields) == 3:
            label, operations, nanoseconds = fields
            found.operations[label] = int(operations)
            found.nanoseconds[label] = int(nanoseconds) / int(operations)
        elif kind == "refused" and len(fields) == 2:
            found.refused[fields[0]] = int(fields[1])
        elif kind == "fragmentation" and len(fields) == 4:
            percent, large, free, refused = fields
            found.large_blocks[percent] = round(100 * int(large) / int(free), 1)
            found.refused[f"D2 {percent} %"] = int(refused)
        else:
            raise Failure(f"a line of the workloads' that means nothing: {line!r}")
    return found


def read_dumps(texts, operations):
    """Instructions per operation by label, from callgrind's dumps."""
    found = {}
    for text in texts:
        label, total = TRIGGER.search(text), TOTAL.search(text)
        if label and total:
            found[label[1]] = int(total[1]) / operations[label[1]]
    missing = [label for label in operations if label not in found]
    if missing:
        raise Failure(f"callgrind counted nothing for {', '.join(missing)}")
    return found


def count(program):
    """Instructions per operation by label."""
    shutil.rmtree(DUMPS, ignore_errors=True)
    DUMPS.mkdir(parents=True)
    text = output_of([
        tool("valgrind"), "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={DUMPS / 'out'}", program,
    ], 300)
    return read_dumps([path.read_text() for path in DUMPS.iterdir()], read_output(text).operations)


def problems(found, bounds):
    """What is wrong with the figures; a figure that is not there is wrong too."""
    wrong = []
    for label, most in bounds["host instructions per operation"].items():
        value = found.instructions.get(label)
        if value is None or value > most:
            wrong.append(f"{label}: {'nothing counted' if value is None else f'{value:.1f} instructions'}, at most {most}")
    for label, most in bounds["host refusals"].items():
        value = found.refused.get(label)
        if value is None or value > most:
            wrong.append(f"{label}: {value} requests refused, at most {most}")
    for percent, least in bounds["host percent of free memory in blocks of order 9"].items():
        value = found.large_blocks.get(percent)
        if value is None or value < least:
            wrong.append(f"D2 at {percent} %: {value} % of free memory in blocks of order 9, at least {least}")
    return wrong


def print_tables(found, others, bounds):
    limits = bounds["host instructions per operation"]
    print(f"\n{'':24} {'operations':>11} {'ns':>8} {'instructions':>13} {'at most':>8}")
    for label in found.operations:
        instructions = f"{found.instructions[label]:.1f}" if label in found.instructions else "-"
        print(
            f"{label:24} {found.operations[label]:>11} {found.nanoseconds[label]:>8.1f} {instructions:>13} "
            f"{limits.get(label, '-'):>8}")

    columns = list(others["instructions"]["null"])
    print("\ninstructions per operation, the whole loop included\n")
    print(f"{'':24}" + "".join(f"{column:>19}" for column in columns) + "  checks")
    rows = {**others["instructions"], "Quarry": found.instructions} if found.instructions else others["instructions"]
    for name, row in rows.items():
        checks = others["checks"].get(name, "yes")
        print(f"{name:24}" + "".join(f"{row[column]:>19.0f}" for column in columns) + f"  {checks}".rstrip())

    loads = list(bounds["host percent of free memory in blocks of order 9"])
    print("\nD2: % of free memory to be had in blocks of order 9\n")
    print(f"{'':24}" + "".join(f"{load + ' % in use':>12}" for load in loads))
    rows = {**others["percent of free memory in blocks of order 9"], "Quarry": found.large_blocks}
    for name, row in rows.items():
        print(f"{name:24}" + "".join(f"{row[load]:>12.1f}" for load in loads))
    print("\nrequests refused: " + ", ".join(f"{label} {number}" for label, number in found.refused.items()))


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callgrind", action="store_true", help="count instructions too")
    parser.add_argument("--check", action="store_true", help="fail where a bound is not kept; needs --callgrind")
    options = parser.parse_args(arguments)
    if options.check and not options.callgrind:
        raise Failure("--check needs --callgrind: the bounds are of instructions")
    bounds = figures.read_bounds()
    program = build()
    found = read_output(output_of([program], 120))
    if options.callgrind:
        found.instructions = count(program)
    (BUILD / "host-bench.json").write_text(json.dumps(dataclasses.asdict(found), indent=1) + "\n")
    print_tables(found, json.loads(OTHERS.read_text()), bounds)
    if not options.check:
        return 0
    wrong = problems(found, bounds)
    print()
    for problem in wrong:
        print(f"host-bench: {problem}")
    print(f"host-bench: {len(found.operations)} workloads, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    entry_point(main)
