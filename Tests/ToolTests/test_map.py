"""`make map`: reading the reports, and what is made of them. How it looks in a browser: test_map_page.py."""

import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import pytest

import map as map_tool
from dump import BadDump, split
from memory_map.dump import NEEDED, expand, parse, read_directory
from memory_map.layout import SIDE, Layout, blocks, spread
from memory_map.model import Model
from memory_map.page import write_page
from memory_map.svg import write_svg
from memory_map.trace import parse_trace
from memory_map.uses import BY_KEY, USES
from toolchain import ROOT, Failure

DUMP = pathlib.Path(__file__).parent / "memory_dump"
SVG = "{http://www.w3.org/2000/svg}"
EVENT = "kernel-0       [000] d..1.     0.001234: {}"


def with_line(report, number, line):
    """The fixture's reports, one line of one of them replaced."""
    reports = read_directory(DUMP)
    lines = reports[report].splitlines()
    lines[number - 1] = line
    reports[report] = "\n".join(lines) + "\n"
    return reports


@pytest.mark.parametrize("report, number, line, reason", [
    ("frames", 3, "0x0-0x9e 158 reserved name=low memory", "159 frames lie there, and the line says 158"),
    ("frames", 3, "0x0-0x9e 159 tuna", "unknown use tuna"),
    ("frames", 4, "0x9e-0x107 106 free order=3", "begins before the one above it ends"),
    ("frames", 3, "0x0-0x9e reserved", "expected `zone ...` or"),
    ("frames", 3, "", "expected `zone ...` or"),
    ("frames", 1, "zone DMA 0x100-0xfff managed=1 free=1 cached=0", "that the allocators were given"),
    ("slabs", 1, "slab 0xffff888001a2c000 frame=0x1a2c used=1 states=A", "a slab before the first cache"),
    ("slabs", 2, "slab 0xffff888001a2c000 frame=0x1a2c used=1 states=A", "1 states, and the cache's slabs have"),
    ("slabs", 2, "slab 0xffff888001a2c000 frame=0x1a2c used=7 states=512.", "the objects in use are not as many"),
    ("slabs", 2, "slab 0xffff888001a2c000 frame=0x1a2c used=1 states=7Z", "expected `cache ...` or"),
    ("areas", 1, "area 0xffffc90000000000-0xffffc90000000800 guard=0,0 kind=stack state=live promised=0 name=x",
     "an area of no whole pages"),
    ("areas", 1, " 0xffffc90000000000 rw-g- 4K 12", "expected `region ...` or"),
    ("areas", 7, " 0xffffc90000000000 rw-g- 4K 12", "pages outside their area"),
    ("areas", 7, " 0xffffc90000000000 rw-g- 4K 12 xyz", "xyz are no frames"),
    ("page_tables", 1, "0xffff888000100000 rw", "expected a range"),
])
def test_a_bad_line_is_named(report, number, line, reason):
    with pytest.raises(Failure) as error:
        parse(with_line(report, number, line))
    assert reason in str(error.value)
    where = re.match(rf"{report}, line (\d+): ", str(error.value))
    # What only the whole shows to be wrong is named with the last line.
    assert where and (int(where[1]) == number or "the allocators were given" in reason)


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_report_is_named(name):
    reports = read_directory(DUMP)
    del reports[name]
    with pytest.raises(Failure, match=f"no report {name}"):
        parse(reports)


@pytest.mark.parametrize("name", ["frames"])
def test_an_empty_report_is_refused(name):
    with pytest.raises(Failure, match="no zone or no run"):
        parse({**read_directory(DUMP), name: ""})


def test_a_bad_line_of_meminfo_is_named():
    with pytest.raises(Failure, match="meminfo, line 2: expected `Name: N kB` or `Name: N`"):
        parse({**read_directory(DUMP), "meminfo": "MemTotal:         468416 kB\nMemFree: many\n"})


def test_reports_are_cut_out_of_a_log():
    log = "hello\r\n--- frames\r\na\r\nb\r\n--- end frames\r\nnoise\r\n--- slabs\r\n--- end slabs\r\n--- areas\r\ncut off"
    assert split(log, ("slabs", "frames")) == {"frames": "a\nb\n", "slabs": ""}
    with pytest.raises(BadDump, match="the log has no report areas"):
        split(log, ("frames", "areas"))


def test_runs_of_states_are_expanded():
    assert expand("2A3.mq12r") == "AA...mq" + 12 * "r"


