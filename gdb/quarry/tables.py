"""The walk of the page tables, in physical memory, from the root that CR3 holds: the CPU's own and not a copy of the
kernel's ideas, so that it works at every moment, the boot tables' included.
"""

import struct

from quarry import entries, memory
from quarry.errors import Trouble

PAGING = 1 << 31
LA57 = 1 << 12
ENTRY_COUNT = 512


class Walker:
    """A look at the tables of one moment. Each table is read once."""

    def __init__(self, root=None, levels=None):
        self.tables = {}
        if root is None:
            if not memory.register("cr0") & PAGING:
                raise Trouble("paging is off: every address is a physical one (continue to kernel_main)")
            root = memory.register("cr3") & entries.ADDRESS
            levels = 5 if memory.register("cr4") & LA57 else 4
        self.root, self.levels = root, levels

    def table(self, address):
        if address not in self.tables:
            self.tables[address] = struct.unpack("<512Q", memory.read_physical(address, 4096))
        return self.tables[address]

    @property
    def address_bits(self):
        return 12 + 9 * self.levels

    def is_canonical(self, address):
        upper = address >> (self.address_bits - 1)
        return upper in (0, memory.MASK >> (self.address_bits - 1))

    def canonical(self, address):
        """The address whose lower bits are these."""
        sign = 1 << (self.address_bits - 1)
        return address | memory.MASK ^ (2 * sign - 1) if address & sign else address

    def path(self, address):
        """[(level, table, index, entry)] from the root to where the walk ends."""
        steps, table = [], self.root
        for level in range(self.levels - 1, -1, -1):
            index = entries.index(address, level)
            entry = self.table(table)[index]
            steps.append((level, table, index, entry))
            if not entries.references_table(entry, level):
                break
            table = entry & entries.ADDRESS
        return steps

    def translate(self, address):
        """The physical address behind a virtual one; None where no page is there."""
        if not self.is_canonical(address):
            return None
        level, _, _, entry = self.path(address)[-1]
        if not entry & entries.PRESENT:
            return None
        return entries.page(entry, level) + address % entries.size(level)

    def leaf(self, address):
        """(level, entry) where the walk ends."""
        level, _, _, entry = self.path(address)[-1]
        return level, entry

    def walk(self):
        """(address, level, entry) of each entry that is not empty and references no table, in the order of addresses."""
        yield from self._walk(self.root, self.levels - 1, 0)

    def _walk(self, table, level, base):
        for index, entry in enumerate(self.table(table)):
            if entry == 0:
                continue
            address = base + (index << entries.shift(level))
            if level == self.levels - 1:
                address = self.canonical(address)
            if entries.references_table(entry, level):
                yield from self._walk(entry & entries.ADDRESS, level - 1, address)
            else:
                yield address, level, entry


def vtop(address):
    """The lines of `quarry vtop`."""
    walker = Walker()
    yield f"0x{address:016x} through {walker.levels} levels from {walker.root:#x} (cr3)"
    if not walker.is_canonical(address):
        yield f"  not a canonical address: bits {walker.address_bits - 1} to 63 differ; every access is an exception"
        return
    steps = walker.path(address)
    for level, table, index, entry in steps:
        yield (f"  {entries.LEVEL_NAMES[level]:4s} {table:#x}[{index}] = 0x{entry:016x}  "
               f"{entries.describe(entry, level)}")
    level, _, _, entry = steps[-1]
    physical = walker.translate(address)
    if physical is None:
        yield f"  no translation: {entries.kind(entry)}"
        return
    allowed = entry
    for _, _, _, above in steps[:-1]:
        allowed &= above | ~(entries.WRITABLE | entries.USER)
        allowed |= above & entries.NO_EXECUTE
    yield f"  physical {physical:#x}, {entries.rights(allowed)}, in a page of {entries.SIZE_NAMES[level]}"


def ptdump():
    """The lines of `quarry ptdump`, as of the kernel's report `page_tables`: runs of pages that differ only in where they are
    and lead.
    """
    run = None
    for address, level, entry in Walker().walk():
        if run and _continues(run, address, level, entry):
            run["bytes"] += entries.size(level)
            continue
        if run:
            yield _line(run)
        run = {"start": address, "level": level, "entry": entry, "bytes": entries.size(level)}
    if run:
        yield _line(run)


NOTES = entries.ACCESSED | entries.DIRTY


def _continues(run, address, level, entry):
    first = run["entry"]
    if address - run["start"] != run["bytes"] or level != run["level"]:
        return False
    if not first & entries.PRESENT or not entry & entries.PRESENT:
        return not (first | entry) & entries.PRESENT and _kind_and_rights(first) == _kind_and_rights(entry)
    distance = entries.page(entry, level) - entries.page(first, level)
    mask = ~(entries.ADDRESS | NOTES) | (entries.LARGE_ATTRIBUTE if level else 0)
    return distance == run["bytes"] and not (first ^ entry) & mask


def _kind_and_rights(entry):
    what = entries.kind(entry)
    if what in ("guard", "retired"):
        return what, ""
    # A page of a stack and any other that is due are one to the report.
    return "demand", entries.rights(entry) + entries.cache_mode(entry, 0)


def _line(run):
    start, level, entry = run["start"], run["level"], run["entry"]
    what, rights = "guard", "-----"
    size = ("4K", "2M", "1G")[level] if level < 3 else "512G"
    if entry & entries.PRESENT:
        rights = entries.rights(entry)
        what = f"{entries.cache_mode(entry, level)} 0x{entries.page(entry, level):012x}"
    elif entries.kind(entry) in ("on demand", "stack page"):
        rights, what = entries.rights(entry), "demand"
    elif entries.kind(entry) != "guard":
        what = entries.kind(entry)
    return f"0x{start:016x}-0x{start + run['bytes'] - 1:016x} {run['bytes'] >> 10:9d}K {rights} {size} {what}"
