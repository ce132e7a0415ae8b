"""The reports that maps are drawn from, out of a running kernel: that they agree with each other and with Linux's formats."""

import re
import subprocess
import sys

import pytest

from booting import run_machine
from dump import split
from memory_map.dump import parse
from memory_map.model import Model
from memory_map.page import write_page
from memory_map.svg import write_svg
from memory_map.uses import BY_KEY
from qemu import SUCCESS
from toolchain import BUILD, ROOT

NAMES = ("frames", "slabs", "areas", "page_tables", "meminfo", "buddyinfo", "slabinfo", "vmallocinfo", "map")
OF_MUCH = ("frames", "map", "slabs", "areas", "meminfo")


@pytest.fixture(scope="module")
def reports():
    result = run_machine(BUILD / "boot-tests" / "memory-map.log", memory="64M",
                         arguments=f"sample selftest=no report={','.join(NAMES)}")
    result.expect_end(SUCCESS)
    result.expect(r"sample: 24000 steps, \d{4} allocations are kept")
    return split(result.log, NAMES)


@pytest.fixture(scope="module")
def model(reports):
    return Model(parse(reports))


def test_sums_are_those_of_meminfo(model):
    sums, meminfo = model.sums, model.dump.meminfo
    assert model.managed * 4 == meminfo["MemTotal"]
    assert (sums["free"] + sums.get("cached", 0)) * 4 == meminfo["MemFree"]
    assert (sums["slab"] + sums["slab-bookkeeping"] + sums["kmalloc"]) * 4 == meminfo["Slab"]
    assert sums["stack"] * 4 == meminfo["KernelStack"]
    # Frames that are mapped a second time, and registers of devices, are no memory that areas use.
    assert (sums["vmalloc"] + sums["stack"]) * 4 == meminfo["VmallocUsed"]


def test_free_blocks_are_those_of_buddyinfo(model, reports):
    shown = {zone: [int(count) for count in counts.split()]
             for zone, counts in re.findall(r"^Node 0, zone +(\w+) +([\d ]+)$", reports["buddyinfo"], re.MULTILINE)}
    assert shown == {zone.name: model.free_blocks(zone) for zone in model.dump.zones}


def test_objects_are_those_of_slabinfo(model, reports):
    shown = {}
    for line in reports["slabinfo"].splitlines()[2:]:
        words = line.split()
        if int(words[14]):
            shown[words[0]] = (int(words[1]), int(words[2]), int(words[14]), int(words[5]))
    found = {cache.name: (sum(slab.used for slab in cache.slabs), len(cache.slabs) * cache.objects, len(cache.slabs),
                          1 << cache.order) for cache in model.dump.caches}
    assert found == shown
    assert {"inode", "dentry", "task"} <= set(found)


def test_areas_are_those_of_vmallocinfo(model, reports):
    shown = re.findall(r"^0x(\w+)-0x(\w+) ", reports["vmallocinfo"], re.MULTILINE)
    assert [(f"{area.start:016x}", f"{area.end:016x}") for area in model.dump.areas] == shown
    # Of memory that is somebody else's the lines do not count the pages.
    pages = re.findall(r" pages=(\d+) vmalloc", reports["vmallocinfo"])
    assert sum(int(count) for count in pages) == sum(
        part.count for area in model.dump.areas for part in area.pages
        if part.kind == "mapped" and area.kind in ("vmalloc", "stack"))
    assert {area.kind for area in model.dump.areas} == {"vmalloc", "stack", "device", "vmap"}


def test_frames_behind_areas_are_used_so(model):
    of_kind = {"vmalloc": "vmalloc", "stack": "stack", "vmap": "allocated"}
    mapped = set()
    for frame, (area, _, rights) in model.area_pages.items():
        if area.kind == "device":
            assert model.run_at(frame) is None
            continue
        assert model.run_at(frame).use == of_kind[area.kind]
        assert rights[:3] == ("r--" if area.kind == "vmap" else "rw-")
        mapped.add(frame)
    for run in model.dump.runs:
        if run.use == "vmalloc":
            assert mapped.issuperset(range(run.first, run.end))


