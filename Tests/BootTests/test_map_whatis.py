"""What a map says of a frame beside what `whatis` says of it at the prompt of the same kernel, and a map that has its own trace."""

import re

import pexpect
import pytest

import map as map_tool
from booting import describe_machine
from memory_map.dump import parse
from memory_map.model import Model
from memory_map.trace import parse_trace
from qemu import SUCCESS, status_of
from toolchain import BUILD

PROMPT = "quarry> "
REPORTS = ("frames", "slabs", "areas")
# What a frame's descriptor may say for each use that a map tells apart: (state, the state of its block).
STATES = {
    "slab": ("slab", "slab"), "slab-bookkeeping": ("allocated", "allocated"), "kmalloc": ("allocated", "allocated"),
    "vmalloc": ("allocated", "allocated"), "stack": ("allocated", "allocated"), "page-table": ("page table", "page table"),
    "dma": ("allocated", "allocated"), "allocated": ("allocated", "allocated"), "cached": ("interior", None),
}


class Prompt:
    def __init__(self):
        machine = describe_machine(
            BUILD / "boot-tests" / "map-whatis.log", memory="64M", arguments="selftest=no sample nokaslr monitor")
        command = machine.argv()
        self.kernel = pexpect.spawn(command[0], command[1:], timeout=60, encoding="ascii")
        self.kernel.expect_exact(PROMPT)

    def ask(self, line):
        self.kernel.sendline(line)
        self.kernel.expect_exact(PROMPT)
        return self.kernel.before.replace("\r", "").partition("\n")[2]

    def end(self):
        self.kernel.sendline("poweroff")
        self.kernel.expect(pexpect.EOF)
        self.kernel.close()
        assert self.kernel.exitstatus == status_of(SUCCESS)


@pytest.fixture(scope="module")
def prompt():
    prompt = Prompt()
    yield prompt
    prompt.end()


@pytest.fixture(scope="module")
def model(prompt):
    return Model(parse({name: prompt.ask(name) for name in REPORTS}))


def line_of(run):
    """A run as its line of the report `frames`."""
    order = "" if run.use in ("cached", "reserved", "damaged") else f" order={run.order}"
    name = f" name={run.name}" if run.name else ""
    return f"{run.first:#x}-{run.end - 1:#x} {run.count} {run.use}{order}{' deferred' if run.deferred else ''}{name}"


def frames_of_each_use(model):
    """Frames at the ends and in the midst of the run with the largest blocks of each use."""
    for use in model.sums:
        run = max((run for run in model.dump.runs if run.use == use), key=lambda run: (run.order, run.count))
        for frame in sorted({run.first, run.first + run.count // 2, run.end - 1} - {0}):
            yield frame, run


def test_frames_of_each_use_are_told_alike(prompt, model):
    assert {"free", "reserved", *STATES} <= set(model.sums)
    for frame, run in frames_of_each_use(model):
        ours, theirs = model.whatis(frame), prompt.ask(f"whatis {frame << 12:#x}")
        assert f"on the map: {line_of(run)}\n" in theirs, theirs
        assert f"physical {frame << 12:#x} " in ours and f"physical 0x{frame << 12:012x}: System RAM" in theirs
        if run.use == "reserved":
            assert f"reserved: {run.name}" in ours and f"reserved since boot: {run.name}\n" in theirs
            continue
        zone = re.search(r"^zone (\w+), ", theirs, re.MULTILINE)[1]
        assert f" · zone {zone} · " in ours
        if run.use == "free":
            continue
        state, of_block = STATES[run.use]
        block = re.search(r"^block: head pfn:(0x\w+) order:(\d+) state:(.+)$", theirs, re.MULTILINE)
        head = int(block[1], 16) if block else frame
        assert f"page: pfn:{frame:#x} state:" in theirs
        assert frame != head or f" state:{state} " in theirs
        assert (block and block[3]) == of_block, theirs
        if block and int(block[2]):
            assert f"order {block[2]}, block {block[1]}-{head + (1 << int(block[2])) - 1:#x}" in ours
        else:
            assert " · order " not in ours
        if run.use == "kmalloc":
            assert f"({4096 << run.order} bytes), {(frame - head) << 12} bytes from its start" in theirs


def test_objects_are_told_alike(prompt, model):
    for cache in sorted(model.dump.caches, key=lambda cache: -len(cache.slabs))[:4]:
        slab = cache.slabs[0]
        for index in {0, len(slab.states) - 1}:
            theirs = prompt.ask(f"whatis {slab.base + index * cache.slot:#x}")
            use = "in use" if slab.states[index] == "A" else "free"
            assert re.search(rf"^object 0x\w+ of {cache.name} \({cache.object_size} bytes, {use}\)", theirs, re.MULTILINE), theirs
            assert f"object {index} of {cache.objects} in the slab at {slab.base:#x}: " in theirs
        assert f"slab of {cache.name} " in model.whatis(slab.frame)
        assert f"slab {slab.base:#x}, {slab.used} of {cache.objects} objects in use" in model.whatis(slab.frame)


def test_pages_of_areas_are_told_alike(prompt, model):
    for use in ("vmalloc", "stack"):
        frames = [frame for frame in model.area_pages if model.run_at(frame) and model.run_at(frame).use == use]
        for frame in (frames[0], frames[-1]):
            area, address, rights = model.area_pages[frame]
            ours, theirs = model.whatis(frame), prompt.ask(f"whatis {address:#x}")
            assert f"mapped: 4K page, {rights}, physical 0x{frame << 12:012x}\n" in theirs
            place = re.search(rf'^in the {area.kind} area "{area.name}" \S+, at offset (\d+ of \d+)$', theirs, re.MULTILINE)
            assert f"{area.kind} area {area.name}, offset {place[1]}, mapped at {address:#x} {rights}" in ours
            assert f"on the map: {line_of(model.run_at(frame))}\n" in theirs


def test_a_map_is_drawn_with_the_trace_of_its_own_boot(tmp_path):
    trace = tmp_path / "trace.txt"
    map_tool.main(["--memory", "64M", "--trace", str(trace), "--save-dump", str(tmp_path / "dump"),
                   "--html", str(tmp_path / "map.html"), "--svg", str(tmp_path / "map.svg")])
    model = Model(parse(map_tool.read_directory(tmp_path / "dump")))
    events = parse_trace(trace.read_text())["events"]
    assert len(events) > 1000 and {event["name"] for event in events} == set(map_tool.PLAYED.split(","))
    # What a frame's last event left it as is what the dump has.
    last = {}
    for event in events:
        for frame in range(event.get("pfn", 0), event.get("pfn", 0) + (1 << event["order"] if "order" in event else 0)):
            last[frame] = event["name"]
    assert len(last) > 5000
    wrong = [frame for frame, name in last.items()
             if (model.run_at(frame).use in ("free", "cached")) != (name == "mm_page_free")]
    assert wrong == []
    assert '"trace":{"events":[{' in (tmp_path / "map.html").read_text()
