"""Reads the kernel's reports: `frames`, `slabs`, `areas`, and with them `page_tables` and `meminfo`.

docs/memory-map.md describes the lines. A line that is none of these ends the reading with a `Failure` that names it.
"""

import dataclasses
import re

from memory_map.uses import BY_KEY, RESERVED
from toolchain import Failure

NEEDED = ("frames", "slabs", "areas")
WELCOME = ("page_tables", "meminfo")
# What to ask a kernel for.
ASKED = (*NEEDED, *WELCOME)

ZONE = re.compile(r"zone (\S+) 0x([0-9a-f]+)-0x([0-9a-f]+) managed=(\d+) free=(\d+) cached=(\d+)")
RUN = re.compile(r"0x([0-9a-f]+)-0x([0-9a-f]+) (\d+) ([a-z-]+)(?: order=(\d+))?( deferred)?(?: name=(.+))?")
CACHE = re.compile(r"cache (\S+) object=(\d+) slot=(\d+) order=(\d+) objects=(\d+)")
SLAB = re.compile(r"slab 0x([0-9a-f]{16}) frame=0x([0-9a-f]+) used=(\d+) states=((?:\d*[A.mqr])+)")
REGION = re.compile(r"region 0x([0-9a-f]{16})-0x([0-9a-f]{16}) (.+)")
AREA = re.compile(
    r"area 0x([0-9a-f]{16})-0x([0-9a-f]{16}) guard=(\d+),(\d+) kind=(\S+) state=(\S+) promised=(\d+) name=(.*)")
CALLER = re.compile(r" caller (.+)")
PAGES = re.compile(r" 0x([0-9a-f]{16}) ([r-][w-][x-][g-][u-]) (4K|2M) (demand \d+|guard \d+|[0-9a-f]+.*)")
FRAMES = re.compile(r"([0-9a-f]+)(?:([+-])(\d+))?")
MAPPING = re.compile(r"0x([0-9a-f]{16})-0x([0-9a-f]{16}) +(\d+)K (\S{5}) (\S\S) (?:(\S+) 0x([0-9a-f]+)|demand|guard)")
MEMINFO = re.compile(r"([\w()]+): +(\d+)(?: kB)?")


@dataclasses.dataclass
class Zone:
    name: str
    first: int
    last: int
    managed: int
    free: int
    cached: int


@dataclasses.dataclass
class Run:
    """Frames that follow each other and are used alike."""

    first: int
    count: int
    use: str
    order: int
    deferred: bool
    name: str

    @property
    def end(self):
        return self.first + self.count


@dataclasses.dataclass
class Slab:
    base: int
    frame: int
    used: int
    states: str  # a letter for each object


@dataclasses.dataclass
class Cache:
    name: str
    object_size: int
    slot: int
    order: int
    objects: int
    slabs: list


@dataclasses.dataclass
class Pages:
    """Neighbouring pages of an area that are allowed the same: `frames` are (first, count), or `kind` says why none."""

    address: int
    rights: str
    size: str
    kind: str  # mapped, demand, guard
    count: int
    frames: list


@dataclasses.dataclass
class Area:
    start: int
    end: int
    guard_below: int
    guard_above: int
    kind: str
    state: str
    promised: int
    name: str
    caller: str = ""
    pages: list = dataclasses.field(default_factory=list)

    @property
    def usable_start(self):
        """The first address above the guard pages."""
        return self.start + 4096 * self.guard_below

    @property
    def usable_bytes(self):
        return self.end - 4096 * self.guard_above - self.usable_start


@dataclasses.dataclass
class Dump:
    zones: list = dataclasses.field(default_factory=list)
    runs: list = dataclasses.field(default_factory=list)
    caches: list = dataclasses.field(default_factory=list)
    regions: list = dataclasses.field(default_factory=list)
    areas: list = dataclasses.field(default_factory=list)
    mappings: list = dataclasses.field(default_factory=list)
    meminfo: dict = dataclasses.field(default_factory=dict)


class Reader:
    """Goes through a report's lines and says where one is wrong."""

    def __init__(self, report, text):
        self.report, self.lines = report, text.replace("\r", "").splitlines()
        self.number = 0

    def __iter__(self):
        for self.number, line in enumerate(self.lines, 1):
            yield line

    def fail(self, reason):
        line = self.lines[self.number - 1] if 0 < self.number <= len(self.lines) else ""
        raise Failure(f"{self.report}, line {self.number}: {reason}: {line.strip()[:100]!r}")


def expand(states):
    """`2A3.` as `AA...`."""
    return "".join(letter * int(count or 1) for count, letter in re.findall(r"(\d*)([A.mqr])", states))


