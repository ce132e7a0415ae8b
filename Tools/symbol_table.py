"""The symbol table that is linked into the kernel, so that a backtrace on the serial line names functions.

Reads `nm`'s listing of a linked kernel and writes the section `.symbols` as assembly:

    symbol_table_count      .quad   how many functions
    symbol_table_addresses  .long   each function's offset from the image base, ascending
    symbol_table_names      .long   each name's offset into the strings, in the same order
    symbol_table_strings    .asciz  the names, a NUL after each

The table's own size moves nothing but what lies behind it, so a kernel linked with a table of the right size has its
functions where the next link will have them too.
"""

import re
import subprocess

from toolchain import Failure, tool

IMAGE_BASE = 0xFFFF_FFFF_8000_0000
LONGEST_NAME = 96

NM_LINE = re.compile(r"^([0-9a-f]{16}) ([tTwW]) (\S+)$")


def functions(nm_listing):
    """[(address, linker name)] of the functions in the image, ascending; one name for each address."""
    found = {}
    for line in nm_listing.splitlines():
        match = NM_LINE.match(line)
        if not match:
            continue
        address, kind, name = int(match[1], 16), match[2], match[3]
        # The linker script marks where the code begins and ends; those names are no functions.
        if address < IMAGE_BASE or name.startswith((".L", "image_")):
            continue
        # Of several names at one address the global one says most; `nm` lists in no useful order.
        if address not in found or (kind, name) < found[address]:
            found[address] = (kind, name)
    return [(address, found[address][1]) for address in sorted(found)]


def without_brackets(text, opening, closing):
    """`text` without the outermost bracketed parts."""
    result, depth = [], 0
    for index, character in enumerate(text):
        if character == opening:
            depth += 1
        elif character == closing and depth and not (closing == ">" and text[index - 1] == "-"):
            depth -= 1
        elif depth == 0:
            result.append(character)
    return "".join(result)


def readable(demangled):
    """A demangled name as a person would write it: no specialisation prefixes, generic arguments or result type."""
    name = demangled
    for prefix in ("specialized ", "static ", "merged ", "@objc "):
        name = name.replace(prefix, "")
    # `generic specialization <A, B> of f` and its kin, nested as deep as the optimiser went.
    while True:
        match = re.match(r"^[a-z -]*specialization ", name)
        if not match:
            break
        rest = without_leading_brackets(name[match.end():])
        if not rest.startswith(" of "):
            break
        name = rest[len(" of "):]
    name = without_brackets(name, "<", ">")
    name = re.sub(r" (async|throws)\b", "", name)
    depth, cut = 0, None
    for index, character in enumerate(name):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth == 0 and name.startswith(" -> ", index):
            cut = index
            break
    if cut is not None:
        name = name[:cut]
    name = re.sub(r"\s+", " ", name).strip()
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def without_leading_brackets(text):
    """`text` after the `<...>` that it starts with; unchanged where it starts with none or never closes."""
    if not text.startswith("<"):
        return text
    depth = 0
    for index, character in enumerate(text):
        if character == "<":
            depth += 1
        elif character == ">" and text[index - 1] != "-":
            depth -= 1
            if depth == 0:
                return text[index + 1:]
    return text


def demangle(names):
    """The names as Swift's demangler prints them; a name that is not Swift's is unchanged."""
    if not names:
        return []
    result = subprocess.run(
        [tool("swift"), "demangle", "--simplified", "--compact"], input="\n".join(names) + "\n",
        capture_output=True, text=True, check=True, timeout=120)
    lines = result.stdout.splitlines()
    if len(lines) != len(names):
        raise Failure(f"the demangler answered {len(lines)} lines to {len(names)} names")
    return lines


def assembly(symbols):
    """The assembly of the table of `symbols`, a list of (address, readable name) in ascending order."""
    lines = [
        "# Made by Tools/symbol_table.py from the linked kernel; not to be edited.",
        '        .section .symbols, "aR", @progbits',
        "        .balign 8",
        "        .globl symbol_table_count, symbol_table_addresses, symbol_table_names, symbol_table_strings",
        "symbol_table_count:",
        f"        .quad {len(symbols)}",
        "symbol_table_addresses:",
    ]
    lines += [f"        .long {address - IMAGE_BASE:#x}" for address, _ in symbols]
    offsets, strings, length = {}, [], 0
    for _, name in symbols:
        if name not in offsets:
            offsets[name] = length
            strings.append(name)
            length += len(name.encode()) + 1
    lines.append("symbol_table_names:")
    lines += [f"        .long {offsets[name]}" for _, name in symbols]
    lines.append("symbol_table_strings:")
    for name in strings:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'        .asciz "{quoted}"')
    lines.append('        .section .note.GNU-stack, "", @progbits')
    return "\n".join(lines) + "\n"
