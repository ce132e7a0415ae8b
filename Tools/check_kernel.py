#!/usr/bin/env python3
"""Checks on the linked kernel: `check_kernel.py [ELF]`.

No SSE, AVX, MMX or x87 instruction but in the function that saves what it uses; nothing below the stack pointer; no frame above 1024 bytes and none of unknown
size; no `String`; no segment that is writable and executable. Lists the ten largest frames.
"""

import pathlib
import re
import sys

from disassembly import measure, parse, red_zone_uses, uses_vector_or_x87
from symbol_table import demangle, readable
from toolchain import BUILD, Failure, entry_point, run, tool

LARGEST_FRAME = 1024
LISTED = 10
LOAD_SEGMENT = re.compile(r"^\s*LOAD\s+(?:0x[0-9a-f]+\s+){5}([R ])([W ])([E ])")


# Saves the one register that it uses, and puts it back: boot/clear_pages.S.
MAY_USE_VECTORS = {"clear_pages_by_vectors"}


def instruction_problems(functions, frames):
    """What is wrong with the code: a line for each instruction or frame that must not be."""
    problems = []
    for function, frame in zip(functions, frames):
        for instruction in function.instructions:
            if function.name not in MAY_USE_VECTORS and uses_vector_or_x87(instruction):
                problems.append(
                    f"{function.name} uses vector or x87 state: {instruction.mnemonic} {instruction.operands}")
        for instruction in red_zone_uses(function, frame):
            problems.append(
                f"{function.name} reaches below its stack: {instruction.mnemonic} {instruction.operands}")
        if frame.is_dynamic:
            problems.append(f"{function.name} has a frame of a size unknown at build time")
        if frame.byte_count > LARGEST_FRAME:
            problems.append(f"{function.name} has a frame of {frame.byte_count} bytes, above {LARGEST_FRAME}")
    return problems


def symbol_problems(nm_listing):
    return [
        f"a String is linked in: {line.split()[-1]}" for line in nm_listing.splitlines() if "_StringGuts" in line]


def segment_problems(program_headers):
    """The load segments in `readelf -lW`'s listing that are both writable and executable; no segment is a problem too."""
    flags = [match.groups() for match in map(LOAD_SEGMENT.match, program_headers.splitlines()) if match]
    if not flags:
        return ["no load segment found"]
    return [
        f"load segment {index} is writable and executable"
        for index, (_, writable, executable) in enumerate(flags) if writable == "W" and executable == "E"]


def main(arguments):
    image = pathlib.Path(arguments[0]) if arguments else BUILD / "quarry.elf"
    if not image.exists():
        raise Failure(f"{image} is missing: `make kernel` builds it")

    def listing(name, *options):
        return run([tool(name), *options, image], capture_output=True).stdout

    # The 32-bit entry in .boot.text is not this disassembler's business: it is hand-written and has no frames.
    functions = parse(listing("objdump", "-d", "--no-show-raw-insn", "-j", ".text"))
    if not functions:
        raise Failure(f"{image} holds no code in .text")
    for function, name in zip(functions, demangle([function.name for function in functions])):
        function.name = readable(name)
    frames = [measure(function) for function in functions]
    problems = instruction_problems(functions, frames)
    problems += symbol_problems(listing("llvm-nm"))
    problems += segment_problems(listing("readelf", "-lW"))

    largest = sorted(zip(functions, frames), key=lambda pair: -pair[1].byte_count)[:LISTED]
    print(f"check: {len(functions)} functions, {sum(len(f.instructions) for f in functions)} instructions")
    print("check: the largest frames, in bytes:")
    for function, frame in largest:
        print(f"  {frame.byte_count:5}  {function.name}")
    for problem in problems:
        print(f"check: {problem}", file=sys.stderr)
    if problems:
        raise Failure(f"{len(problems)} problems in {image.name}")
    return 0


if __name__ == "__main__":
    entry_point(main)
