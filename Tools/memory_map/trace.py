"""Reads a trace in the text of Linux's ftrace: the events of page frames and of objects.

    kernel-0  [000] d..1.  0.001234: mm_page_alloc: page=0x... pfn=0x1234 order=0 migratetype=0 gfp_flags=GFP_KERNEL

Lines that begin with `#` and events of other kinds are passed over.
"""

import re

from toolchain import Failure

LINE = re.compile(r"\s*\S.*?\s+\[(\d+)\]\s+(?:\S+\s+)?(\d+\.\d+): (\w+): (.*)")
LOST = re.compile(r"CPU:\d+ \[LOST .*EVENTS\]")
FIELD = re.compile(r"(\w+)=(\S+)")
ALLOCATION, FREE = "mm_page_alloc", "mm_page_free"
SHOWN = (ALLOCATION, FREE, "kmalloc", "kfree", "kmem_cache_alloc", "kmem_cache_free", "vmalloc", "vfree", "map", "unmap",
         "page_fault", "page_fault_kernel")
MOST_EVENTS = 200_000
HIGHEST_ORDER = 10


def block(name, text):
    """The first frame and the order of an event's block. None for a free of no block, which was refused and is told of."""
    fields = dict(FIELD.findall(text))
    try:
        frame, order = int(fields["pfn"], 0), int(fields["order"])
    except (KeyError, ValueError) as error:
        raise Failure(f"{name} without pfn= and order=") from error
    if not 0 <= order <= HIGHEST_ORDER or frame % (1 << order):
        if name == ALLOCATION:
            raise Failure(f"no block of order {order} begins at frame {frame:#x}")
        return None
    return frame, order


def parse_trace(text):
    """The events for the page: each with its time in seconds, its name and its text; those of blocks with both numbers."""
    events, time = [], 0.0
    for number, line in enumerate(text.replace("\r", "").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if LOST.fullmatch(line.strip()):
            events.append({"time": time, "name": "lost", "text": line.strip()})
            continue
        found = LINE.fullmatch(line)
        if not found:
            raise Failure(f"trace, line {number}: no event of ftrace's: {line.strip()[:100]!r}")
        name, time = found[3], float(found[2])
        if name not in SHOWN:
            continue
        event = {"time": time, "name": name, "text": f"{name}: {found[4]}"}
        if name in (ALLOCATION, FREE):
            try:
                place = block(name, found[4])
            except Failure as error:
                raise Failure(f"trace, line {number}: {error}: {line.strip()[:100]!r}") from error
            if place:
                event["pfn"], event["order"] = place
        events.append(event)
        if len(events) > MOST_EVENTS:
            raise Failure(f"trace, line {number}: more than {MOST_EVENTS} events; cut the trace, for a page that stays usable")
    return {"events": events}
