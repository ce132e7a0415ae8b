"""Where the host's tools are: those of the Swift toolchain, and Debian's beside them."""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
TRIPLE = "x86_64-unknown-none-elf"

# What the linked kernel consists of. Floors 0 to 5 hold the memory subsystem; the rest is the program around it.
FLOORS = [
    "MemoryPrimitives", "BootMemory", "PageFrames", "Paging", "Slab", "VirtualMemory", "DeviceMemory", "LeakDetection",
    "KernelMemory",
]
KERNEL_TARGETS = FLOORS + ["TableSequence", "Monitor", "QuarryX86", "Kernel", "X86"]


class Failure(Exception):
    """A build or test step that cannot go on; its text is the one line that the user sees."""


@functools.cache
def swift_bin_directory():
    """The toolchain's own `bin`, also where `swift` is a link or a version manager's proxy."""
    if shutil.which("swift") is None:
        raise Failure("Swift is missing: install Swift 6.3 or later from https://www.swift.org/install")
    information = subprocess.run(
        ["swift", "-print-target-info"], check=True, capture_output=True, text=True, timeout=60).stdout
    resources = pathlib.Path(json.loads(information)["paths"]["runtimeResourcePath"])
    return resources.parent.parent / "bin"


def tool(name):
    """The path of a tool: an environment variable of that name in capitals, the toolchain's, or one on PATH."""
    chosen = os.environ.get(name.upper().replace("-", "_").replace(".", "_"))
    if chosen:
        return chosen
    beside_swift = swift_bin_directory() / name
    if beside_swift.exists():
        return str(beside_swift)
    on_path = shutil.which(name)
    if on_path is None:
        raise Failure(f"{name} is missing: `make dependencies` installs what Quarry needs")
    return on_path


def run(command, timeout=600, **options):
    """Runs a step that must succeed. Its own messages reach the terminal; a failure names the step."""
    command = [str(word) for word in command]
    try:
        return subprocess.run(command, check=True, timeout=timeout, text=True, **options)
    except subprocess.CalledProcessError as error:
        raise Failure(f"{os.path.basename(command[0])} failed with status {error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{os.path.basename(command[0])} did not finish within {timeout} s") from error


def entry_point(main):
    """Runs a tool's `main(arguments) -> status` and turns a `Failure` into one line and status 1."""
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"{pathlib.Path(sys.argv[0]).name}: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
