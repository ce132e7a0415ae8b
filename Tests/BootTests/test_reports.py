"""A dump of all reports: Linux's formats line by line, numbers that agree with each other, and procps as their reader."""

import re
import subprocess
import sys

import pytest

import procps
from report_numbers import caches, frames_by_use, free_frames, zones
from toolchain import BUILD, ROOT

DUMP = BUILD / "boot-tests" / "dump"
ORDERS = 11


def run_dump(output, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "Tools" / "dump.py", "--output", output, *arguments], capture_output=True, text=True,
        timeout=120)


def read_reports(directory):
    return {file.name: file.read_bytes().decode("ascii") for file in directory.iterdir()}


@pytest.fixture(scope="module")
def dump():
    done = run_dump(DUMP, "--memory", "128M")
    assert done.returncode == 0, done.stderr
    return read_reports(DUMP)


@pytest.fixture(scope="module")
def memory(dump):
    """The numbers of meminfo."""
    return {name: int(number) for name, number in re.findall(r"^([\w()]+): +(\d+)", dump["meminfo"], re.MULTILINE)}


@pytest.fixture(scope="module")
def counters(dump):
    return {name: int(number) for name, number in (line.split() for line in dump["vmstat"].splitlines())}


# Each line of a report has one of these shapes, read off Linux's.
SHAPES = {
    "meminfo": [r"[\w()]+: {1,16} *\d+ kB", r"HugePages_\w+: +\d+"],
    "buddyinfo": [r"Node 0, zone [ \w]{8} " + r"[ \d]{5}\d " * ORDERS],
    "pagetypeinfo": [
        r"Page block order: 9", r"Pages per block:  512", r"",
        r"Free pages count per migrate type at order  " + r"[ \d]{5}\d " * ORDERS,
        r"Node    0, zone [ \w]{8}, type [ \w]{12} " + r"[ \d]{5}\d " * ORDERS,
        r"Number of blocks type  (?:[ \w]{12} )+", r"Node 0, zone [ \w]{8} (?:[ \d]{11}\d )+"],
    "slabinfo": [
        r"slabinfo - version: 2\.1", r"# name            <active_objs> <num_objs> .*<sharedavail>",
        r"(?=.{17} )\S+ *(?: [ \d]{5}\d){3}(?: [ \d]{3}\d){2} : tunables    0    0    0 : slabdata(?: [ \d]{5}\d){2}      0"],
    "vmallocinfo": [
        r"0x[0-9a-f]{16}-0x[0-9a-f]{16} [ \d]{6}\d+ \S+(?: pages=\d+)?(?: phys=0x[0-9a-f]{16})?"
        r" (?:vmalloc|vmap|ioremap)(?: N0=\d+)?",
        r"0x[0-9a-f]{16}-0x[0-9a-f]{16} [ \d]{6}\d+ unpurged vm_area"],
    "iomem": [r"(?:  )?[0-9a-f]{8,}-[0-9a-f]{8,} : \w[\w ()-]*"],
    "zoneinfo": [
        r"Node 0, zone [ \w]{8}", r"  per-node stats", r"  pages free     \d+", r"      [\w]{12,} \d+", r"      \w{1,11} +\d+",
        r"        (?:boost    |min      |low      |high     |spanned  |present  |managed  |cma      )\d+",
        r"        protection: \(\d+(?:, \d+){3}\)", r"  pagesets", r"    cpu: \d+",
        r"              (?:count: |high:  |batch: )\d+", r"  vm stats threshold: 0", r"  node_unreclaimable:  0",
        r"  start_pfn:           \d+"],
    "vmstat": [r"\w+ \d+"],
    "stat": [r"cpu\d* +\d+(?: \d+){9}", r"\w+(?: \d+)+"],
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_line_has_linuxs_shape(dump, name):
    text = dump[name]
    assert text.endswith("\n") and "\r" not in text
    for line in text.splitlines():
        assert any(re.fullmatch(shape, line) for shape in SHAPES[name]), repr(line)
    for shape in SHAPES[name]:
        if "unpurged" not in shape:
            assert any(re.fullmatch(shape, line) for line in text.splitlines()), f"no line like {shape!r}"


def test_the_sample_shows_in_the_reports(dump, memory):
    """What the kernel did before: each report has something to tell."""
    text = dump["vmallocinfo"]
    assert re.search(r" MemorySample\.\S+\+0x[0-9a-f]+/0x[0-9a-f]+ pages=\d+ vmalloc N0=", text), text
    assert re.search(r" hpet phys=0x00000000fed00000 ioremap$", text, re.MULTILINE), text
    assert re.search(r" 12288 window vmap$", text, re.MULTILINE), text
    assert caches(dump["slabinfo"])["dentry"][:2] >= [100, 100]
    assert memory["KReclaimable"] > 0 and memory["Committed_AS"] > 0
    assert "sample" in dump["stacks"] and " demand" in dump["page_tables"]


def test_numbers_of_free_memory_agree(dump, memory, counters):
    of_zones = zones(dump["zoneinfo"])
    assert list(of_zones) == ["DMA", "DMA32", "Normal", "Movable"]
    free = 0
    for line in dump["buddyinfo"].splitlines():
        words = line.replace(",", "").split()
        frames = free_frames(words[4:])
        by_type = [row.split()[6:] for row in dump["pagetypeinfo"].splitlines()
                   if re.match(rf"Node    0, zone +{words[3]}, type", row)]
        assert len(by_type) >= 5
        assert frames == sum(free_frames(row) for row in by_type)
        zone = of_zones[words[3]]
        assert frames == zone["pages free"] == zone["nr_free_pages"]
        assert zone["managed"] <= zone["present"] <= zone["spanned"]
        assert zone["min"] < zone["low"] < zone["high"]
        free += frames
    assert free == counters["nr_free_pages"]
    cached = sum(zone["cached"] for zone in of_zones.values())
    assert cached > 0
    # The reports are printed one after the other on a machine that does nothing else.
    assert memory["MemFree"] == 4 * (free + cached)
    assert memory["MemTotal"] == 4 * sum(zone["managed"] for zone in of_zones.values())
    assert memory["MemAvailable"] <= memory["MemFree"] + memory["KReclaimable"]


def test_numbers_of_slabs_agree(dump, memory, counters):
    of_caches = caches(dump["slabinfo"])
    assert len(of_caches) == len(dump["slabinfo"].splitlines()) - 2 > 50
    pages = 0
    for active, total, size, per_slab, pages_per_slab, active_slabs, slabs in of_caches.values():
        assert active <= total == per_slab * slabs and active_slabs <= slabs
        assert size * per_slab <= pages_per_slab * 4096
        pages += pages_per_slab * slabs
    assert 4 * pages < memory["Slab"] == memory["SReclaimable"] + memory["SUnreclaim"]
    # What each frame is used for, counted frame by frame.
    uses = frames_by_use(dump["frames"])
    assert pages == uses["slab"]
    assert memory["Slab"] == 4 * (pages + uses["slab-bookkeeping"] + uses["kmalloc"])
    assert counters["nr_slab_reclaimable"] * 4 == memory["SReclaimable"] == memory["KReclaimable"]
    assert counters["nr_slab_unreclaimable"] * 4 == memory["SUnreclaim"]
    # Linux lists the cache that was made last first, and the general ones from the largest down.
    names = list(of_caches)
    assert names[0] == "buffer_head"
    assert names.index("kmalloc-8k") < names.index("kmalloc-64") < names.index("kmalloc-8")


def test_numbers_of_areas_and_stacks_agree(dump, memory, counters):
    areas = re.findall(r"^0x(\w+)-0x(\w+) +(\d+) (.*)$", dump["vmallocinfo"], re.MULTILINE)
    starts = [int(area[0], 16) for area in areas]
    assert starts == sorted(starts)
    pages = stack_pages = 0
    stacks = re.findall(r"^.{17}0x(\w{16}) 0x(\w{16}) +(\d+) +(\d+)", dump["stacks"], re.MULTILINE)
    mapped = {int(limit, 16): int(size) // 4096 for limit, _, _, size in stacks}
    for start, end, size, rest in areas:
        assert int(end, 16) - int(start, 16) == int(size)
        found = re.search(r"pages=(\d+) vmalloc N0=(\d+)$", rest)
        if found:
            assert found[1] == found[2] and int(found[1]) * 4096 < int(size)
            limit = int(start, 16) + 4096
            if limit in mapped:
                # The main stack may have grown from one report to the next.
                assert int(found[1]) <= mapped[limit]
                stack_pages += mapped[limit]
            else:
                pages += int(found[1])
    reserve = re.search(r"reserve (\d+) of \d+ frames", dump["stacks"])
    waiting = int(reserve[1])
    # What a stack grows by comes from the reserve: the sum stays.
    assert memory["VmallocUsed"] == 4 * (pages + stack_pages + waiting)
    assert memory["KernelStack"] == 4 * (stack_pages + waiting) == counters["nr_kernel_stack"]
    assert stack_pages > 2 and pages > 500


def test_page_tables_are_counted(dump, memory, counters):
    """The tables that the list of all that is mapped needs: one for each part of the tree in which something is."""
    tables = set()
    sizes = {"4K": 1 << 12, "2M": 1 << 21, "1G": 1 << 30}
    alias = next(int(line[2:18], 16) for line in dump["page_tables"].splitlines()) >> 39
    for first, last, size in re.findall(r"^0x(\w+)-0x(\w+) +\d+K \S+ (4K|2M|1G) ", dump["page_tables"], re.MULTILINE):
        step = sizes[size]
        for address in range(int(first, 16), int(last, 16), max(step, 1 << 21)):
            tables.add((48, address >> 48))
            # What is below the alias' slot is the direct map's.
            tables.add((39, address >> 39)) if address >> 39 != alias else None
            if address >> 39 != alias:
                tables.update({(30, address >> 30)} if step < 1 << 30 else set())
                tables.update({(21, address >> 21)} if step < 1 << 21 else set())
    # And the root. On a CPU with five levels (`-cpu max`).
    assert counters["nr_page_table_pages"] * 4 == memory["PageTables"]
    assert counters["nr_page_table_pages"] == len(tables) + 1


def test_memory_is_the_allocators_or_reserved(dump, memory):
    total = reserved = 0
    is_memory = False
    for line in dump["iomem"].splitlines():
        first, last, name = re.fullmatch(r" *(\w+)-(\w+) : (.*)", line).groups()
        size = int(last, 16) - int(first, 16) + 1
        if line.startswith(" "):
            reserved += size if is_memory else 0
        else:
            is_memory = name == "System RAM"
            total += size if is_memory else 0
    # What the allocators' own memory leaves of a page is nobody's.
    assert 0 <= total - reserved - memory["MemTotal"] * 1024 < 4096
    direct = sum(memory[f"DirectMap{size}"] for size in ("4k", "2M", "1G"))
    assert direct * 1024 == total


def test_free_reads_meminfo(dump, memory):
    output = procps.read(["free", "-k"], DUMP)
    fields = [int(field) for field in re.search(r"^Mem: +(.*)$", output, re.MULTILINE)[1].split()]
    total, used, free, shared, cache, available = fields
    assert (total, free, available) == (memory["MemTotal"], memory["MemFree"], memory["MemAvailable"])
    # procps counts what can be given back of slabs as cache.
    assert shared == 0 and cache == memory["SReclaimable"]
    assert used == total - available or used == total - free - cache
    assert re.search(r"^Swap: +0 +0 +0$", output, re.MULTILINE)


def test_slabtop_reads_slabinfo(dump):
    of_caches = caches(dump["slabinfo"])
    top = procps.read(["slabtop", "-o", "-s", "n"], DUMP)
    objects = sum(cache[1] for cache in of_caches.values())
    active = sum(cache[0] for cache in of_caches.values())
    slabs = sum(cache[6] for cache in of_caches.values())
    active_slabs = sum(cache[5] for cache in of_caches.values())
    assert re.search(rf"Active / Total Objects \(% used\)\s+: {active} / {objects} ", top), top
    assert re.search(rf"Active / Total Slabs \(% used\)\s+: {active_slabs} / {slabs} ", top), top
    used = [(name, cache) for name, cache in of_caches.items() if cache[1] > 0]
    assert len(used) > 20
    for name, cache in used:
        row = rf"^ *{cache[1]} +{cache[0]} .* {cache[6]} +{cache[3]} .* {re.escape(name)}\s*$"
        assert re.search(row, top, re.MULTILINE), f"{name}:\n{top}"


def test_vmstat_reads_slabinfo(dump):
    listing = procps.read(["vmstat", "-m"], DUMP)
    # It repeats its heading.
    rows = [line.split() for line in listing.splitlines() if not line.startswith("Cache ")]
    expected = [[name[:24], *(str(number) for number in (cache[0], cache[1], cache[2], cache[3]))]
                for name, cache in caches(dump["slabinfo"]).items()]
    assert sorted(rows) == sorted(expected)


def test_vmstat_reads_meminfo_stat_and_vmstat(dump, memory, counters):
    output = procps.read(["vmstat", "-s"], DUMP)
    found = {text: int(number) for number, text in re.findall(r"^ *(\d+) (?:K )?(.+)$", output, re.MULTILINE)}
    assert found["total memory"] == memory["MemTotal"]
    assert found["free memory"] == memory["MemFree"]
    assert found["swap cache"] == memory["SReclaimable"]
    assert found["total swap"] == found["buffer memory"] == found["active memory"] == 0
    nothing = [text for text in found if "cpu ticks" in text or "swapped" in text or "paged" in text]
    assert len(nothing) >= 8 and all(found[text] == 0 for text in nothing)
    assert counters["pgfault"] > 0 and counters["pgpgin"] == 0
    assert found["interrupts"] == found["boot time"] == found["forks"] == 0


def test_an_area_for_contiguous_buffers_has_its_lines(tmp_path):
    done = run_dump(tmp_path / "dump", "--memory", "128M", "--arguments", "cma=16M page_owner=on")
    assert done.returncode == 0, done.stderr
    reports = read_reports(tmp_path / "dump")
    assert re.search(r"^CmaTotal: +16384 kB\nCmaFree: +\d+ kB\nHugePages_Total:", reports["meminfo"], re.MULTILINE)
    assert re.search(r"^Node    0, zone    DMA32, type          CMA ", reports["pagetypeinfo"], re.MULTILINE)
    assert zones(reports["zoneinfo"])["DMA32"]["cma"] == 4096
    free = int(re.search(r"^CmaFree: +(\d+) kB$", reports["meminfo"], re.MULTILINE)[1])
    row = re.search(r"^Node    0, zone    DMA32, type          CMA (.*)$", reports["pagetypeinfo"], re.MULTILINE)[1]
    assert free == 4 * free_frames(row.split())
    assert "Page allocated via order" in reports["page_owner"]


@pytest.mark.parametrize("arguments, timeout, end", [
    ("crash=panic", "60", "the kernel ended with: panic"),
    ("crash=no-such-thing loglevel=3", "0.05", "no end within 0.05 s"),
])
def test_a_dump_of_a_kernel_that_ended_badly_is_an_error(tmp_path, arguments, timeout, end):
    old = tmp_path / "dump"
    old.mkdir()
    done = run_dump(old, "--memory", "64M", "--arguments", arguments, "--timeout", timeout)
    assert done.returncode == 1 and end in done.stderr and "the log's last lines:" in done.stderr
    assert list(old.iterdir()) == [], "nothing is written of it"
