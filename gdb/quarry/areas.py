"""The areas of vmalloc, device mappings and kernel stacks among them."""

from quarry import memory, symbols
from quarry.entries import PRESENT
from quarry.layout import Structure, note
from quarry.tables import Walker

# Sources/VirtualMemory/Area.swift.
KINDS = ("vmalloc", "stack", "device", "guarded objects", "vmap")
STATES = ("reserved", "live", "dying", "retired", "resting", "gone")
VMALLOC, STACK, DEVICE, GUARDED, MAP = range(5)
LIVE, RETIRED = 1, 3
# What vmallocinfo calls them.
WORDS = {DEVICE: "ioremap", MAP: "vmap"}
MOST_AREAS = 1 << 20
PAGE = 4096


class Area(Structure):
    """An area by the address of its note."""

    def __init__(self, address):
        super().__init__("area", address)
        self.start, self.end = self.word("start"), self.word("end")
        self.kind_number, self.state = self.byte("kind"), self.byte("state")
        self.usable_start = self.start + PAGE * self.short("guards_below")
        self.usable_end = self.end - PAGE * self.short("guards_above")

    @property
    def name(self):
        return memory.static_string(self.place("name"))

    @property
    def kind_name(self):
        return KINDS[self.kind_number] if self.kind_number < len(KINDS) else f"kind {self.kind_number}"

    @property
    def state_name(self):
        return STATES[self.state] if self.state < len(STATES) else f"state {self.state}"

    @property
    def is_in_use(self):
        return self.state < RETIRED

    def present_pages(self, walker):
        """Pages that have a frame. Of what a stack has grown by its note does not know."""
        if self.kind_number != STACK:
            return self.word("present_pages")
        return sum(
            bool(walker.leaf(page)[1] & PRESENT) for page in range(self.usable_start, self.usable_end, PAGE))


def areas(all_states=False):
    """The areas in the order of addresses; those that are freed and wait, too, where `all_states`."""
    head = Structure("area", note("areas.head"))
    address = head.word("next")
    for _ in range(MOST_AREAS):
        if not address:
            return
        area = Area(address)
        if all_states or area.is_in_use:
            yield area
        address = area.word("next")


def line(area, walker):
    text = f"0x{area.start:016x}-0x{area.end:016x} {area.end - area.start:7d} "
    if area.state != LIVE:
        return text + f"{area.state_name}: unpurged vm_area"
    caller = area.word("caller")
    text += symbols.describe(caller, is_return_address=True) if caller else area.name
    pages = area.present_pages(walker)
    if pages:
        text += f" pages={pages}"
    if area.kind_number == DEVICE:
        physical = walker.translate(area.usable_start)
        text += f" phys=0x{physical:016x}" if physical is not None else ""
    text += " " + WORDS.get(area.kind_number, "vmalloc")
    if area.kind_number in (STACK, GUARDED):
        text += f" ({area.kind_name} \"{area.name}\")"
    return text


def report():
    """The lines of `quarry areas`, as `vmallocinfo` has them."""
    walker = Walker()
    found = False
    for area in areas():
        found = True
        yield line(area, walker)
    if not found:
        yield "there are no areas"


def describe(address):
    """Where an address of the vmalloc space lies; after it, the area or None."""
    nearest = None
    for area in areas(all_states=True):
        if area.start <= address < area.end:
            if not area.is_in_use:
                return f"freed: it was in {area.kind_name} area \"{area.name}\" ({area.state_name})", area
            if address < area.usable_start:
                return f"in the guard page below {title(area)}, {area.usable_start - address} bytes away", area
            if address >= area.usable_end:
                return f"in the guard page above {title(area)}, {address - area.usable_end + 1} bytes away", area
            if area.kind_number == STACK:
                depth = area.usable_end - address
                return f"in {title(area)}, depth {depth} of {area.usable_end - area.usable_start} bytes", area
            return f"in {title(area)}, offset {address - area.usable_start:#x}", area
        if area.is_in_use:
            distance = area.start - address if area.start > address else address - area.end + 1
            if nearest is None or distance < nearest[0]:
                nearest = (distance, area)
    if nearest is None:
        return "in the vmalloc space, which has no areas", None
    distance, area = nearest
    return f"in no area; {distance} bytes {'below' if area.start > address else 'above'} {title(area)}", area


def title(area):
    return f"{area.kind_name} area \"{area.name}\" 0x{area.usable_start:016x}-0x{area.usable_end:016x}"
