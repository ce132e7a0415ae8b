#!/usr/bin/env python3
"""Runs the tests: `run_tests.py PART ...`, the parts being the keys of PARTS below; all of them without a PART.

Every part runs, also behind one that failed. A summary comes last, and in it, as the very last line,
`quarry: N passed, N failed` over the tests of all parts.
"""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time

from toolchain import ROOT, Failure, entry_point

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
SWIFT_TEST = ["swift", "test", "--build-system", "native"]
RUN_LINE = re.compile(r"Test run with (\d+) tests?\b.*?\b(passed|failed)")
FAILED_TEST = re.compile(r"^\W*Test (?!run\b).*\bfailed after\b", re.MULTILINE)
# Not all of Examples: a build leaves others' sources there.
EXAMPLE_SOURCES = [
    str(path.relative_to(ROOT)) for name in ("Sources", "Package.swift") for path in sorted(ROOT.glob(f"Examples/*/{name}"))]
PYTEST_NUMBER = re.compile(r"(\d+) (passed|failed|errors?)\b")


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0


def host_count(output, status):
    """The tests that a `swift test` passed and failed; one that ended badly without saying so has failed once."""
    runs = RUN_LINE.findall(output)
    total = sum(int(number) for number, _ in runs)
    failed = min(total, len(FAILED_TEST.findall(output)))
    if failed == 0 and (status != 0 or total == 0):
        return Count(total, 1)
    return Count(total - failed, failed)


def pytest_count(output, status):
    lines = [line for line in output.splitlines() if PYTEST_NUMBER.search(line)]
    count = Count()
    for number, kind in PYTEST_NUMBER.findall(lines[-1]) if lines else []:
        if kind == "passed":
            count.passed += int(number)
        else:
            count.failed += int(number)
    if count.failed == 0 and (status != 0 or count.passed == 0):
        count.failed = 1
    return count


def step_count(_, status):
    """A step that is no test adds nothing to the tests passed, and a failure where it fails."""
    return Count(0, 0 if status == 0 else 1)


def build_and_test_count(output, status):
    """A command that builds counts as a step; pytest by its tests."""
    return (pytest_count if PYTEST_NUMBER.search(output) else step_count)(output, status)


@dataclasses.dataclass
class Part:
    """A part of the test run: its commands, how long each may take in seconds, and how its tests are counted."""

    title: str
    commands: list
    timeout: int
    count: object = step_count


PARTS = {
    "lint": Part(
        "format",
        [["swift", "format", "lint", "--recursive", "--strict", "Sources", "Tests", "Benchmarks/Sources",
          "Package.swift", "Benchmarks/Package.swift", *EXAMPLE_SOURCES]], 120),
    "host": Part("host tests", [SWIFT_TEST], 1200, host_count),
    "sanitized": Part(
        "host tests under AddressSanitizer",
        [[*SWIFT_TEST, "--sanitize=address", "--scratch-path", ".build-asan"]], 1800, host_count),
    "threads": Part(
        "threads of the page frames, page tables, the slab, vmalloc and stacks under ThreadSanitizer",
        [[*SWIFT_TEST, "--sanitize=thread", "--scratch-path", ".build-tsan", "--filter",
          "PageFramesTests.(ConcurrencyTests|ShrinkerRegistrationTests/removalHolds)"
          "|PagingTests.ConcurrencyTests|SlabTests.(ConcurrencyTests|CacheConcurrencyTests)"
          "|DeviceMemoryTests.ConcurrencyTests|VirtualMemoryTests.(LargePageTests/onSeveralCPUs"
          "|PurgeSequenceTests/severalCPUsFreeAndPurgeAtOnce|StackCacheTests/cpus|WorkloadTests/freeWaits)"]],
        1800, host_count),
    "kernel": Part("kernel build", [[sys.executable, "Tools/build_kernel.py"]], 600),
    "check": Part(
        "kernel checks",
        [[sys.executable, "Tools/check_kernel.py"], [sys.executable, "Tools/check_floors.py"],
         [sys.executable, "Tools/stack_report.py"]], 120),
    "tools": Part("tool tests", [[*PYTEST, "Tests/ToolTests"]], 300, pytest_count),
    "docs": Part("documentation", [[*PYTEST, "Tests/DocumentationTests"]], 600, pytest_count),
    "bench": Part(
        "benchmarks",
        [[sys.executable, "Tools/bench.py", "check"],
         [sys.executable, "Tools/host_bench.py", "--callgrind", "--check"]], 600),
    "debug": Part(
        "unoptimised kernel build",
        [[sys.executable, "Tools/build_kernel.py", "--configuration", "debug", "--output", "build/debug"]], 600),
    "examples": Part(
        "examples, as packages of their own",
        [[sys.executable, "Tools/build_kernel.py", "--package", "Examples/AdoptingKernel", "--product", "AdoptingKernel",
          "--output", "build/examples"],
         ["swift", "build", "--build-system", "native", "--package-path", "Examples/HostSimulation"],
         [*PYTEST, "Tests/ExampleTests"]], 600, build_and_test_count),
    "boot": Part("boot tests", [[*PYTEST, "--durations=5", "Tests/BootTests"]], 1200, pytest_count),
}


def run_command(command, timeout):
    """Runs a command in a session of its own, its output shown as it comes; (output, status), 124 when time ran out."""
    print(f"$ {' '.join(os.path.basename(word) if word == sys.executable else word for word in command)}", flush=True)
    # XCTest leaks a little by itself, and memory that the code under test manages is the arena's, not malloc's.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True)
    timed_out = False

    def stop(*_):
        nonlocal timed_out
        timed_out = True
        os.killpg(process.pid, signal.SIGKILL)

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(timeout)
    output = []
    try:
        for line in process.stdout:
            output.append(line.decode(errors="replace"))
            sys.stdout.write(output[-1])
            sys.stdout.flush()
        status = process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    if timed_out:
        print(f"run_tests: no end within {timeout} s", flush=True)
        status = 124
    return "".join(output), status


def main(arguments):
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        raise Failure(f"unknown part {unknown[0]}: choose of {', '.join(PARTS)}")
    summary = []
    for name in arguments or PARTS:
        part = PARTS[name]
        print(f"\n== {part.title}", flush=True)
        started, total = time.monotonic(), Count()
        for command in part.commands:
            count = part.count(*run_command(command, part.timeout))
            total.passed += count.passed
            total.failed += count.failed
        summary.append((part.title, total, time.monotonic() - started))
    print("\n== summary")
    for title, count, seconds in summary:
        verdict = "ok" if count.failed == 0 else "FAILED"
        print(f"{title:35} {count.passed:5} passed {count.failed:5} failed {seconds:7.1f} s  {verdict}")
    passed = sum(count.passed for _, count, _ in summary)
    failed = sum(count.failed for _, count, _ in summary)
    print(f"quarry: {passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    entry_point(main)
