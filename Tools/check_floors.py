#!/usr/bin/env python3
"""Proves that the memory modules, floors 0 to 5, never allocate from the Swift runtime: `check_floors.py`.

Each object carries the Embedded runtime's functions as weak copies, so that the names alone prove nothing. What counts
is which of them the module's own functions reach: this follows the relocations from every function that is not the
runtime's, through functions and data of the same object.
"""

import collections
import re
import sys

from build_kernel import module_objects
from toolchain import FLOORS, Failure, entry_point, run, tool

FORBIDDEN = {
    "swift_allocObject", "swift_allocBox", "swift_allocEmptyBox", "swift_slowAlloc", "swift_slowDealloc",
    "swift_coroFrameAlloc", "swift_deallocObject", "swift_deallocClassInstance", "swift_deallocPartialClassInstance",
    "swift_deallocUninitializedObject", "swift_deallocBox",
    "posix_memalign", "aligned_alloc", "malloc", "calloc", "realloc", "free",
}
# The runtime and the standard library, whose module is mangled as `s`; they count where the module's own code needs them.
RUNTIME = re.compile(r"^(_?swift_|__swift|_swift|\$[se]s|\$[se]So)")
SYMBOL = re.compile(r"^[0-9a-f]{16} (.{7}) (\S+)\s+[0-9a-f]{16}\s+(?:\.\w+ )?(\S+)$")
SECTION_HEADER = re.compile(r"^RELOCATION RECORDS FOR \[(.+)\]:$")
RELOCATION = re.compile(r"^[0-9a-f]{16} \S+\s+(\S+?)(?:[+-]0x[0-9a-f]+)?$")


def sections_of_symbols(symbol_listing):
    """{symbol: section} of what `objdump -t` says is defined, and the set of functions among them."""
    sections, functions = {}, set()
    for line in symbol_listing.splitlines():
        match = SYMBOL.match(line)
        if not match or match[2] in ("*UND*", "*ABS*"):
            continue
        flags, section, name = match.groups()
        sections[name] = section
        if "F" in flags:
            functions.add(name)
    return sections, functions


def references(relocation_listing):
    """{section: names that its relocations mention} from `objdump -r`."""
    found, section = collections.defaultdict(set), None
    for line in relocation_listing.splitlines():
        header = SECTION_HEADER.match(line)
        if header:
            section = header[1]
            continue
        match = RELOCATION.match(line)
        if match and section:
            found[section].add(match[1])
    return found


def forbidden_paths(symbol_listing, relocation_listing):
    """For each of the object's own functions that reaches a forbidden name, the way there, as a list of names."""
    sections, functions = sections_of_symbols(symbol_listing)
    mentioned = references(relocation_listing)
    paths = []
    for root in sorted(functions):
        if RUNTIME.match(root):
            continue
        came_from, waiting = {root: None}, collections.deque([root])
        while waiting:
            name = waiting.popleft()
            if name in FORBIDDEN:
                path = []
                while name is not None:
                    path.insert(0, name)
                    name = came_from[name]
                paths.append(path)
                break
            for target in sorted(mentioned.get(sections.get(name, name), ())):
                if target not in came_from:
                    came_from[target] = name
                    waiting.append(target)
    return paths


def main(arguments):
    problems, count = 0, 0
    for target in FLOORS:
        for item in module_objects("release", [target]):
            count += 1
            listings = [
                run([tool("objdump"), option, item], capture_output=True).stdout for option in ("-t", "-r")]
            for path in forbidden_paths(*listings):
                problems += 1
                print(f"check: {target}: {' -> '.join(path)}", file=sys.stderr)
    if problems:
        raise Failure(f"{problems} functions on floors 0 to 5 reach the Swift runtime's allocator")
    print(f"check: {count} objects of floors 0 to 5, and nothing in them reaches the Swift runtime's allocator")
    return 0


if __name__ == "__main__":
    entry_point(main)
