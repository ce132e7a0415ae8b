"""What the kernel notes down about itself for a debugger: the table `debugger_layout` (Sources/Kernel/DebuggerLayout.swift).

A note is a name and a number. Nothing here is known beforehand but the names.
"""

from quarry import memory
from quarry.errors import Trouble

# By where the table is and how many notes it has: another boot may have drawn other addresses, which are notes, too.
_kept = {}


def forget():
    """Has the table read anew: the machine has run since."""
    _kept.clear()


def _table():
    if "notes" in _kept:
        return _kept["notes"]
    count = memory.word_of("debugger_layout_count")
    if count == 0:
        raise Trouble("the kernel has not come that far: its allocators are not up yet (continue to the line \"ready\")")
    address = memory.address_of("debugger_layout")
    if count > (memory.address_of("debugger_layout_end") - address) // 16:
        raise Trouble(f"debugger_layout is damaged: it says that it has {count} notes")
    words = memory.read_words(address, 2 * count)
    _kept["notes"] = {memory.read_text(words[2 * i]): words[2 * i + 1] for i in range(count)}
    return _kept["notes"]


def note(name):
    """The number noted down under a name."""
    notes = _table()
    if name not in notes:
        raise Trouble(f"this kernel has noted down no {name!r}: gdb/quarry and the kernel are of different versions")
    return notes[name]


def notes():
    """All notes, by name."""
    return dict(_table())


class Structure:
    """A value in memory, whose fields are notes: `Structure("area", address).word("caller")`."""

    def __init__(self, kind, address):
        self.kind = kind
        self.address = address

    def place(self, field):
        return self.address + note(f"{self.kind}.{field}")

    def word(self, field):
        return memory.read64(self.place(field))

    def half(self, field):
        return memory.read32(self.place(field))

    def short(self, field):
        return memory.read16(self.place(field))

    def byte(self, field):
        return memory.read8(self.place(field))
