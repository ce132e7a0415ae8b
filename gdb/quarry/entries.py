"""Page-table entries: what the bits mean, at which level (Intel SDM vol. 3, 4.5), and Quarry's own kinds of entries that are
not present (Sources/Paging/PageTableEntry.swift).
"""

PRESENT, WRITABLE, USER, WRITE_THROUGH, CACHE_DISABLE = (1 << bit for bit in range(5))
ACCESSED, DIRTY, LARGE, GLOBAL = 1 << 5, 1 << 6, 1 << 7, 1 << 8
PERMANENT, SHARED, LARGE_ATTRIBUTE = 1 << 9, 1 << 10, 1 << 12
NO_EXECUTE, STACK = 1 << 63, 1 << 52
ADDRESS = 0x000F_FFFF_FFFF_F000

LEVEL_NAMES = ("PT", "PD", "PDPT", "PML4", "PML5")
SIZE_NAMES = ("4 KiB", "2 MiB", "1 GiB")
CACHE_MODES = ("wb", "wt", "uc-", "uc", "wc", "?", "?", "?")


def shift(level):
    return 12 + 9 * level


def size(level):
    """The bytes that an entry of `level` stands for; 0 is the last level."""
    return 1 << shift(level)


def index(address, level):
    return address >> shift(level) & 511


def references_table(entry, level):
    return bool(entry & PRESENT) and level > 0 and (level >= 3 or not entry & LARGE)


def kind(entry):
    """What an entry that is not present stands for."""
    if entry == 0:
        return "empty"
    if entry & STACK and entry >> 9 & 3 == 0:
        return "stack page"
    return ("unknown", "on demand", "guard", "retired")[entry >> 9 & 3]


def page(entry, level):
    """The first byte of the memory that a leaf maps."""
    return entry & ADDRESS & ~(size(level) - 1)


def cache_mode(entry, level):
    attribute = LARGE_ATTRIBUTE if level > 0 and entry & PRESENT else LARGE
    return CACHE_MODES[(entry >> 3 & 3) | (4 if entry & attribute else 0)]


def rights(entry):
    """`rwxgu`, with a dash for what is not allowed."""
    return "r" + "".join(
        letter if allowed else "-"
        for letter, allowed in (
            ("w", entry & WRITABLE), ("x", not entry & NO_EXECUTE), ("g", entry & GLOBAL), ("u", entry & USER)))


def describe(entry, level):
    """An entry in words."""
    if not entry & PRESENT:
        what = kind(entry)
        if what == "on demand":
            return f"on demand: {rights(entry)}, a zeroed page at the first touch; its frame is promised"
        if what == "stack page":
            return f"stack page: {rights(entry)}, due when the stack grows; its frame is promised"
        if what == "guard":
            return "guard page: nobody may touch it"
        if what == "retired":
            return f"retired: frame {~entry & ADDRESS:#x} waits until every CPU knows that its page is gone"
        return what if what == "empty" else "not present, of no kind that is known"
    if references_table(entry, level):
        notes = [f"table at {entry & ADDRESS:#x}"]
        # The boot tables count nothing.
        if entry >> 52 & 0x3FF:
            notes.append(f"{entry >> 52 & 0x3FF} entries in use")
        if entry & PERMANENT:
            notes.append("permanent")
        if entry & SHARED:
            notes.append("shared: another slot owns the table")
        notes.append(rights(entry | GLOBAL).replace("g", "-"))
        return ", ".join(notes)
    marks = [name for bit, name in ((ACCESSED, "accessed"), (DIRTY, "dirty")) if entry & bit]
    return ", ".join(
        [f"page of {SIZE_NAMES[level]} at {page(entry, level):#x}", rights(entry), cache_mode(entry, level), *marks])
