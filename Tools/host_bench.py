#!/usr/bin/env python3
"""Runs the page-frame, slab and virtual-range workloads on the host and shows them beside other allocators'.

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
PRODUCTS = {
    "PageFrameWorkloads": "page-frame-workloads", "SlabWorkloads": "slab-workloads", "RangeWorkloads": "range-workloads"}
DUMPS = BUILD / "callgrind"
PAGE_SIZE = 4096
# The rows of the others' figures that are the slab's and the virtual ranges', and how the slab's batches are named.
SLAB_TABLE = "small objects"
RANGE_TABLE = "virtual ranges"
BATCH = re.compile(r"(.+ batch) (fifo|lifo|random)")
FOOTPRINT = "host footprint of B mixed over live bytes"
SPAN = "host span of C over live pages"
SPEEDUP = "host throughput of two threads over one"
THREADS = ("one thread", "two threads")
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
    span: float | None = None  # pages from the start of the space to the last range over pages of live ranges
    footprint: float | None = None  # bytes of pages ever used over bytes that are live
    throughput: dict = dataclasses.field(default_factory=dict)  # pairs a microsecond, by threads

    def pair(self, name):
        """Instructions of an allocation and its free: of a batch the sum of two figures. None where none were counted."""
        if (match := BATCH.fullmatch(name)) is None:
            return self.instructions.get(name)
        parts = [self.instructions.get(f"{match[1]} {part} {match[2]}") for part in ("alloc", "free")]
        return None if None in parts else sum(parts)

    @property
    def speedup(self):
        """Throughput of two threads over that of one; None where it was not measured."""
        if set(THREADS) - set(self.throughput):
            return None
        one, two = (self.throughput[threads] for threads in THREADS)
        return two / one


def build():
    """The workloads, without debug information, which Debian's valgrind cannot read."""
    BUILD.mkdir(exist_ok=True)
    # The sources lie outside of the package: SwiftPM looks for new and missing ones only where the manifest has changed.
    (PACKAGE / "Package.swift").touch()
    for product, name in PRODUCTS.items():
        run([
            tool("swift"), "build", "--build-system", "native", "--triple", "x86_64-unknown-linux-gnu",
            "--toolset", PACKAGE / "toolset.json", "-c", "release", "--scratch-path", SCRATCH,
            "--package-path", PACKAGE, "--product", product,
        ])
        run([tool("llvm-objcopy"), "--strip-debug", SCRATCH / "release" / product, BUILD / name])
    return [BUILD / name for name in PRODUCTS.values()]


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
        elif kind == "footprint" and len(fields) == 2:
            pages, live = fields
            found.footprint = int(pages) * PAGE_SIZE / int(live)
        elif kind == "span" and len(fields) == 2:
            pages, live = fields
            found.span = int(pages) / int(live)
        elif kind == "throughput" and len(fields) == 3:
            threads, pairs, nanoseconds = fields
            found.throughput[threads] = int(pairs) * 1000 / int(nanoseconds)
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
    dumps = DUMPS / program.name
    shutil.rmtree(dumps, ignore_errors=True)
    dumps.mkdir(parents=True)
    text = output_of([
        tool("valgrind"), "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={dumps / 'out'}", program,
    ], 300)
    return read_dumps([path.read_text() for path in dumps.iterdir()], read_output(text).operations)


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
    if found.span is None or found.span > bounds[SPAN]:
        wrong.append(f"{SPAN}: {figure(found.span)}, at most {float(bounds[SPAN])}")
    return wrong + slab_problems(found, bounds)


def slab_problems(found, bounds):
    """The slab's share of `problems`: pairs, footprint, threads."""
    reached = bounds["host reached where the goal is not"]
    wrong = []
    for name, goal in bounds["host instructions of an allocation and its free"].items():
        value, most = found.pair(name), reached.get(name, goal)
        if value is None or value > most:
            wrong.append(f"{name}: {'nothing counted' if value is None else f'{value:.1f} instructions'}, at most {most}")
    most = reached.get(FOOTPRINT, bounds[FOOTPRINT])
    if found.footprint is None or found.footprint > most:
        wrong.append(f"{FOOTPRINT}: {figure(found.footprint)}, at most {float(most)}")
    least = reached.get(SPEEDUP, bounds[SPEEDUP])
    if found.speedup is None or found.speedup < least:
        wrong.append(f"{SPEEDUP}: {figure(found.speedup)}, at least {float(least)}")
    return wrong


