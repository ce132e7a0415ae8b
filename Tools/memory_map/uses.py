"""What a frame is used for, and how each use looks: the names of the report `frames`, in the order of legends.

Colours are told apart by people who see some of them alike (they follow Okabe and Ito); each use has a pattern and a letter
besides. The letter is the one of the kernel's own map of text.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Use:
    key: str
    label: str
    letter: str
    light: str  # the colour on a light ground
    dark: str  # the colour on a dark ground
    pattern: str  # what is drawn over the colour: none, dots, lines, bars, rising, falling, cross, grid
    text: str  # what the use is, in words


USES = (
    Use("slab", "Slab", "S", "#0072b2", "#2f97dd", "none", "objects of a cache"),
    Use("slab-bookkeeping", "Slab bookkeeping", "B", "#56b4e9", "#7cc8f2", "dots", "headers of slabs, magazines, caches"),
    Use("kmalloc", "Large kmalloc", "K", "#009e73", "#1fb88b", "rising", "a kmalloc block above 8192 bytes"),
    Use("vmalloc", "vmalloc", "V", "#e69f00", "#f0b429", "lines", "a page of a vmalloc area"),
    Use("stack", "Stack", "P", "#cc79a7", "#dd8fbb", "bars", "a page of a kernel stack, or of its reserve"),
    Use("page-table", "Page table", "T", "#d55e00", "#f0742a", "grid", "a table of the address space"),
    Use("guarded", "Guarded objects", "G", "#882255", "#b8477f", "cross", "a page of a guarded object"),
    Use("dma", "Device buffer", "D", "#44aa99", "#5cc4b3", "falling", "memory shared with a device"),
    Use("allocated", "Other blocks", "A", "#6a4fa3", "#9a82d6", "falling", "a block of page frames that somebody has"),
    Use("cached", "Frame caches", "C", "#c9b800", "#e8dc3c", "dots", "free, in a CPU's frame cache"),
    Use("guard-page", "Guard pages", "X", "#a0522d", "#c9784f", "cross", "kept from everybody behind a block"),
    Use("reserved", "Reserved", "R", "#5b6470", "#7d8794", "rising", "never given to the allocators"),
    Use("damaged", "Damaged", "?", "#000000", "#ffffff", "cross", "in a state that there is none of"),
    Use("free", "Free", ".", "#dfe5ec", "#2a323d", "none", "for whoever asks"),
)

BY_KEY = {use.key: use for use in USES}
FREE = "free"
RESERVED = "reserved"
HIGHEST_ORDER = 10

# Free blocks by order: the colour of order 0 and that of the highest, on a light and on a dark ground.
FREE_SHADES = {"light": ("#a9b8c8", "#e6ebf1"), "dark": ("#56687d", "#262e38")}


def free_shade(order, theme):
    """The colour of a free block."""
    return blend(*FREE_SHADES[theme], min(order, HIGHEST_ORDER) / HIGHEST_ORDER)


def blend(first, last, share):
    """The colour that lies `share` of the way between two."""
    pairs = [(int(first[place:place + 2], 16), int(last[place:place + 2], 16)) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(low + (high - low) * share):02x}" for low, high in pairs)
