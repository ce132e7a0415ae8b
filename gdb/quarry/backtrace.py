"""The chain of callers by saved frame pointers, which each of the kernel's functions keeps, with readable names: it needs
neither DWARF nor an unwinder, and a damaged chain ends it.
"""

from quarry import memory, symbols
from quarry.errors import Trouble

MAXIMUM_DEPTH = 64


def lines(rip, frame_pointer, stack_pointer=0):
    """`#0 0x... function+0x..` and so on."""
    yield f"#0 {symbols.describe(rip)}"
    depth = 1
    if symbols.find(rip) is None and stack_pointer:
        # A call through a bad pointer: the return address says who called.
        try:
            yield f"#1 {symbols.describe(memory.read64(stack_pointer), is_return_address=True)}"
            depth += 1
        except Trouble:
            pass
    frame = frame_pointer
    while depth < MAXIMUM_DEPTH and frame and frame % 8 == 0:
        try:
            following, caller = memory.read_words(frame, 2)
        except Trouble:
            return
        if caller == 0:
            return
        yield f"#{depth} {symbols.describe(caller, is_return_address=True)}"
        depth += 1
        if following in (0, frame):
            return
        frame = following