def figure(value):
    return "not measured" if value is None else f"{value:.3f}"


def print_tables(found, others, bounds):
    limits = bounds["host instructions per operation"]
    print(f"\n{'':32} {'operations':>11} {'ns':>8} {'instructions':>13} {'at most':>8}")
    for label in found.operations:
        instructions = f"{found.instructions[label]:.1f}" if label in found.instructions else "-"
        print(
            f"{label:32} {found.operations[label]:>11} {found.nanoseconds[label]:>8.1f} {instructions:>13} "
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
    print_slab(found, others[SLAB_TABLE], bounds)
    print_ranges(found, others[RANGE_TABLE], bounds)
    print("\nrequests refused: " + ", ".join(f"{label} {number}" for label, number in found.refused.items()))


def print_slab(found, others, bounds):
    reached = bounds["host reached where the goal is not"]
    print("\nsmall objects: instructions of an allocation and its free, the whole loop included\n")
    columns = list(others["instructions"]["null"])
    print(f"{'':24}" + "".join(f"{column:>25}" for column in columns) + f"{'footprint of B':>16}  checks")
    rows = dict(others["instructions"])
    if found.instructions:
        rows["Quarry"] = {column: found.pair(column) for column in columns}
    for name, row in rows.items():
        footprint = found.footprint if name == "Quarry" else others["footprint"].get(name)
        footprint = "-" if footprint is None else f"{footprint:.2f}"
        checks = others["checks"].get(name, "always on")
        print(f"{name:24}" + "".join(f"{row[column]:>25.0f}" for column in columns) + f"{footprint:>16}  {checks}".rstrip())
    print(f"\n{'':44} {'Quarry':>8} {'goal':>8} {'at most':>8}")
    for name, goal in bounds["host instructions of an allocation and its free"].items():
        value = found.pair(name)
        print(f"{name:44} {'-' if value is None else f'{value:.1f}':>8} {goal:>8} {reached.get(name, goal):>8}")
    for name, value in ((FOOTPRINT, found.footprint), (SPEEDUP, found.speedup)):
        print(f"{name:44} {figure(value):>8} {float(bounds[name]):>8} {float(reached.get(name, bounds[name])):>8}")
    throughput = ", ".join(f"{threads} {value:.1f}" for threads, value in found.throughput.items())
    print(f"pairs a microsecond, from one thread to another: {throughput}")


def print_ranges(found, others, bounds):
    print("\nvirtual ranges: instructions of an allocation and its free, and of a look-up, the whole loop included\n")
    columns = ["C mixed", "C look-up"]
    print(f"{'':24}" + "".join(f"{column:>12}" for column in columns) + f"{'span':>8}")
    rows = dict(others["instructions"])
    if found.instructions:
        rows["Quarry"] = {column: found.instructions[column] for column in columns}
    for name, row in rows.items():
        span = found.span if name == "Quarry" else others["span"].get(name)
        span = "-" if span is None else f"{span:.2f}"
        print(f"{name:24}" + "".join(f"{row[column]:>12.0f}" if column in row else f"{'-':>12}" for column in columns)
              + f"{span:>8}")
    limits = bounds["host instructions per operation"]
    print(f"{'at most':24}" + "".join(f"{limits[column]:>12}" for column in columns) + f"{float(bounds[SPAN]):>8.2f}")


def merge(figures_of_programs):
    """The figures of several programs as those of one."""
    merged = Figures()
    for found in figures_of_programs:
        for field in dataclasses.fields(Figures):
            value = getattr(found, field.name)
            if isinstance(value, dict):
                getattr(merged, field.name).update(value)
            elif value is not None:
                setattr(merged, field.name, value)
    return merged


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callgrind", action="store_true", help="count instructions too")
    parser.add_argument("--check", action="store_true", help="fail where a bound is not kept; needs --callgrind")
    options = parser.parse_args(arguments)
    if options.check and not options.callgrind:
        raise Failure("--check needs --callgrind: the bounds are of instructions")
    bounds = figures.read_bounds()
    programs = build()
    found = merge(read_output(output_of([program], 120)) for program in programs)
    if options.callgrind:
        for program in programs:
            found.instructions.update(count(program))
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
