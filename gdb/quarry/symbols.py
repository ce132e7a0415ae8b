"""Functions by name, from the table that is linked into the kernel for its own backtraces: its names are demangled already,
so that no other program is asked.
"""

import bisect
import struct

from quarry import memory
from quarry.errors import Trouble

_kept = {}


def _objfile_key():
    import gdb

    return tuple((objfile.filename, objfile.is_valid()) for objfile in gdb.objfiles())


def _section_bytes(address, count):
    """From the file, through gdb, where the machine is not there or does not map it yet."""
    return memory.read(address, count)


def _table():
    """(addresses, names), ascending."""
    key = _objfile_key()
    if _kept.get("key") == key:
        return _kept["table"]
    count = memory.read64(memory.address_of("symbol_table_count"))
    if not 0 < count < 1 << 20:
        raise Trouble("the kernel's symbol table cannot be read")
    addresses = struct.unpack(f"<{count}I", _section_bytes(memory.address_of("symbol_table_addresses"), 4 * count))
    offsets = struct.unpack(f"<{count}I", _section_bytes(memory.address_of("symbol_table_names"), 4 * count))
    strings = memory.address_of("symbol_table_strings")
    text = _section_bytes(strings, max(offsets) + 1)
    names = []
    for offset in offsets:
        end = text.find(b"\0", offset)
        names.append(text[offset:end].decode("utf-8", "replace") if end >= 0 else memory.read_text(strings + offset))
    table = ([memory.IMAGE_BASE + address for address in addresses], names)
    _kept.update(key=key, table=table)
    return table


def find(address):
    """(name, offset) of the function that contains `address`; None outside the kernel's code."""
    try:
        if not memory.address_of("image_text_start") <= address < memory.address_of("image_text_end"):
            return None
        addresses, names = _table()
    except Trouble:
        return None
    index = bisect.bisect_right(addresses, address) - 1
    return (names[index], address - addresses[index]) if index >= 0 else None


def addresses(name):
    """Where the functions of that name begin: generic ones are there once for each use."""
    places, names = _table()
    return [place for place, found in zip(places, names) if found == name]


def describe(address, is_return_address=False):
    """`0xffffffff80123456 function+0x12`, as the kernel's own backtraces have it."""
    # The byte after a call may belong to the next function.
    found = find(address - 1 if is_return_address else address)
    text = f"0x{address:016x}"
    if not found:
        return text
    return f"{text} {found[0]}+{found[1] + (1 if is_return_address else 0):#x}"