def read_frames(text, dump):
    reader, end = Reader("frames", text), 0
    for line in reader:
        if found := ZONE.fullmatch(line):
            dump.zones.append(Zone(found[1], int(found[2], 16), int(found[3], 16), *map(int, found.groups()[3:])))
            continue
        found = RUN.fullmatch(line) or reader.fail("expected `zone ...` or `0xFIRST-0xLAST COUNT USE ...`")
        first, last, count = int(found[1], 16), int(found[2], 16), int(found[3])
        if last - first + 1 != count or count == 0:
            reader.fail(f"{last - first + 1} frames lie there, and the line says {count}")
        if first < end:
            reader.fail("the run begins before the one above it ends")
        if found[4] not in BY_KEY:
            reader.fail(f"unknown use {found[4]}: known are {', '.join(BY_KEY)}")
        end = last + 1
        dump.runs.append(Run(first, count, found[4], int(found[5] or 0), found[6] is not None, found[7] or ""))
    if not dump.runs or not dump.zones:
        reader.fail("the report has no zone or no run of frames")
    managed = sum(run.count for run in dump.runs if run.use != RESERVED)
    if managed != sum(zone.managed for zone in dump.zones):
        reader.fail(f"the runs have {managed} frames that the allocators were given, and the zones say otherwise")


def read_slabs(text, dump):
    reader = Reader("slabs", text)
    for line in reader:
        if found := CACHE.fullmatch(line):
            dump.caches.append(Cache(found[1], *map(int, found.groups()[1:]), []))
            continue
        found = SLAB.fullmatch(line) or reader.fail("expected `cache ...` or `slab 0x... frame=... used=... states=...`")
        if not dump.caches:
            reader.fail("a slab before the first cache")
        slab = Slab(int(found[1], 16), int(found[2], 16), int(found[3]), expand(found[4]))
        if len(slab.states) != dump.caches[-1].objects:
            reader.fail(f"{len(slab.states)} states, and the cache's slabs have {dump.caches[-1].objects} objects")
        if slab.used != sum(slab.states.count(letter) for letter in "Ar"):
            reader.fail("the objects in use are not as many as it says")
        dump.caches[-1].slabs.append(slab)


def read_areas(text, dump):
    reader = Reader("areas", text)
    for line in reader:
        if found := REGION.fullmatch(line):
            dump.regions.append((int(found[1], 16), int(found[2], 16), found[3]))
        elif found := AREA.fullmatch(line):
            start, end = int(found[1], 16), int(found[2], 16)
            if start >= end or start % 4096 or end % 4096:
                reader.fail("an area of no whole pages")
            dump.areas.append(Area(
                start, end, int(found[3]), int(found[4]), found[5], found[6], int(found[7]), found[8]))
        elif not dump.areas:
            reader.fail("expected `region ...` or `area ...`")
        elif found := CALLER.fullmatch(line):
            dump.areas[-1].caller = found[1]
        elif found := PAGES.fullmatch(line):
            pages = read_pages(found, reader)
            if not dump.areas[-1].start <= pages.address <= dump.areas[-1].end - 4096 * pages.count:
                reader.fail("pages outside their area")
            dump.areas[-1].pages.append(pages)
        else:
            reader.fail("expected `area ...`, or ` 0xADDRESS RIGHTS SIZE FRAMES`")


def read_pages(found, reader):
    kind, _, rest = found[4].partition(" ")
    if kind in ("demand", "guard"):
        return Pages(int(found[1], 16), found[2], found[3], kind, int(rest), [])
    frames = []
    for word in found[4].split():
        run = FRAMES.fullmatch(word) or reader.fail(f"{word} are no frames")
        first, count = int(run[1], 16), int(run[3] or 1)
        # Those that descend are turned into single ones.
        frames += [(first - index, 1) for index in range(count)] if run[2] == "-" else [(first, count)]
    return Pages(int(found[1], 16), found[2], found[3], "mapped", sum(count for _, count in frames), frames)


def read_page_tables(text, dump):
    reader = Reader("page_tables", text)
    for line in reader:
        found = MAPPING.fullmatch(line) or reader.fail("expected a range with its size, rights and memory")
        what = "guard" if line.endswith("guard") else "demand" if line.endswith("demand") else f"0x{found[7]}"
        dump.mappings.append((int(found[1], 16), int(found[2], 16), int(found[3]), found[4], found[5], found[6] or "", what))


def read_meminfo(text, dump):
    reader = Reader("meminfo", text)
    for line in reader:
        found = MEMINFO.fullmatch(line) or reader.fail("expected `Name: N kB` or `Name: N`")
        dump.meminfo[found[1]] = int(found[2])


READERS = {"frames": read_frames, "slabs": read_slabs, "areas": read_areas, "page_tables": read_page_tables,
           "meminfo": read_meminfo}


def parse(reports):
    """A `Dump` of the reports' texts by their names."""
    for name in NEEDED:
        if name not in reports:
            raise Failure(f"the dump has no report {name}: make one with report={','.join(ASKED)}")
    dump = Dump()
    for name, read in READERS.items():
        if name in reports:
            read(reports[name], dump)
    return dump


def read_directory(directory):
    """The reports that lie in a directory, each in a file of its name."""
    if not directory.is_dir():
        raise Failure(f"{directory} is no directory of reports")
    return {name: (directory / name).read_text() for name in (*NEEDED, *WELCOME) if (directory / name).is_file()}