@pytest.mark.parametrize("line, reason", [
    ("this is no event", "no event of ftrace's"),
    (EVENT.format("mm_page_alloc: page=0x0 order=0"), "without pfn= and order="),
    (EVENT.format("mm_page_alloc: page=0x0 pfn=0x10 order=11 migratetype=0"), "no block of order 11"),
    (EVENT.format("mm_page_alloc: page=0x0 pfn=0x11 order=1"), "no block of order 1 begins at frame 0x11"),
    (EVENT.format("mm_page_free: page=0x0 pfn=many order=1"), "without pfn= and order="),
])
def test_a_bad_event_is_named(line, reason):
    text = "# tracer: nop\n\n" + EVENT.format("kfree: call_site=x ptr=0x1") + "\n" + line + "\n"
    with pytest.raises(Failure, match=r"trace, line 4: ") as error:
        parse_trace(text)
    assert reason in str(error.value)


def test_events_are_read():
    text = "\n".join([
        EVENT.format("mm_page_alloc: page=0xffffea0000048d00 pfn=0x1234 order=2 migratetype=0 gfp_flags=GFP_KERNEL"),
        EVENT.format("sched_switch: prev_comm=x"),
        "  <idle>-0 [001] 17.5: mm_page_free: page=0x0 pfn=8 order=3"])
    events = parse_trace(text)["events"]
    assert [(event["name"], event["pfn"], event["order"], event["time"]) for event in events] == [
        ("mm_page_alloc", 0x1234, 2, 0.001234), ("mm_page_free", 8, 3, 17.5)]


def test_what_is_no_block_and_what_was_lost_is_told():
    """A free that the kernel refused may name what is no block, and a ring that ran over says so."""
    events = parse_trace("\n".join([
        EVENT.format("mm_page_free: page=0 pfn=0x11 order=1"), EVENT.format("mm_page_free: page=0 pfn=0x10 order=12"),
        "CPU:0 [LOST 17 EVENTS]", EVENT.format("page_fault_kernel: address=0x1000 ip=0x2 error_code=0x2")]))["events"]
    assert [event["name"] for event in events] == ["mm_page_free", "mm_page_free", "lost", "page_fault_kernel"]
    assert not any("pfn" in event for event in events) and events[2]["time"] == 0.001234


def test_the_sums_are_the_dumps(model):
    text = (DUMP / "frames").read_text()
    counted = {}
    for first, last, use in re.findall(r"^0x(\w+)-0x(\w+) \d+ ([\w-]+)", text, re.MULTILINE):
        counted[use] = counted.get(use, 0) + int(last, 16) - int(first, 16) + 1
    assert model.sums == counted
    zones = model.dump.zones
    assert model.managed == sum(zone.managed for zone in zones)
    assert (counted["free"], counted["cached"]) == (sum(zone.free for zone in zones), sum(zone.cached for zone in zones))


def test_frames_of_areas_and_slabs_are_used_so(model):
    """What the three reports say of a frame is the same."""
    kinds = {"vmalloc": "vmalloc", "stack": "stack", "guarded": "guarded"}
    seen = set()
    for frame, (area, _, _) in model.area_pages.items():
        if area.kind in kinds:
            assert model.run_at(frame).use == kinds[area.kind]
            seen.add(frame)
    for run in model.dump.runs:
        if run.use == "vmalloc":
            assert seen.issuperset(range(run.first, run.end))
        if run.use == "slab":
            assert all(model.slab_frames[frame][0].name == run.name for frame in range(run.first, run.end))
    assert len(model.slab_frames) == model.sums["slab"]


def test_the_curve_makes_blocks_rectangles(model):
    layout = Layout(model)
    for order in range(11):
        places = {spread(index) for index in range(1 << order)}
        width, height = 1 << (order + 1) // 2, 1 << order // 2
        assert places == {(x, y) for x in range(width) for y in range(height)}
    assert len({spread(index) for index in range(1024)}) == SIDE * SIDE
    covered = [frame for run in model.dump.runs for first, order in blocks(run.first, run.count)
               for frame in range(first, first + (1 << order))]
    assert covered == [frame for run in model.dump.runs for frame in range(run.first, run.end)]
    boxes = [layout.rectangle(first, order) for run in model.dump.runs for first, order in blocks(run.first, run.count)]
    assert sum(width * height for _, _, width, height in boxes) == model.frame_count
    assert all(x + width <= layout.width + 0.01 and y + height <= layout.height + 0.01 for x, y, width, height in boxes)


def test_unusable_is_linuxs_index():
    # Four pages in one block of order 2 and four single ones: half of what is free serves no request of order 1 or 2.
    assert Model.unusable([4, 0, 1, 0]) == [0.0, 0.5, 0.5, 1.0]
    assert Model.unusable([0] * 11) == [0.0] * 11


def area_of(path):
    """The area of the rectangles of a path of `MxyhWvHh-Wz`."""
    return sum(float(width) * float(height) for width, height in re.findall(r"h([\d.]+)v([\d.]+)h-", path))


