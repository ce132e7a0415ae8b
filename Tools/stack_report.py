#!/usr/bin/env python3
"""Checks that no stack of the linked kernel can run out, and writes how deep each goes: `stack_report.py [ELF]`.

The report lies beside the ELF, as stack-report.txt: each stack with the deepest path from each of its entries,
exceptions, recursion, indirect calls, and the frame of every function with the deepest path below it.
"""

import pathlib
import sys

import stack_tables
from call_graph import addresses_in_code, addresses_in_data
from disassembly import parse
from stack_check import StackCheck
from symbol_table import demangle, readable
from toolchain import BUILD, Failure, entry_point, run, tool


def check_image(image, tables=stack_tables):
    """The check of a linked 64-bit image."""
    listing = run(
        [tool("objdump"), "-d", "--no-show-raw-insn", "-j", ".text", image], capture_output=True).stdout
    functions = parse(listing)
    if not functions:
        raise Failure(f"{image} holds no code in .text")
    for function, name in zip(functions, demangle([function.name for function in functions])):
        function.name = readable(name)
    symbols = {}
    for line in run([tool("llvm-nm"), "--defined-only", image], capture_output=True).stdout.splitlines():
        address, _, name = line.split(maxsplit=2)
        symbols[name] = int(address, 16)
    starts = {function.instructions[0].address for function in functions if function.instructions}
    taken = addresses_in_code(listing, starts) | addresses_in_data(pathlib.Path(image).read_bytes(), starts)
    # Whoever asks where the code begins does not call what happens to be there.
    taken.discard(symbols.get("image_text_start"))
    return StackCheck(functions, taken, symbols, tables)


def report(check):
    """The lines of the report."""
    yield "Stacks, in bytes: the deepest path from each entry, and an exception at its deepest point."
    yield ""
    yield f"{'stack':14} {'size':>6} {'deepest':>8} {'exception':>10} {'left':>7}  entry"
    for use in check.uses:
        yield (
            f"{use.stack:14} {use.size:6} {use.byte_count:8} {use.exception_bytes:10} {use.left:7}  {use.entry}")
    for use in check.uses:
        yield ""
        yield f"The deepest path on stack \"{use.stack}\", from {use.entry}; frames without return addresses:"
        vector = use.entry.removeprefix("vector ")
        path = check.vector_paths[int(vector)][1] if vector != use.entry else check.depths.path(use.key)
        for node in path:
            yield f"  {node.byte_count:6}  {node.name}"
    yield ""
    yield "Exceptions that stay on the stack they interrupt, with what the CPU pushes:"
    for vector, (byte_count, path) in sorted(check.vector_paths.items()):
        if vector not in check.tables.INTERRUPT_STACKS:
            yield f"  {byte_count:6}  vector {vector}, by {path[-1].name}"
    yield ""
    yield "Parts, as deep as they go:"
    for pattern in check.tables.SHOWN:
        for key in check.graph.named(pattern):
            yield f"  {check.depths.totals[key]:6}  {check.graph.nodes[key].name}"
    yield ""
    yield "Recursion: the deepest path from any of these functions, all rounds included."
    for circle in sorted(check.depths.circles, key=lambda circle: -circle.byte_count):
        yield f"  {circle.byte_count:6}  {', '.join(circle.members)}"
        for name, bound in circle.bounds.items():
            yield f"          {name} at most {bound.rounds} times more: {bound.reason}"
    yield ""
    yield "Calls by a register or by memory, and where they lead:"
    for key in check.graph.starts:
        node = check.graph.nodes[key]
        if node.indirect_depths:
            targets = sorted({check.graph.nodes[edge.target].name for edge in node.edges if edge.is_indirect})
            yield f"  {node.name}: {', '.join(targets) or 'see Tools/stack_tables.py'}"
    yield ""
    yield "Calls left out, because they are never made:"
    for (caller, callee), reason in check.tables.IMPOSSIBLE_CALLS.items():
        yield f"  {caller} of {callee}: {reason}"
    for caller, (callees, reason) in check.tables.EXCLUDED_BELOW.items():
        yield f"  {caller}, however deep below, of {', '.join(callees)}: {reason}"
    yield ""
    yield "Every function: its frame, and the deepest path from it on."
    nodes = [check.graph.nodes[key] for key in check.graph.starts]
    for node in sorted(nodes, key=lambda node: (-node.byte_count, node.name)):
        yield f"  {node.byte_count:6} {check.depths.totals[node.address]:6}  {node.name}"


def main(arguments):
    image = pathlib.Path(arguments[0]) if arguments else BUILD / "quarry.elf"
    if not image.exists():
        raise Failure(f"{image} is missing: `make kernel` builds it")
    check = check_image(image)
    path = image.parent / "stack-report.txt"
    lines = list(report(check))
    path.write_text("\n".join(lines) + "\n")
    for line in lines[2:3 + len(check.uses)]:
        print(f"stacks: {line}")
    print(f"stacks: {path} tells more")
    for problem in check.problems:
        print(f"stacks: {problem}", file=sys.stderr)
    if check.problems:
        raise Failure(f"{len(check.problems)} problems in {image.name}")
    return 0


if __name__ == "__main__":
    entry_point(main)
