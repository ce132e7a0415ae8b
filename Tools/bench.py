#!/usr/bin/env python3
"""Counts the kernel's instructions per operation and compares them with Linux's: `bench.py [check|update]`.

Boots the optimised kernel where a tick of the time stamp counter is an instruction, prints the table, and writes
build/bench.json. `check` fails where a bound of Benchmarks/bounds.json is exceeded, a row is missing or unknown, or a
row grew over Benchmarks/instructions.json, which `update` writes.
"""

import json
import os
import pathlib
import subprocess

import bench_chart
import bench_figures as figures
import bench_problems
from qemu import SUCCESS, Machine, describe, status_of
from toolchain import BUILD, ROOT, Failure, entry_point

CPU = "qemu64,+rdrand"
TIMEOUT = 120
RESULT = BUILD / "bench.json"


def boot(name, memory, arguments):
    """Boots and waits for the end; what the kernel said."""
    log = BUILD / f"{name}.log"
    log.unlink(missing_ok=True)
    # The kernel logs its command line, which QEMU begins with the path as it is given here: the same everywhere.
    kernel = pathlib.Path(os.path.relpath(Machine.kernel, ROOT))
    machine = Machine(memory=memory, cpu=CPU, arguments=arguments, kernel=kernel, counts_instructions=True)
    # To a file, which takes every byte at once: waiting for a slow reader would count as instructions.
    command = machine.argv(serial=f"file:{log}")
    try:
        status = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=TIMEOUT, check=False).returncode
    except subprocess.TimeoutExpired as error:
        raise Failure(f"no end of {name} within {TIMEOUT} s; its log is {log}") from error
    text = log.read_text(errors="replace") if log.exists() else ""
    if status != status_of(SUCCESS):
        tail = "\n".join(text.splitlines()[-8:])
        raise Failure(f"{name} ended with: {describe(status)}\n{tail}")
    return text


def measure():
    """(calibration, rows with Linux's figures beside them, bytes of a descriptor)."""
    if not Machine.kernel.exists():
        raise Failure(f"{Machine.kernel} is missing: `make kernel` builds it")
    calibration, rows = figures.read_log(boot("bench", "512M", "bench"))
    _, touches = figures.read_log(boot("bench-demand", "2G", "bench=demand selftest=no"))
    rows += touches
    descriptor_bytes = 0
    for size in figures.BOOT_SIZES:
        row, found = figures.boot_row(size, boot(f"bench-boot-{size}", size, "selftest=no"))
        rows.append(row)
        descriptor_bytes = max(descriptor_bytes, found)
    return calibration, figures.compare(rows, figures.read_linux(), calibration), descriptor_bytes


def number(value):
    return "-" if value is None else f"{value:g}" if value == int(value) else f"{value:.2f}"


def ratio(value):
    return "-" if value is None else f"{value:.3f}"


def print_table(calibration, rows, descriptor_bytes, bounds):
    counted = ", ".join(f"{name} {value}" for name, value in calibration.items() if not name.startswith("rep "))
    print(f"calibration: {counted} ticks; rep stosq and rep movsq of N bytes {figures.STRING_SETUP} + N / 8\n")
    print(f"{'':56} {'Quarry':>10} {'Linux':>10} {'ratio':>7}")
    for row in rows:
        value = f"{row.instructions:.0f}" if row.statistic == "count" else number(row.instructions)
        print(f"{row.name:56} {value:>10} {number(row.linux):>10} {ratio(row.ratio):>7}")
    titles = {"hot": "hot pairs", "batch": "batch and churn pairs", "loop": "loops", "single": "single calls",
              "vmalloc": "vmalloc pairs", "amortised": "vmalloc pairs, measured from outside"}
    for kind, name in figures.KINDS.items():
        bound = bounds[f"{name} over Linux's"]
        title = f"{titles[kind]}, at most {bound} of Linux's"
        print(f"\n{title:56} {'Quarry':>10} {'Linux':>10} {'ratio':>7} {'at most':>10}")
        for call in figures.bound_calls(rows):
            if call.kind == kind:
                limit = call.limit(bounds)
                mark = "  above" if call.instructions > limit else "  misses its goal" if limit > call.goal(bounds) else ""
                print(
                    f"{call.name:56} {number(call.instructions):>10} {number(call.linux):>10} "
                    f"{ratio(call.ratio):>7} {limit:>10.2f}{mark}")
    print()
    for title, mean, limit, goal in figures.geometric_means(rows, bounds):
        mark = "  misses its goal" if limit > goal else ""
        print(f"{title}: {mean:.3f}, at most {float(limit):.3f}{mark}")
    print(f"descriptor: {descriptor_bytes} bytes a frame, at most {bounds['descriptor bytes']}")
    for name, value, limit in bench_problems.demand_bounds(rows, bounds):
        print(f"{name}: {number(value)}, at most {limit:g}{'  above' if value > limit else ''}")
    print(f"boot, 64G over 512M: {bench_problems.boot_ratio(rows):.2f}, at most {bounds['boot of 64G over 512M']}")


def whole(value):
    """As an integer where it is one, for files that people read."""
    return int(value) if value is not None and value == int(value) else value


def result(calibration, rows):
    """What build/bench.json holds."""
    return {
        "calibration": calibration,
        "rows": [
            {
                "name": row.name, "statistic": row.statistic, "instructions": whole(row.instructions),
                "linux": whole(row.linux), "string": row.string,
                "ratio": None if row.ratio is None else round(row.ratio, 4),
            }
            for row in rows],
    }


def update(rows, path=figures.REFERENCE):
    path.write_text(json.dumps({row.name: whole(row.instructions) for row in rows}, indent=2) + "\n")
    print(f"bench: wrote {path.relative_to(ROOT)}, {len(rows)} rows")


def draw(rows, path=bench_chart.MEASURED):
    """Draws the chart of the rows just measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(bench_chart.draw({row.name: row.instructions for row in rows}, bench_chart.linux_rows()))
    print(f"bench: drew {path.relative_to(ROOT)}")


def check(rows, descriptor_bytes, bounds):
    """Prints what is wrong with the figures; the status."""
    if not figures.REFERENCE.exists():
        raise Failure(f"{figures.REFERENCE} is missing: `make bench-update` writes it")
    reference = json.loads(figures.REFERENCE.read_text())
    growth = bounds["growth of a row"]
    for line in bench_problems.shrunken(rows, reference, growth):
        print(f"bench: {line}; `make bench-update` keeps it so")
    problems = bench_problems.bound_problems(rows, descriptor_bytes, bounds)
    problems += bench_problems.growth_problems(rows, reference, growth)
    for problem in problems:
        print(f"bench: {problem}")
    print(f"bench: {len(rows)} rows, {len(problems)} problems")
    return 1 if problems else 0


def main(arguments):
    if arguments not in ([], ["check"], ["update"]):
        raise Failure("usage: bench.py [check|update]")
    bounds = figures.read_bounds()
    calibration, rows, descriptor_bytes = measure()
    problems = bench_problems.calibration_problems(calibration) + bench_problems.row_problems(rows, figures.read_linux())
    if problems:
        raise Failure("\n".join(problems))
    RESULT.write_text(json.dumps(result(calibration, rows), indent=1) + "\n")
    print()
    print_table(calibration, rows, descriptor_bytes, bounds)
    print()
    draw(rows)
    if arguments == ["update"]:
        update(rows)
        bench_chart.main([])
    return check(rows, descriptor_bytes, bounds) if arguments == ["check"] else 0


if __name__ == "__main__":
    entry_point(main)
