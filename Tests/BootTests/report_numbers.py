"""The numbers of reports, for who adds them up."""

import collections
import re

# A line of slabinfo.
CACHE = r"(\S+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) : tunables    0    0    0 : slabdata +(\d+) +(\d+)      0"


def caches(text):
    """By name: active, total, size, objects a slab, pages a slab, active slabs, slabs."""
    return {found[0]: [int(number) for number in found[1:]]
            for found in re.findall(rf"^{CACHE}$", text, re.MULTILINE)}


def zones(text):
    """By zone: its lines as (name, number), those of the CPUs' caches summed up."""
    found = {}
    for part in re.split(r"^Node 0, zone +", text, flags=re.MULTILINE)[1:]:
        name, _, lines = part.partition("\n")
        numbers = {}
        # A mark and a CPU's cache both have a line `high`.
        body, _, pagesets = lines.partition("  pagesets\n")
        for key, number in re.findall(r"^ +([\w ]*\w):? +(\d+)$", body, re.MULTILINE):
            numbers[key] = int(number)
        numbers["cached"] = sum(int(count) for count in re.findall(r"count: (\d+)", pagesets))
        found[name] = numbers
    return found


def frames_by_use(text):
    """The frames of each use in the report `frames`."""
    uses = collections.Counter()
    for count, use in re.findall(r"^0x\w+-0x\w+ (\d+) (\S+)", text, re.MULTILINE):
        uses[use] += int(count)
    return uses


def free_frames(counts):
    return sum(int(count) << order for order, count in enumerate(counts))