def test_the_picture_shows_every_frame(model):
    picture = ElementTree.fromstring(write_svg(model))
    group = next(element for element in picture.iter(f"{SVG}g"))
    areas = {}
    for path in group.iter(f"{SVG}path"):
        kind = path.get("class").split()[0]
        use = "free" if re.fullmatch(r"f\d+", kind) else kind
        areas[use] = areas.get(use, 0) + area_of(path.get("d"))
    assert areas == model.sums


def test_the_committed_picture_is_the_one_drawn_from_the_committed_dump(model):
    committed = (ROOT / "docs" / "images" / "memory-map.svg").read_text()
    assert committed == write_svg(model), "draw it again: Tools/map.py --dump Tests/ToolTests/memory_dump --svg docs/images/memory-map.svg"
    assert len(committed) < 150_000


def test_nothing_comes_from_elsewhere(model):
    trace = parse_trace(EVENT.format("mm_page_free: page=0x0 pfn=8 order=3"))
    for text in (write_page(model, trace), write_svg(model)):
        rest = text.replace("http://www.w3.org/2000/svg", "")
        for sign in ("http:", "https:", "//www", "src=", "@import", "url(//", "<link", "<iframe", "fetch(", "XMLHttp",
                     "WebSocket", "import("):
            assert sign not in rest, sign


def test_the_pages_data_is_the_dump(model):
    page = write_page(model, None)
    data = json.loads(re.search(r'<script type="application/json" id="dump">(.*?)</script>', page, re.DOTALL)[1])
    assert [run[:2] for run in data["runs"]] == [[run.first, run.count] for run in model.dump.runs]
    assert [[slab[0] for slab in cache["slabs"]] for cache in data["caches"]] == [
        [f"{slab.base:x}" for slab in cache.slabs] for cache in model.dump.caches]
    assert len(data["areas"]) == len(model.dump.areas) and len(data["mappings"]) == len(model.dump.mappings)
    assert "<!--" not in page


def test_names_cannot_end_the_script(model):
    reports = read_directory(DUMP)
    reports["areas"] = reports["areas"].replace("name=main", "name=</script><b>&amp;")
    page = write_page(Model(parse(reports)), None)
    assert "name=</script>" not in page and page.count("</script>") == write_page(model, None).count("</script>")
    assert "</script><b>" not in page


def channel(value):
    share = value / 255
    return share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4


def contrast(one, other):
    """WCAG's contrast of two colours."""
    light = sorted(sum(weight * channel(int(colour[place:place + 2], 16))
                       for weight, place in ((0.2126, 1), (0.7152, 3), (0.0722, 5))) for colour in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def test_text_is_readable_in_both_themes():
    style = (ROOT / "Tools" / "memory_map" / "assets" / "style.css").read_text()
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in re.findall(r":root[^{]*\{([^}]*)\}", style)]
    assert len(themes) == 3 and themes[1] == themes[2]
    for theme in themes:
        for text in ("text", "muted", "accent"):
            for ground in ("ground", "card", "hole"):
                assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground, theme)
        assert contrast(theme["focus"], theme["card"]) >= 3


def test_uses_differ_in_more_than_colour():
    assert len({use.letter for use in USES}) == len(USES)
    assert len({use.light for use in USES}) == len({use.dark for use in USES}) == len(USES)
    swift = (ROOT / "Sources" / "KernelMemory" / "Reports" / "MemoryUse.swift").read_text()
    names = dict(re.findall(r'case \.(\w+): "([\w-]+)"', swift))
    letters = {names[case]: letter for case, letter in re.findall(r'case \.(\w+): UInt8\(ascii: "(.)"\)', swift)}
    assert letters == {key: use.letter for key, use in BY_KEY.items()}


def test_the_tool_writes_both_files(tmp_path, capsys):
    page, picture = tmp_path / "a" / "map.html", tmp_path / "map.svg"
    assert map_tool.main(["--dump", str(DUMP), "--html", str(page), "--svg", str(picture),
                          "--save-dump", str(tmp_path / "kept")]) == 0
    assert page.stat().st_size > 50_000 and ElementTree.parse(picture).getroot().tag == f"{SVG}svg"
    assert (tmp_path / "kept" / "frames").read_text() == (DUMP / "frames").read_text()
    assert "map.html" in capsys.readouterr().out
    with pytest.raises(Failure, match="no directory"):
        map_tool.main(["--dump", str(tmp_path / "nothing")])
    with pytest.raises(Failure, match="No such file"):
        map_tool.main(["--dump", str(DUMP), "--trace", str(tmp_path / "nothing")])
