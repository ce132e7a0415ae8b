#!/usr/bin/env python3
"""Feeds the fuzz targets with inputs, guided by what code they reach.

    fuzz.py [--seconds N] [TARGET ...]     tries new inputs, N seconds in all
    fuzz.py --replay                       tries the inputs that are kept, and no others
    fuzz.py --minimise                     after fuzzing: keeps what reaches new code, in as few inputs as possible
    fuzz.py --input FILE TARGET            tries one input

Targets are the directories of Tests/FuzzCorpus, where the inputs are kept. New inputs are collected in build/fuzz. An
input that shows something wrong is written to build/fuzz/findings, with the command that repeats it.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess

from toolchain import BUILD, ROOT, Failure, entry_point, run, tool

CORPUS = ROOT / "Tests" / "FuzzCorpus"
ENTRIES = ROOT / "Tests" / "FuzzEntries"
SCRATCH = ROOT / ".build-fuzz"
WORK = BUILD / "fuzz"
FINDINGS = WORK / "findings"
# What a target is made of, the entry apart.
MODULES = [
    "MemoryPrimitives", "BootMemory", "PageFrames", "Paging", "Slab", "VirtualMemory", "HostThreads", "SimulatedMachine",
    "FuzzTargets"]
# Each target's entry, and the longest input in bytes.
TARGETS = {
    "area-operations": ("AreaOperationsEntry", 601),
    "firmware-map": ("FirmwareMapEntry", 264),
    "frame-operations": ("FrameOperationsEntry", 2048),
    "slab-operations": ("SlabOperationsEntry", 1024),
    "table-operations": ("TableOperationsEntry", 512),
}
SANITIZE = "-sanitize=fuzzer,address"
# A crash must end the process, or no input would be written down; memory that tests manage is not malloc's.
ENVIRONMENT = {**os.environ, "SWIFT_BACKTRACE": "enable=no", "ASAN_OPTIONS": "detect_leaks=0"}


def build(targets):
    """The programs, by target. All modules are compiled so that libFuzzer sees which code an input reaches."""
    run([
        tool("swift"), "build", "--build-system", "native", "--package-path", ROOT, "-c", "release",
        "--scratch-path", SCRATCH, "-Xswiftc", SANITIZE, "-Xswiftc", "-g", "--target", "FuzzTargets",
    ])
    products = SCRATCH / "release"
    objects = [path for module in MODULES for path in sorted((products / f"{module}.build").rglob("*.o"))]
    WORK.mkdir(parents=True, exist_ok=True)
    programs = {}
    for target in targets:
        programs[target] = WORK / target
        run([
            tool("swiftc"), "-use-ld=lld", SANITIZE, "-O", "-parse-as-library", "-module-name", TARGETS[target][0],
            "-I", products / "Modules", "-Xcc", f"-fmodule-map-file={ROOT / 'Sources/HostThreads/include/module.modulemap'}",
            ENTRIES / f"{TARGETS[target][0]}.swift", *objects, "-o", programs[target],
        ])
    return programs


def fuzz(target, program, options):
    """Runs a program of libFuzzer's; true where it found nothing."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    before = set(FINDINGS.iterdir())
    command = [program, f"-artifact_prefix={FINDINGS}/{target}-", "-timeout=20", "-rss_limit_mb=4096", *options]
    print(f"$ {' '.join(str(word) for word in command)}", flush=True)
    status = subprocess.run(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, check=False).returncode
    for path in sorted(set(FINDINGS.iterdir()) - before):
        print(f"fuzz: {target}: to repeat: Tools/fuzz.py --input {path.relative_to(ROOT)} {target}", flush=True)
    return status == 0


def search(target, program, seconds):
    """Tries new inputs. What reaches new code goes to build/fuzz, not to what is checked in."""
    collected = WORK / "corpus" / target
    collected.mkdir(parents=True, exist_ok=True)
    return fuzz(target, program, [
        f"-max_total_time={seconds}", f"-max_len={TARGETS[target][1]}", "-len_control=0", "-verbosity=0",
        "-print_final_stats=1",
        collected, CORPUS / target,
    ])


def minimise(target, program):
    """Makes the kept inputs few that reach all code that the kept and the collected ones reach, however often."""
    fewest = WORK / "fewest" / target
    shutil.rmtree(fewest, ignore_errors=True)
    fewest.mkdir(parents=True)
    for path in (CORPUS / target).iterdir():
        # libFuzzer names inputs by their hash; those that somebody named stay.
        if not re.fullmatch("[0-9a-f]{40}", path.name):
            shutil.copy(path, fewest)
    if not fuzz(target, program, ["-merge=1", "-use_counters=0", fewest, CORPUS / target, WORK / "corpus" / target]):
        return False
    shutil.rmtree(CORPUS / target)
    shutil.copytree(fewest, CORPUS / target)
    return True


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="how long, all targets together")
    parser.add_argument("--replay", action="store_true", help="try the kept inputs only")
    parser.add_argument("--minimise", action="store_true", help="keep what was collected, in as few inputs as possible")
    parser.add_argument("--input", type=pathlib.Path, help="try this input only")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=" or ".join(TARGETS))
    options = parser.parse_args(arguments)
    targets = options.targets or list(TARGETS)
    unknown = [target for target in targets if target not in TARGETS]
    if unknown:
        raise Failure(f"unknown target {unknown[0]}: choose of {', '.join(TARGETS)}")
    if options.seconds < len(targets):
        raise Failure(f"--seconds must be at least {len(targets)}: one for each target")
    if options.input and len(targets) != 1:
        raise Failure("--input needs the target that the input is for")
    if options.input and not options.input.is_file():
        raise Failure(f"there is no input {options.input}")
    programs = build(targets)
    share = options.seconds // len(targets)
    failed = []
    for target, program in programs.items():
        if options.input:
            passed = fuzz(target, program, [options.input])
        elif options.replay:
            passed = fuzz(target, program, ["-runs=0", CORPUS / target])
        elif options.minimise:
            passed = minimise(target, program)
        else:
            passed = search(target, program, share)
        if not passed:
            failed.append(target)
    print(f"fuzz: {len(targets)} targets, {len(failed)} with findings{': ' if failed else ''}{', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    entry_point(main)