def test_slabs_lie_where_the_frames_say(model):
    for run in model.dump.runs:
        if run.use == "slab":
            assert {model.slab_frames[frame][0].name for frame in range(run.first, run.end)} == {run.name}
    # The direct map shows object 0 at its frame: all slabs are as far from it.
    assert len({slab.base - slab.frame * 4096 for cache in model.dump.caches for slab in cache.slabs}) == 1


def test_the_map_of_text_says_the_same(model, reports):
    plain = re.sub(r"\x1b\[[\d;]*m", "", reports["map"])
    assert plain != reports["map"]
    picture, _, legend = plain.partition("\n\n")
    found = re.findall(r"^  (?:(\S) )?([\w-]+) +(\d+) frames", legend, re.MULTILINE)
    assert {name: int(frames) for _, name, frames in found} == {**model.sums, "all": model.frame_count}
    assert all(BY_KEY[name].letter == letter for letter, name, _ in found if name != "all")
    per_cell, zone = int(re.search(r"(\d+) in each place", legend)[1]), ""
    for line in picture.splitlines():
        assert len(line) <= 13 + 64
        if line.startswith("--"):
            zone = line.split()[1]
            continue
        start = int(line[:12], 16) // 4096
        for column, letter in enumerate(line[13:]):
            cell = range(start + column * per_cell, start + (column + 1) * per_cell)
            runs = [run for run in model.dump.runs if run.first < cell.stop and cell.start < run.end
                    and model.zone_of(run.first).name == zone]
            if letter in ". " or letter.isupper():
                # A place of one use, or of none.
                assert {BY_KEY[run.use].letter for run in runs} <= {letter}
            else:
                assert len({run.use for run in runs}) > 1


def test_pictures_are_drawn_of_it(model):
    assert {"cached", "dma", "page-table", "allocated", "kmalloc"} <= set(model.sums)
    assert len(write_page(model, None)) > 50_000
    assert 10_000 < len(write_svg(model)) < 150_000


def test_much_memory_is_few_lines(boot):
    result = boot(memory="64G", arguments=f"selftest=no report={','.join(OF_MUCH)}")
    result.expect_end(SUCCESS)
    reports = split(result.log, OF_MUCH)
    model = Model(parse(reports))
    assert (16 << 20) > model.frame_count > model.sums["free"] > 15 << 20
    assert model.managed * 4 == model.dump.meminfo["MemTotal"]
    assert len(reports["frames"].splitlines()) < 100 and len(reports["map"].splitlines()) < 40


def test_the_prompt_draws_the_map():
    """`map`, `frames`, `slabs` and `areas` as a person types them; one word too many is named."""
    command = [sys.executable, str(ROOT / "Tools" / "shell.py"), "--memory", "64M", "--arguments", "sample"]
    done = subprocess.run(command, input="frames\nmap\nslabs\nareas\nmap now\nhelp map\npoweroff\n", text=True, timeout=60,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = re.split(r"^quarry> ", done.stdout.replace("\r", ""), flags=re.MULTILINE)
    said = {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}
    model = Model(parse({name: said[name] for name in ("frames", "slabs", "areas")}))
    plain = re.sub(r"\x1b\[[\d;]*m", "", said["map"])
    legend = {name: int(frames) for name, frames in re.findall(r"^  (?:\S )?([\w-]+) +(\d+) frames", plain, re.MULTILINE)}
    # The stack on which the reports are written may have grown between two of them.
    assert legend.keys() == {*model.sums, "all"} and legend["all"] == model.frame_count
    assert all(abs(legend[use] - count) <= 1 for use, count in model.sums.items())
    assert "expected no more arguments, not \"now\"" in said["map now"]
    assert "a map of physical memory" in said["help map"]
