"""What an address belongs to: the image, a frame, a slab's object, an area, a stack."""

from quarry import areas, buddy, entries, layout, memory, slabs, stacks, symbols
from quarry.errors import Trouble
from quarry.tables import Walker

DIRECT = "direct_map_base"
# The name, the word with the base, the note with the end, and the most bytes that it has, for the time before the note.
REGIONS = (
    ("direct map", DIRECT, "layout.direct_map_end", 4 << 30),
    ("object alias", "object_alias_base", "layout.object_alias_end", 512 << 30),
    ("vmalloc space", "vmalloc_base", "layout.areas_end", 32 << 40),
    ("frame table", "frame_table_base", "layout.frame_table_end", 1 << 40))
GUARD = 4096


def image_part(address):
    """The part of the image that holds an address; None outside."""
    for part, symbol in (
            ("the image's code (r-x)", "text"), ("the image's constants (r--)", "rodata"),
            ("the image's sealed data (r--)", "sealed"), ("the image's data (rw-)", "data")):
        if memory.address_of(f"image_{symbol}_start") <= address < memory.address_of(f"image_{symbol}_end"):
            return part
    return None


def region(address):
    """(name, offset) of the part of the address space that holds an address; None where that is none of them."""
    for name, symbol, key, most in REGIONS:
        # Before the layout is chosen there is the boot tables' direct map alone.
        start = memory.direct_map_base() if symbol == DIRECT else memory.word_of(symbol)
        try:
            end = layout.note(key)
        except Trouble:
            end = start + most if start else 0
        if start <= address < end:
            return name, address - start
    return None


def describe(address):
    """The lines of `quarry whatis`: the first says what it is, the others what is there."""
    yield f"0x{address:016x}: {title(address)}"
    try:
        found = list(_details(address))
    except Trouble as trouble:
        found = [str(trouble)]
    for line in found:
        yield f"  {line}"
    yield f"  {_mapping(address)}"


def title(address):
    if address < 4096:
        return "the null page"
    walker = Walker()
    for stack in stacks.image_stacks():
        if stack.holds(address):
            return f"stack \"{stack.name}\" of the image, depth {stack.end - address} of {stack.end - stack.start} bytes"
        if stack.start - GUARD <= address < stack.start:
            return f"the guard page below stack \"{stack.name}\" of the image"
    part = image_part(address)
    if part:
        return part
    if not walker.is_canonical(address):
        return "not a canonical address"
    found = region(address)
    if found is None:
        return "user space" if address >> 63 == 0 else "outside every region"
    name, offset = found
    if name in ("direct map", "object alias"):
        return f"the {name}, physical {offset:#x}"
    if name == "vmalloc space":
        return areas.describe(address)[0]
    return f"the {name}, offset {offset:#x}"


def _details(address):
    function = symbols.find(address)
    if function:
        yield f"function {function[0]}+{function[1]:#x}"
        return
    if image_part(address):
        symbol = symbol_around(address)
        if symbol:
            yield f"symbol {symbol}"
        return
    found = region(address)
    if not found:
        return
    name, offset = found
    if name in ("direct map", "object alias"):
        # Objects are noted by their addresses in the direct map, whichever way they are reached.
        direct = memory.direct_map_base() + offset
        slab_object = slabs.object_at(direct, offset >> 12)
        if slab_object:
            yield slab_object
        yield buddy.describe(offset >> 12)
    elif name == "vmalloc space":
        physical = Walker().translate(address)
        if physical is not None:
            yield buddy.describe(physical >> 12)
    elif name == "frame table":
        yield from _descriptor(address)


def _descriptor(address):
    """Which frame's descriptor an address of the frame table lies in."""
    origins = memory.read_words(layout.note("frame_table.origins"), layout.note("frame_table.blocks"))
    size, order = layout.note("frame_table.descriptor_size"), layout.note("frame_table.block_order")
    for block, origin in enumerate(origins):
        if not origin:
            continue
        number = (address - origin) // size
        if number >> order == block:
            yield f"descriptor of frame {number:#x}: {buddy.describe(number)}"
            return
    yield "page blocks' bits, or the tables that lead to descriptors"


def symbol_around(address):
    """The linker's symbol that an address belongs to, and the offset; None where gdb knows none."""
    import gdb

    text = gdb.execute(f"info symbol {address:#x}", to_string=True)
    return None if text.startswith("No symbol") else text.split(" in section")[0].strip()


def _mapping(address):
    walker = Walker()
    if not walker.is_canonical(address):
        return "no access reaches the tables"
    level, entry = walker.leaf(address)
    physical = walker.translate(address)
    if physical is None:
        return f"not mapped: {entries.describe(entry, level)}"
    return f"mapped to physical {physical:#x}: {entries.describe(entry, level)}"
