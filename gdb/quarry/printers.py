"""Pretty-printers: Swift's integers, optionals and Booleans, addresses, page-table entries, flag sets and frame descriptors, as
numbers and names instead of structures in structures.

DWARF gives these types their plain names, and members where they are no generic types. An integer's member has the same
signed type whatever the integer is, so that the name decides.
"""

import gdb

from quarry import buddy, entries, memory
from quarry.errors import Trouble

UNSIGNED = {"UInt": 64, "UInt8": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64}
SIGNED = {"Int": 64, "Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}
ADDRESSES = ("VirtualAddress", "PhysicalAddress")

# The names of flags, by bit: as in the Swift sources, which a test compares.
FLAGS = {
    "PagePermissions": {1: "read", 2: "write", 4: "execute", 8: "user", 16: "global"},
    "AllocationFlags": {
        0x01: "dma", 0x02: "highMemory", 0x04: "dma32", 0x08: "movable", 0x10: "reclaimable", 0x20: "high", 0x40: "io",
        0x80: "fs", 0x100: "zero", 0x200: "tryHarder", 0x400: "directReclaim", 0x800: "wakeReclaimer", 0x1000: "write",
        0x2000: "noWarn", 0x4000: "retryMayFail", 0x8000: "noFail", 0x10000: "noRetry", 0x20000: "memoryReserves",
        0x40000: "compound", 0x80000: "noMemoryReserves", 0x100000: "hardWall", 0x200000: "thisNode",
        0x400000: "account", 0x10000000: "cold", 0x20000000: "noLeakTrace"},
    "CacheFlags": {
        1: "hardwareCacheAlign", 2: "panic", 4: "poison", 8: "redZone", 16: "storeUser", 32: "consistencyChecks",
        64: "trace", 128: "reclaimable", 256: "noMerge", 512: "typesafe", 1024: "dma", 2048: "noLeakTrace",
        1 << 16: "failslab", 1 << 20: "keepsContents", 1 << 21: "sampled"},
    "FaultAccess": {1: "protection", 2: "write", 4: "user", 8: "reservedBit", 16: "execute"},
    "PageUsage": {1: "accessed", 2: "dirty"},
    "FrameChecks": {
        1: "poison", 2: "zeroOnAllocation", 4: "zeroOnFree", 8: "owners", 16: "guardPages", 1 << 29: "tracing",
        1 << 30: "watcher", 1 << 31: "failureInjection"},
}
CACHE_SHIFT = 5


def integer(value):
    """The number in a Swift integer."""
    bits = UNSIGNED.get(value.type.name) or SIGNED.get(value.type.name)
    number = int(value["_value"]) & (1 << bits) - 1
    return number - (1 << bits) if value.type.name in SIGNED and number >> bits - 1 else number


def raw(value):
    """The number in a structure with a rawValue."""
    return integer(value["rawValue"])


def flag_names(kind, number):
    """`read | write`, and what has no name in hexadecimal."""
    named = FLAGS[kind]
    cache = ""
    if kind == "PagePermissions":
        mode, number = number >> CACHE_SHIFT, number & (1 << CACHE_SHIFT) - 1
        cache = f", {entries.CACHE_MODES[mode & 7]}" if mode else ""
    names = [name for bit, name in sorted(named.items()) if number & bit]
    rest = number & ~sum(named)
    if rest:
        names.append(f"{rest:#x}")
    return (" | ".join(names) or "none") + cache


def entry_text(entry):
    """An entry whose level is not known."""
    if not entry & entries.PRESENT:
        return f"{entry:#018x} ({entries.describe(entry, 0)})"
    count = entry >> 52 & 0x3FF
    if count:
        return f"{entry:#018x} (table at {entry & entries.ADDRESS:#x}, {count} entries in use)"
    return f"{entry:#018x} (present, {entry & entries.ADDRESS:#x}, {entries.rights(entry)})"


def optional_text(value):
    """nil, or the number in it: an optional of a number has a byte behind it, one of a pointer is 0 for nil."""
    size = value.type.sizeof
    if value.address is None or not 0 < size <= 17:
        return "an optional that gdb cannot look into"
    data = memory.read(int(value.address), size)
    if size in (2, 3, 5, 9, 17):
        return "nil" if data[-1] & 1 else str(int.from_bytes(data[:-1], "little"))
    number = int.from_bytes(data, "little")
    if size == 8:
        return "nil" if number == 0 else f"{number:#x}"
    return f"{number:#x} (of {size} bytes)"


def static_text(value):
    count = int(value["_utf8CodeUnitCount"]) & memory.MASK
    if int(value["_flags"]) & 1 or count > 1024:
        return None
    text = memory.read(int(value["_startPtrOrData"]), count) if count else b""
    return '"' + text.decode("ascii", "replace") + '"'


def frame_text(value):
    state, order = int(raw(value["state"])), integer(value["order"])
    text = buddy.STATES.get(state, f"damaged (state {state})")
    if state in buddy.HEADS:
        text += f", order {order}"
    owner, tag = integer(value["owner"]), integer(value["tag"])
    if owner:
        text += f", owner {owner:#x}"
    if tag:
        text += f", tag {tag:#x}"
    references = integer(value["extraReferences"])
    return text + (f", {references + 1} references" if references else "")


def text_of(value):
    """The value in a few words; None for a type that is printed as it is."""
    name = value.type.name
    if name in UNSIGNED or name in SIGNED:
        return str(integer(value))
    if name == "Bool":
        return "true" if int(value["_value"]) & 1 else "false"
    if name in ADDRESSES:
        return f"{raw(value):#x}"
    if name == "PageFrameNumber":
        return f"{raw(value):#x} (physical {raw(value) << 12:#x})"
    if name == "PageTableEntry":
        return entry_text(raw(value))
    if name in FLAGS:
        return flag_names(name, raw(value))
    if name == "FrameState":
        return buddy.STATES.get(raw(value), f"damaged (state {raw(value)})")
    if name == "FrameDescriptor":
        return frame_text(value)
    if name == "StaticString":
        return static_text(value)
    if name == "Optional":
        return optional_text(value)
    return None


class Printer:
    """A value as text."""

    def __init__(self, text):
        self.text = text

    def to_string(self):
        return self.text


def lookup(value):
    """The printer of a value; None where gdb's own is as good, or where it cannot be read."""
    try:
        text = text_of(value)
    except (gdb.error, Trouble, OverflowError, TypeError):
        return None
    return None if text is None else Printer(text)


def register():
    lookup.name = "quarry"
    if lookup not in gdb.pretty_printers:
        gdb.pretty_printers.insert(0, lookup)
