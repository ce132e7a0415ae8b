"""Reads a trace in the text of Linux's ftrace: the events of page frames and of objects.

    kernel-0  [000] d..1.  0.001234: mm_page_alloc: page=0x... pfn=0x1234 order=0 migratetype=0 gfp_flags=GFP_KERNEL

Lines that begin with `#` and events of other kinds are passed over.
"""

import re

from toolchain import Failure

LINE = re.compile(r"\s*\S.*?\s+\[(\d+)\]\s+(?:\S+\s+)?(\d+\.\d+): (\w+): (.*)")
FIELD = re.compile(r"(\w+)=(\S+)")
OF_FRAMES = ("mm_page_alloc", "mm_page_free")
SHOWN = (*OF_FRAMES, "kmalloc", "kfree", "kmem_cache_alloc", "kmem_cache_free", "vmalloc", "vfree", "map", "unmap",
         "page_fault")
MOST_EVENTS = 200_000
HIGHEST_ORDER = 10


def parse_trace(text):
    """The events for the page: each with its time in seconds, its name and its text; those of frames with both numbers."""
    events = []
    for number, line in enumerate(text.replace("\r", "").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if not found:
            raise Failure(f"trace, line {number}: no event of ftrace's: {line.strip()[:100]!r}")
        name = found[3]
        if name not in SHOWN:
            continue
        event = {"time": float(found[2]), "name": name, "text": f"{name}: {found[4]}"}
        if name in OF_FRAMES:
            fields = dict(FIELD.findall(found[4]))
            try:
                event["pfn"], event["order"] = int(fields["pfn"], 0), int(fields["order"])
            except (KeyError, ValueError) as error:
                raise Failure(f"trace, line {number}: {name} without pfn= and order=: {line.strip()[:100]!r}") from error
            if not 0 <= event["order"] <= HIGHEST_ORDER:
                raise Failure(f"trace, line {number}: there is no order {event['order']}")
            if event["pfn"] % (1 << event["order"]):
                raise Failure(f"trace, line {number}: the block is not aligned to its order: {line.strip()[:100]!r}")
        events.append(event)
        if len(events) > MOST_EVENTS:
            raise Failure(f"trace, line {number}: more than {MOST_EVENTS} events; cut the trace, for a page that stays usable")
    return {"events": events}
