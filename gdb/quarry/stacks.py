"""The kernel stacks: those of vmalloc and those of the image, and how deep each is and was."""

from quarry import areas, memory
from quarry.errors import Trouble
from quarry.layout import note
from quarry.tables import Walker

PAGE = 4096
# boot/stacks.S: the name in reports, and that of the symbols.
IMAGE_STACKS = (
    ("boot", "boot_stack"), ("double fault", "double_fault_stack"), ("page fault", "page_fault_stack"),
    ("NMI", "nmi_stack"), ("machine check", "machine_check_stack"), ("interrupt", "interrupt_stack"))


class Stack:
    """A stack: its name and the bytes that may be used."""

    def __init__(self, name, start, end, is_in_image):
        self.name, self.start, self.end, self.is_in_image = name, start, end, is_in_image

    def holds(self, address):
        return self.start <= address < self.end


def image_stacks():
    for name, symbol in IMAGE_STACKS:
        yield Stack(name, memory.address_of(symbol + "_guard") + PAGE, memory.address_of(symbol + "_end"), True)


def area_stacks():
    for area in areas.areas():
        if area.kind_number == areas.STACK and area.state == areas.LIVE:
            yield Stack(area.name, area.usable_start, area.usable_end, False)


def stacks():
    """All stacks that are known: early in boot those of the image alone."""
    try:
        yield from area_stacks()
    except Trouble:
        pass
    yield from image_stacks()


def stack_of(pointer):
    """The stack that a stack pointer lies in; None where that is none."""
    # With nothing on the stack yet the pointer lies one beyond.
    return next((stack for stack in stacks() if stack.start < pointer <= stack.end), None)


def mapped_pages(stack, walker):
    return [page for page in range(stack.start, stack.end, PAGE) if walker.translate(page) is not None]


def deepest(stack, walker):
    """The most bytes that were ever in use: what was never used is paint, in the image 0."""
    unused = b"\0" * 8 if stack.is_in_image else note("stacks.paint").to_bytes(8, "little")
    for page in mapped_pages(stack, walker):
        data = memory.read_physical(walker.translate(page), PAGE)
        # The lowest word of a stack in the image is a canary.
        first = 8 if stack.is_in_image and page == stack.start else 0
        for offset in range(first, PAGE, 8):
            if data[offset:offset + 8] != unused:
                return stack.end - page - offset
    return 0


def report():
    """The lines of `quarry stacks`, as the kernel's report `stacks` has them."""
    walker, pointer = Walker(), memory.register("rsp")
    yield "name             limit              top                   size  mapped    used deepest"
    for stack in stacks():
        mapped = PAGE * len(mapped_pages(stack, walker))
        if stack.holds(pointer):
            used = str(stack.end - pointer)
        else:
            used = "0" if stack.is_in_image else "-"
        yield (f"{stack.name:16s} 0x{stack.start:016x} 0x{stack.end:016x}{stack.end - stack.start:7d}{mapped:8d}"
               f"{used:>8s}{deepest(stack, walker):8d}")
    try:
        yield figures()
    except Trouble:
        pass


def figures():
    """What stacks come to: growth, the reserve, those that are ready."""
    capacity, cpus = note("stacks.reserve_capacity"), note("cpu.count")
    held = 0
    for cpu in range(cpus):
        place = note("stacks.reserve") + 8 * cpu * note("stacks.reserve_stride")
        held += sum(word != 0 for word in memory.read_words(place, capacity))
    ready = sum(word != 0 for word in memory.read_words(note("stacks.ready"), note("stacks.ready_places")))
    return (f"grown by {memory.read64(note('stacks.growths'))} pages; reserve {held} of {capacity * cpus} frames;"
            f" ready {ready}; deepest of those freed {memory.read64(note('stacks.deepest_freed'))}")


def describe_pointer(pointer):
    """Which stack a stack pointer lies in, and how deep it is."""
    stack = stack_of(pointer)
    if stack is None:
        return f"stack pointer 0x{pointer:016x}, in no stack that is known"
    return (f"stack pointer 0x{pointer:016x}, in stack \"{stack.name}\", depth {stack.end - pointer}"
            f" of {stack.end - stack.start} bytes")
