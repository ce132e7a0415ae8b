"""Readable function names in gdb's backtraces: gdb 13 does not know how Swift writes its names."""

import gdb
from gdb.FrameDecorator import FrameDecorator

from quarry import symbols


class ReadableFrame(FrameDecorator):
    """A frame under the name that the kernel's own symbol table has for its code."""

    def __init__(self, frame, is_innermost):
        super().__init__(frame)
        self.is_innermost = is_innermost

    def function(self):
        frame = self.inferior_frame()
        # Where a function that was inlined stands in the frame, gdb knows its name; mangled, it says little.
        found = None
        if frame.type() != gdb.INLINE_FRAME:
            # The byte after a call may belong to the next function.
            pc = frame.pc()
            found = symbols.find(pc if self.is_innermost or frame.type() == gdb.SIGTRAMP_FRAME else pc - 1)
        return found[0] if found else super().function()


class ReadableNames:
    """The frame filter `quarry`: `disable frame-filter global quarry` shows names as the linker has them."""

    def __init__(self):
        self.name, self.priority, self.enabled = "quarry", 100, True

    def filter(self, frames):
        for number, decorator in enumerate(frames):
            yield ReadableFrame(decorator, number == 0)


def register():
    gdb.frame_filters["quarry"] = ReadableNames()
