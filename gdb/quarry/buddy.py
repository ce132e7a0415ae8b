"""The free blocks of each zone, and what a page frame is used for."""

from quarry import memory
from quarry.layout import Structure, note

ZONES = ("DMA", "DMA32", "Normal")
MOVABLE = 1
NO_BLOCK = 0xFFFF_FFFF
# Sources/PageFrames/FrameState.swift.
STATES = {
    0: "interior", 1: "free", 2: "allocated", 8: "allocated (compound)", 32: "slab", 33: "slab (tail)", 5: "page table",
    6: "reserved", 7: "absent", 16: "guard page",
}
ABSENT, RESERVED, ALLOCATED, COMPOUND, SLAB, SLAB_TAIL = 7, 6, 2, 8, 32, 33
HEADS = (2, 8, 32, 5, 16)


def free_counts(zone):
    """[mobility][order]: the free blocks of a zone, deferred sections among them."""
    stride, orders = note("free_counts.orders_stride"), note("free_counts.orders")
    mobilities = note("free_counts.mobilities")
    words = memory.read_words(
        note(f"zone{zone}.free_counts") + 8 * note("free_counts.first"), stride * mobilities)
    counts = [list(words[stride * i:stride * i + orders]) for i in range(mobilities)]
    counts[MOVABLE][orders - 1] += zone_state(zone).word("deferred_sections")
    return counts


def zone_state(zone):
    return Structure("zone", note(f"zone{zone}.state"))


def cached_frames(zone):
    """Frames in the frame caches of all CPUs."""
    total = 0
    orders, rings = note("frame_cache.orders"), note("frame_cache.mobilities") * note("frame_cache.orders")
    for cpu in range(note("cpu.count")):
        first = note("frame_cache.first") + cpu * note("frame_cache.stride")
        for ring in range(rings):
            place = first + (zone * rings + ring) * note("frame_cache.ring_size")
            total += memory.read32(place + note("ring.count")) << ring % orders
    return total


def held_block(zone):
    """(frame, order) of the block that was freed last and is not merged yet; None where there is none."""
    state = zone_state(zone)
    frame, order = state.half("held_frame"), state.half("held_order")
    return None if order == NO_BLOCK else (frame, order)


def report():
    """The lines of `quarry buddy`, the first of each zone as `buddyinfo` has it."""
    for zone, name in enumerate(ZONES):
        state = zone_state(zone)
        managed = state.word("managed")
        if not managed:
            continue
        counts = free_counts(zone)
        totals = [sum(group[order] for group in counts) for order in range(len(counts[0]))]
        yield f"Node 0, zone {name:>8} " + "".join(f"{total:6d} " for total in totals).rstrip()
        yield (f"  {state.word('free')} of {managed} frames free, {state.word('promised')} promised, "
               f"{cached_frames(zone)} more in frame caches, {state.word('deferred_sections')} sections not used yet")
        held = held_block(zone)
        if held:
            yield f"  one more block, of order {held[1]} from frame {held[0]}, is free and not merged yet"


# Frames.

class Frame:
    """What the frame table says about a page frame."""

    def __init__(self, number, descriptor):
        self.number = number
        self.order, self.state = descriptor.byte("order"), descriptor.byte("state")
        self.tag, self.owner = descriptor.short("tag"), descriptor.word("owner")
        self.references = descriptor.half("references")

    @property
    def state_name(self):
        return STATES.get(self.state, f"damaged (state {self.state})")


def frame(number):
    """The frame's descriptor; None for a frame that the table does not know."""
    block = number >> note("frame_table.block_order")
    if block >= note("frame_table.blocks"):
        return None
    origin = memory.read64(note("frame_table.origins") + 8 * block)
    if not origin:
        return None
    return Frame(number, Structure("frame", origin + number * note("frame_table.descriptor_size")))


def block_of(number):
    """The head of the block in use that a frame lies in; None where it is in none."""
    for order in range(note("free_counts.orders")):
        head = frame(number & ~((1 << order) - 1))
        if head is None:
            return None
        if head.state in HEADS and head.number + (1 << head.order) > number:
            return head
        if head.state != 0 and head.state != SLAB_TAIL:
            return None
    return None


def free_order(number):
    """The order of the free block that a frame lies in, by its page block's bits; None where it is not free there."""
    block_order = note("frame_table.block_order")
    block = number >> block_order
    origin = memory.read64(note("frame_table.origins") + 8 * block)
    first = origin + (block << block_order) * note("frame_table.descriptor_size")
    whole = note("page_block.first")
    place = first + (whole if block % 2 == 0 else whole // 2 + note("page_block.size"))
    highest = note("free_counts.orders") - 1
    # A wholly free section has no bit; its first page block counts it.
    even = place if block % 2 == 0 else place - note("page_block.size")
    if memory.read16(even + note("page_block.counts") + 2 * highest):
        return highest
    bits = int.from_bytes(memory.read(place, note("page_block.counts")), "little")
    node = 1 << block_order | number & ((1 << block_order) - 1)
    for order in range(block_order + 1):
        if bits >> (node >> order) & 1:
            return order
    return None


def describe(number):
    """A frame in words."""
    known = frame(number)
    if known is None:
        zone_end = max(zone_state(zone).word("end_frame") for zone in range(len(ZONES)))
        if number < zone_end:
            return "page frame: free, of a section that nobody has used yet, or no RAM"
        return "page frame: not managed"
    if known.state in (ABSENT, RESERVED):
        return f"page frame {number:#x}: {known.state_name}"
    head = block_of(number)
    if head is None:
        order = free_order(number)
        if order is not None:
            return f"page frame {number:#x}: free, in a block of order {order}"
        return f"page frame {number:#x}: in no block in use: in a frame cache, or being freed"
    text = f"page frame {number:#x}: {head.state_name}, block of order {head.order} from {head.number << 12:#x}"
    if head.state in (ALLOCATED, COMPOUND):
        text += f", {head.references + 1} reference" + ("s" if head.references else "")
        if head.tag == note("kmalloc.large_tag"):
            text += ", kmalloc's"
    return text
